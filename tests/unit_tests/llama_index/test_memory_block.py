"""The laws of `SpecPrefillMemoryBlock`, in LlamaIndex's own memory and agents."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from blockbuster import blockbuster_ctx
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, ToolCallBlock
from llama_index.core.bridge.pydantic import ValidationError
from llama_index.core.memory import BaseMemoryBlock, Memory, StaticMemoryBlock
from sqlalchemy.ext.asyncio import create_async_engine

from specprefill_integrations import ContextCompressor
from specprefill_integrations.errors import TokenCounterError
from specprefill_integrations.llama_index import SpecPrefillMemoryBlock
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.llama_index.scripted import Recorder, Script, handling, says

# Workflows ask agents for attributes that pydantic would rather be rid of.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")

SHARED = "specprefill_integrations.llama_index._with_compressor.shared_compressor"


def count(text: str) -> list[str]:
    """A tokenizer unlike the scorer's: characters by four."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


TURNS = [
    message
    for n in range(30)
    for message in (
        user(f"Tell me of day {n}."),
        says("The dog barked at night." if n == 7 else f"Nothing of note on day {n}."),
    )
]
CONTENT = "\n".join(f"{message.role.value}: {message.content}" for message in TURNS)


@pytest.fixture
def block(compressor) -> SpecPrefillMemoryBlock:
    return SpecPrefillMemoryBlock(compressor=compressor, tokenizer_fn=count)


@pytest.fixture
async def remember() -> AsyncIterator[Callable[..., Awaitable[Memory]]]:
    """Makes memories that have little room, flush early and heard all turns."""
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")

    async def remembering(*blocks: BaseMemoryBlock, turns: Sequence[ChatMessage] = TURNS) -> Memory:
        memory = Memory.from_defaults(
            session_id="s",
            token_limit=300,
            token_flush_size=50,
            chat_history_token_ratio=0.3,
            memory_blocks=list(blocks),
            tokenizer_fn=count,
            async_engine=engine,
        )
        for turn in turns:
            await memory.aput(turn)
        return memory

    yield remembering
    await engine.dispose()


class TestInMemory:
    async def test_old_messages_come_back_where_they_are_asked_for(self, remember, block) -> None:
        memory = await remember(block)
        with handling(Recorder()) as heard:
            first, *rest = await memory.aget(input="Who barked?")
        assert "assistant: The dog barked at night." in str(first.content)
        assert "<EarlierMessages>" in str(first.content)
        assert "[... " in str(first.content)
        assert rest[-1].content == "Nothing of note on day 29."
        assert heard.names == ["Start", "End"]
        assert {event.integration for event in heard.events} == {"memory_block"}
        assert {event.query_sources for event in heard.events} == {("user_message",)}

    async def test_it_fits_in_the_memorys_own_tokens(self, remember, block, scorer) -> None:
        memory = await remember(block)
        await memory.aget(input="Who barked?")
        content = await block.aget([user("Who barked?")], session_id="s")
        for too_many in (1, 100, 200, len(count(content)) - 20):
            kept = await block.atruncate(content, too_many)
            assert len(count(kept)) <= len(count(content)) - too_many
        assert scorer.calls[0][0] == "Who barked?"

    async def test_with_room_for_all_nothing_is_asked(self, remember, block, scorer) -> None:
        await block.aput(TURNS[:4], session_id="s")
        memory = await remember(block, turns=[user("Hello.")])
        system, _ = await memory.aget()
        assert "user: Tell me of day 0.\nassistant: Nothing of note on day 0." in system.content
        assert not scorer.calls

    async def test_only_what_is_too_much_is_cut_and_in_order_of_priority(
        self, remember, block, scorer
    ) -> None:
        static = StaticMemoryBlock(name="rules", static_content="Be kind. " * 20, priority=0)
        dropped = StaticMemoryBlock(name="extra", static_content="By the way. " * 5, priority=2)
        memory = await remember(static, dropped, block)
        system = str((await memory.aget(input="Who barked?"))[0].content)
        assert "Be kind. " * 19 in system
        assert "By the way." in system
        assert "The dog barked" in system
        assert scorer.calls

    async def test_priority_0_is_never_compressed(self, remember, compressor, scorer) -> None:
        block = SpecPrefillMemoryBlock(compressor=compressor, tokenizer_fn=count, priority=0)
        memory = await remember(block)
        system = str((await memory.aget(input="Who barked?"))[0].content)
        assert CONTENT[:500] in system
        assert not scorer.calls

    async def test_messages_may_be_kept_out(self, remember, compressor) -> None:
        block = SpecPrefillMemoryBlock(
            compressor=compressor, tokenizer_fn=count, accept_short_term_memory=False
        )
        await remember(block)
        assert not block.transcripts
        await block.aput([user("This one.")])
        assert await block.aget() == "user: This one."

    async def test_an_agent_reads_what_it_needs_of_earlier_turns(self, remember, block) -> None:
        memory = await remember(block)
        script = Script(says("The dog."))
        agent = FunctionAgent(tools=[], llm=script.llm)
        assert str(await agent.run("Who barked?", memory=memory)) == "The dog."
        assert "The dog barked at night." in script.last_prompt


