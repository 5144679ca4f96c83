"""Time to first token in LlamaIndex apps: LlamaIndex's own mock model, engines and agents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, LLMMetadata
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms.mock import MockLLM
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool

from specprefill_integrations import Budget
from specprefill_integrations.llama_index import (
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
    TtftEventHandler,
    compress_tool,
)
from specprefill_integrations.observability import TtftRecord
from tests.unit_tests.llama_index.scripted import Script, calls, says

# LlamaIndex imports langchain-community by itself, and agents ask for what pydantic deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

HELLO = [ChatMessage(role="user", content="hello")]
HALF = Budget(keep_fraction=0.5)


class FailingLLM(MockLLM):
    def complete(self, prompt, **_):
        msg = "overloaded"
        raise RuntimeError(msg)


@pytest.fixture
def handler() -> Iterator[TtftEventHandler]:
    handler = TtftEventHandler()
    handler.install()
    yield handler
    handler.remove()


def only_record(handler: TtftEventHandler) -> TtftRecord:
    [record] = handler.log.records
    return record


def test_a_stream_has_a_first_token(handler) -> None:
    assert list(MockLLM(max_tokens=3).stream_chat(HELLO))
    record = only_record(handler)
    assert 0 < record.first_token_seconds <= record.total_seconds
    assert record.run_id.startswith("MockLLM.stream_chat-")


async def test_asynchronous_streams_too(handler) -> None:
    stream = await MockLLM(max_tokens=3).astream_chat(HELLO)
    assert [piece async for piece in stream]
    stream = await MockLLM(max_tokens=3).astream_complete("hello")
    assert [piece async for piece in stream]
    assert [record.is_streamed for record in handler.log.records] == [True, True]


@pytest.mark.parametrize("run", ["chat", "complete", "achat", "acomplete"])
async def test_an_answer_in_one_piece_says_so(handler, run) -> None:
    answer = getattr(MockLLM(max_tokens=3), run)(HELLO if "chat" in run else "hello")
    if run.startswith("a"):
        await answer
    record = only_record(handler)
    assert not record.is_streamed
    assert record.total_seconds > 0


def test_the_model_is_named(handler) -> None:
    class NamedLLM(MockLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(model_name="small")

    for llm in (NamedLLM(max_tokens=3), MockLLM(max_tokens=3)):
        llm.chat(HELLO)
    assert [record.model for record in handler.log.records] == ["small", None]


def test_what_fails_is_counted(handler) -> None:
    with pytest.raises(RuntimeError, match="overloaded"):
        FailingLLM().chat(HELLO)
    assert (handler.log.records, handler.log.failed_calls) == ((), 1)


async def test_many_calls_at_once_do_not_mix(handler) -> None:
    async def run() -> None:
        stream = await MockLLM(max_tokens=3).astream_chat(HELLO)
        async for _ in stream:
            await asyncio.sleep(0.001)

    await asyncio.gather(*(run() for _ in range(8)))
    records = handler.log.records
    assert len({record.run_id for record in records}) == len(records) == 8
    assert all(record.is_streamed for record in records)


@pytest.mark.parametrize("streaming", [False, True])
def test_an_engine_pays_for_the_draft(handler, compressor, nodes, streaming) -> None:
    texts = [TextNode(text=node.node.text) for node in nodes]
    engine = VectorStoreIndex(texts, embed_model=MockEmbedding(embed_dim=2)).as_query_engine(
        llm=MockLLM(max_tokens=3),
        streaming=streaming,
        node_postprocessors=[SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)],
    )
    assert "text" in str(engine.query("Which dog barked?"))
    record = only_record(handler)
    assert record.draft_seconds > 0
    assert record.saved_tokens > 0
    assert record.is_streamed == streaming


def test_a_question_that_follows_begins_anew(handler, compressor, nodes) -> None:
    door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
    door.postprocess_nodes(nodes, query_str="dog barked")
    for _ in range(2):
        MockLLM(max_tokens=3).complete("hello")
    assert [record.is_compressed for record in handler.log.records] == [True, False]


def test_nobody_waits_for_ingestion(handler, compressor, nodes) -> None:
    transform = SpecPrefillTransform(
        compressor=compressor, compressor_name="keywords", budget=HALF, query="dog barked"
    )
    assert transform([node.node for node in nodes])
    MockLLM(max_tokens=3).complete("hello")
    assert not only_record(handler).is_compressed


async def test_an_agent_pays_for_the_draft_before_the_call_that_needs_it(
    handler, compressor
) -> None:
    def read() -> str:
        """Read the log."""
        return "Rain fell on the hills. " * 200 + "The dog barked at noon."

    tool = compress_tool(
        FunctionTool.from_defaults(read), compressor=compressor, budget=Budget(keep_fraction=0.1)
    )
    script = Script(calls("read"), says("At noon."))
    agent = FunctionAgent(tools=[tool], llm=script.llm)
    assert "noon" in str(await agent.run("When did the dog bark?"))
    first, second = handler.log.records
    assert not first.is_compressed
    assert second.draft_seconds > 0
    assert second.saved_tokens > 900


def test_a_handler_that_was_removed_hears_nothing(handler) -> None:
    root = get_dispatcher("root")
    heard = len(root.event_handlers), len(root.span_handlers)
    handler.remove()
    MockLLM(max_tokens=3).complete("hello")
    assert handler.log.records == ()
    assert (len(root.event_handlers), len(root.span_handlers)) == (heard[0] - 1, heard[1] - 1)


def test_nothing_is_kept_of_what_is_over(handler, compressor, nodes) -> None:
    door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
    door.postprocess_nodes(nodes, query_str="dog barked")
    for _ in range(2):
        list(MockLLM(max_tokens=3).stream_chat(HELLO))
    assert [record.is_compressed for record in handler.log.records] == [True, False]
    for spans in get_dispatcher("root").span_handlers:
        assert not spans.open_spans
