"""Time to first token in LangChain apps: plain models, streams, agents, with LangChain's fakes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult, GenerationChunk
from langchain_core.runnables import RunnableLambda
from pydantic import Field

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import (
    SpecPrefillMiddleware,
    TtftCallbackHandler,
    compress_messages,
)
from specprefill_integrations.langchain._ttft_handler import DRAFT_SECONDS_KEY
from specprefill_integrations.observability import PromptChange, TokenUsage, TtftRecord
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.langchain.agents import (
    LONG,
    QUESTION,
    ScriptedModel,
    calls,
    read,
    scripted,
)

USAGE = {
    "input_tokens": 100,
    "output_tokens": 7,
    "total_tokens": 107,
    "input_token_details": {"cache_read": 40},
}


class PiecewiseModel(ScriptedModel):
    """Streams given pieces, each a while after the one before it, and notes when."""

    model: str = "small"
    pieces: list[AIMessageChunk]
    pause_seconds: float = 0.02
    sent: list[float] = Field(default_factory=list)

    def _stream(self, messages, stop=None, run_manager=None, **_) -> Iterator[ChatGenerationChunk]:
        for piece in self.pieces:
            time.sleep(self.pause_seconds)
            self.sent.append(time.perf_counter())
            yield ChatGenerationChunk(message=piece.model_copy(deep=True))


class PlainModel(FakeListLLM):
    """No chat model; streams letters."""

    def _stream(self, prompt, stop=None, run_manager=None, **_) -> Iterator[GenerationChunk]:
        for letter in self.responses[0]:
            run_manager.on_llm_new_token(letter)
            yield GenerationChunk(text=letter)


class BrokenModel(ScriptedModel):
    """Fails, as a provider may."""

    def _generate(self, messages, stop=None, run_manager=None, **_) -> ChatResult:
        msg = "overloaded"
        raise RuntimeError(msg)


@pytest.fixture
def handler() -> TtftCallbackHandler:
    return TtftCallbackHandler()


def config(handler: TtftCallbackHandler, **metadata: float) -> dict:
    return {"callbacks": [handler], "metadata": metadata}


def only_record(handler: TtftCallbackHandler) -> TtftRecord:
    [record] = handler.log.records
    return record


def came_with(record: TtftRecord, model: PiecewiseModel, piece: int) -> bool:
    """The first token came after this piece was sent, and not before."""
    since = time.perf_counter() - model.sent[piece]
    return record.total_seconds - record.first_token_seconds <= since


def pieces(*texts: str) -> list[AIMessageChunk]:
    last = AIMessageChunk("", usage_metadata=USAGE, chunk_position="last")
    return [*(AIMessageChunk(text) for text in texts), last]


def test_a_stream_has_a_first_token_and_usage(handler) -> None:
    model = PiecewiseModel(script=[], pieces=pieces("", "The", " dog"))
    assert "".join(piece.text for piece in model.stream("x", config(handler))) == "The dog"
    record = only_record(handler)
    assert record.usage == TokenUsage(input_tokens=100, cached_tokens=40, output_tokens=7)
    assert came_with(record, model, 1)  # the first piece was empty
    assert (record.is_compressed, record.draft_seconds) == (False, 0.0)
    assert record.model == "small"


async def test_an_asynchronous_stream_too(handler) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("The dog barked.")]))
    assert [piece async for piece in model.astream("x", config(handler))]
    record = only_record(handler)
    assert 0 < record.first_token_seconds <= record.total_seconds
    assert record.usage == TokenUsage()


@pytest.mark.parametrize("run", ["invoke", "ainvoke"])
async def test_an_answer_in_one_piece_says_so(handler, run) -> None:
    model = FakeListChatModel(responses=["The dog barked."])
    if run == "invoke":
        model.invoke("x", config(handler))
    else:
        await model.ainvoke("x", config(handler))
    record = only_record(handler)
    assert not record.is_streamed
    assert record.total_seconds > 0


def test_plain_models_too(handler) -> None:
    model = PlainModel(responses=["dog"])
    assert list(model.stream("x", config(handler))) == ["d", "o", "g"]
    assert only_record(handler).is_streamed


def test_the_protocol_of_stream_events_too(handler) -> None:
    model = PiecewiseModel(script=[], pieces=pieces("The", " dog"))
    stream = model.stream_events("x", config(handler), version="v3")
    assert "dog" in str(stream.output.text)
    assert only_record(handler).is_streamed


def test_a_call_of_a_tool_is_a_first_token(handler) -> None:
    call = {"name": "read", "args": "{}", "id": "1", "index": 0, "type": "tool_call_chunk"}
    chunks = [AIMessageChunk(""), AIMessageChunk("", tool_call_chunks=[call]), *pieces()]
    model = PiecewiseModel(script=[], pieces=chunks)
    list(model.stream("x", config(handler)))
    assert came_with(only_record(handler), model, 1)


def test_what_fails_is_counted(handler) -> None:
    with pytest.raises(RuntimeError, match="overloaded"):
        BrokenModel(script=[]).invoke("x", config(handler))
    assert (handler.log.records, handler.log.failed_calls) == ((), 1)


def test_a_stream_that_nobody_reads_on_is_counted(handler) -> None:
    stream = FakeListChatModel(responses=["The dog barked."]).stream("x", config(handler))
    next(stream)
    stream.close()
    assert (handler.log.records, handler.log.failed_calls) == ((), 1)


async def test_many_runs_at_once_do_not_mix(handler) -> None:
    models = [FakeListChatModel(responses=["ab"], sleep=0.005 * n) for n in range(1, 9)]

    async def run(model: FakeListChatModel) -> None:
        async for _ in model.astream("x", config(handler)):
            pass

    await asyncio.gather(*(run(model) for model in models))
    records = handler.log.records
    assert len({record.run_id for record in records}) == len(records) == 8
    assert all(record.is_streamed for record in records)


@pytest.fixture
def agent(compressor):
    middleware = SpecPrefillMiddleware(
        compressor=compressor, budget=Budget(keep_fraction=0.1), min_tokens=100
    )
    model = ScriptedModel(script=[calls("read"), calls("read:2"), AIMessage("At noon.")])
    return create_agent(model, [read], middleware=[middleware])


@pytest.mark.parametrize("run", ["invoke", "ainvoke"])
async def test_an_agent_pays_for_the_draft_before_the_call_that_needs_it(
    handler, agent, run
) -> None:
    question = {"messages": [("user", QUESTION)]}
    if run == "invoke":
        agent.invoke(question, config(handler))
    else:
        await agent.ainvoke(question, config(handler))
    first, second, third = handler.log.records
    assert (first.draft_seconds, first.saved_tokens) == (0.0, 0)
    assert second.draft_seconds > 0
    assert third.draft_seconds > 0
    assert third.saved_tokens == 2 * second.saved_tokens > 300
    assert [record.is_compressed for record in handler.log.records] == [False, True, True]


def test_an_agent_streams_its_model_where_its_messages_are_streamed(handler) -> None:
    agent = create_agent(PiecewiseModel(script=[], pieces=pieces("The", " dog")), [])
    question = {"messages": [("user", QUESTION)]}
    assert list(agent.stream(question, config(handler), stream_mode="messages"))
    assert only_record(handler).is_streamed


def test_the_next_question_begins_anew(handler, agent) -> None:
    agent.invoke({"messages": [("user", QUESTION)]}, config(handler))
    FakeListChatModel(responses=["yes"]).invoke("x", config(handler))
    assert not handler.log.records[-1].is_compressed


def test_an_app_that_compresses_by_itself_says_so(handler) -> None:
    model = FakeListChatModel(responses=["yes", "no"])
    list(model.stream("x", config(handler, **{DRAFT_SECONDS_KEY: 0.75})))
    record = only_record(handler)
    assert record.draft_seconds == pytest.approx(0.75)
    assert record.ttft_seconds == pytest.approx(0.75 + record.first_token_seconds)


@pytest.mark.parametrize("at", ["chain", "model"])
def test_what_is_said_once_counts_once(handler, at) -> None:
    model = FakeListChatModel(responses=["yes", "no"])
    told = {DRAFT_SECONDS_KEY: 0.75}

    def ask_twice(text: str) -> str:
        inner = {"metadata": told} if at == "model" else {}
        return model.invoke(text, inner).text + model.invoke(text).text

    outer = config(handler, **(told if at == "chain" else {}))
    assert RunnableLambda(ask_twice).invoke("x", outer) == "yesno"
    first, second = handler.log.records
    assert (first.draft_seconds, second.draft_seconds) == (pytest.approx(0.75), 0.0)


class TestPromptCache:
    """Savings are net of what a provider's prompt cache would have held."""

    def test_a_message_that_was_read_before_breaks_the_cached_prefix(self) -> None:
        usage = {
            "input_tokens": 300,
            "output_tokens": 5,
            "total_tokens": 305,
            "input_token_details": {"cache_read": 10, "cache_creation": 20},
        }
        answers = [AIMessage("At noon.", id=f"a{n}", usage_metadata=usage) for n in range(2)]
        step = compress_messages(
            compressor=ContextCompressor(KeywordScorer()),
            budget=Budget(max_tokens=16),
            min_tokens=10,
        )
        handler = TtftCallbackHandler()
        chain = step | GenericFakeChatModel(messages=iter(answers))
        talk = [
            HumanMessage(LONG, id="1"),
            AIMessage("Yes.", id="2"),
            HumanMessage(QUESTION, id="3"),
        ]
        for more in ([], [answers[0], HumanMessage("And then?", id="4")]):
            talk += more
            chain.invoke(talk, config={"callbacks": [handler]})
        first, second = handler.log.records
        saved = KeywordScorer().count_tokens([LONG])[0] - 16
        assert first.change == PromptChange(
            rewritten_tokens=saved, resent_tokens=count_tokens_approximately(talk[:2])
        )
        assert second.change == PromptChange(earlier_tokens=saved)
        assert first.usage.cache_write_tokens == 20
        assert first.saving.fresh_tokens < 0 < second.saving.cached_tokens == saved
        report = handler.log.report()
        assert f"{first.saving.cached_tokens + saved:,}" in report

    def test_a_result_that_is_compressed_on_arrival_breaks_nothing(self) -> None:
        handler = TtftCallbackHandler()
        middleware = SpecPrefillMiddleware(
            compressor=ContextCompressor(KeywordScorer()),
            budget=Budget(max_tokens=16),
            min_tokens=10,
        )
        agent = create_agent(
            scripted(calls("read:1"), calls("read:2")), [read], middleware=[middleware]
        )
        asked = {"messages": [HumanMessage(QUESTION)]}
        agent.invoke(asked, config={"callbacks": [handler]})
        saved = KeywordScorer().count_tokens([LONG])[0] - 16
        assert [record.change for record in handler.log.records] == [
            PromptChange(),
            PromptChange(new_tokens=saved),
            PromptChange(new_tokens=saved, earlier_tokens=saved),
        ]