class TestSessions:
    async def test_sessions_are_kept_apart(self, block) -> None:
        await block.aput([user("My name is Ann.")], session_id="ann")
        await block.aput([user("My name is Bob.")], session_id="bob")
        await block.aput([user("Nobody's.")])
        assert await block.aget(session_id="ann") == "user: My name is Ann."
        assert await block.aget(session_id="bob") == "user: My name is Bob."
        assert await block.aget() == "user: Nobody's."
        assert await block.aget(session_id="eve") == ""

    async def test_questions_at_the_same_time_are_kept_apart(self, block, scorer) -> None:
        await block.aput(TURNS, session_id="s")

        async def ask(question: str) -> str | None:
            content = await block.aget([user(question)], session_id="s")
            await asyncio.sleep(0.01)
            return await block.atruncate(content, 300)

        await asyncio.gather(*(ask(f"What of day {n}?") for n in range(5)))
        assert sorted(query for query, _ in scorer.calls) == [f"What of day {n}?" for n in range(5)]


class TestBlock:
    async def test_what_is_written_down(self, block) -> None:
        call = ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})
        image = ImageBlock(url="http://localhost/a.png")
        messages = [
            ChatMessage(role="user", blocks=[image, *user("What is this?").blocks]),
            ChatMessage(role="assistant", blocks=[call]),
            ChatMessage(role="tool", content="A dog."),
            ChatMessage(role="user", blocks=[image]),
        ]
        before = [message.model_dump() for message in messages]
        await block.aput(messages)
        assert await block.aget() == "user: What is this?\ntool: A dog."
        assert [message.model_dump() for message in messages] == before

    async def test_a_fixed_question_comes_first(self, compressor, scorer) -> None:
        block = SpecPrefillMemoryBlock(compressor=compressor, tokenizer_fn=count, query="night")
        await block.aget([user("Who barked?")])
        with handling(Recorder()) as heard:
            await block.atruncate(CONTENT, 300)
        assert scorer.calls[0][0] == "night"
        assert {event.query_sources for event in heard.events} == {("setting",)}

    async def test_a_blank_question_asks_the_conversation(self, compressor, scorer) -> None:
        block = SpecPrefillMemoryBlock(compressor=compressor, tokenizer_fn=count, query=" ")
        await block.aget([user("Who barked?")])
        with handling(Recorder()) as heard:
            await block.atruncate(CONTENT, 300)
        assert scorer.calls[0][0] == "Who barked?"
        assert {event.query_sources for event in heard.events} == {("user_message",)}

    async def test_no_question(self, block, scorer) -> None:
        with handling(Recorder()) as heard:
            await block.aget([says("Hello.")])
            await block.atruncate(CONTENT, 300)
        assert scorer.calls[0][0] is None
        assert {event.query_sources for event in heard.events} == {()}

    async def test_the_compressors_own_tokens_stay(self, block, compressor) -> None:
        counter = compressor.count_tokens
        await block.atruncate(CONTENT, 300)
        assert compressor.count_tokens is counter

    async def test_nothing_to_truncate(self, block) -> None:
        assert await block.atruncate([], 10) is None
        assert await block.atruncate("", 10) is None

    async def test_no_room(self, block, scorer) -> None:
        with handling(Recorder()) as heard:
            assert await block.atruncate("user: Hello.", 3) is None
            assert await block.atruncate("user: Hello.", 2) is None
        assert heard.reasons == ["no_room", "nothing_kept"]

    async def test_a_failing_draft_leaves_the_block_out(self, remember, scorer, caplog) -> None:
        scorer.error = RuntimeError("out of memory")
        forgiving = SpecPrefillMemoryBlock(compressor=ContextCompressor(scorer), tokenizer_fn=count)
        memory = await remember(forgiving)
        with handling(Recorder()) as heard:
            messages = await memory.aget(input="Who barked?")
        assert {message.role for message in messages} == {"user", "assistant"}
        assert heard.reasons == ["scorer_failed"]

    async def test_an_error_asked_for_is_raised(self, block, scorer) -> None:
        scorer.error = RuntimeError("out of memory")
        with pytest.raises(RuntimeError, match="out of memory"):
            await block.atruncate(CONTENT, 300)

    async def test_a_missing_draft_leaves_the_block_out(self, monkeypatch, caplog) -> None:
        def fail() -> None:
            raise ImportError

        monkeypatch.setattr(SHARED, fail)
        with caplog.at_level(logging.WARNING), handling(Recorder()) as heard:
            block = SpecPrefillMemoryBlock(tokenizer_fn=count)
            assert await block.atruncate(CONTENT, 300) is None
            assert await block.atruncate(CONTENT, 300) is None
        assert heard.reasons == ["failed", "failed"]
        [record] = caplog.records
        assert record.message.startswith("Left out earlier messages: failed (ImportError)")

    async def test_a_tokenizer_that_finds_no_token_has_failed(self, compressor) -> None:
        block = SpecPrefillMemoryBlock(compressor=compressor, tokenizer_fn=lambda _: [])
        with pytest.raises(TokenCounterError, match="gave 0"):
            await block.atruncate(CONTENT, 10)
        lenient = block.model_copy(
            update={"compressor": compressor.replace(on_error="pass_through")}
        )
        with handling(Recorder()) as heard:
            assert await lenient.atruncate(CONTENT, 10) is None
        assert heard.reasons == ["counter_failed"]

    async def test_it_can_be_written_down(self, block, compressor) -> None:
        await block.aput(TURNS[:2], session_id="s")
        data = json.loads(block.model_dump_json())
        assert not {"metrics", "tokenizer_fn"} & {*data}
        with pytest.raises(ValidationError, match="compressor"):
            SpecPrefillMemoryBlock(**data)
        restored = SpecPrefillMemoryBlock(**{**data, "compressor": compressor})
        assert restored.transcripts == block.transcripts

    def test_options_are_checked(self) -> None:
        with pytest.raises(ValidationError, match="querry"):
            SpecPrefillMemoryBlock(querry="dog")


class TestEventLoop:
    async def test_no_blocking_call_on_the_loop(self, block, scorer) -> None:
        scorer.seconds = 0.01
        with blockbuster_ctx():
            assert await block.atruncate(CONTENT, 300)

    async def test_the_shared_compressor_is_built_at_first_use_off_the_loop(
        self, monkeypatch
    ) -> None:
        builders = []
        shared = ContextCompressor(KeywordScorer())
        monkeypatch.setattr(SHARED, lambda: builders.append(threading.current_thread()) or shared)
        block = SpecPrefillMemoryBlock(tokenizer_fn=count)
        assert await block.atruncate("user: Hello.", 3) is None
        assert not builders
        assert await block.atruncate(CONTENT, 300)
        assert [thread is threading.main_thread() for thread in builders] == [False]
