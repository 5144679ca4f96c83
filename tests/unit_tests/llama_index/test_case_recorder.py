"""A LlamaIndex app's own runs as cases: engines, agents, workflows, with LlamaIndex's own parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.mock import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step

from specprefill_integrations import Budget
from specprefill_integrations.evaluation import EvaluationCase, read_cases
from specprefill_integrations.llama_index import (
    CaseRecorder,
    SpecPrefillNodePostprocessor,
    compress_tool,
)
from specprefill_integrations.observability import _app_run_recorder as app_run_recorder
from tests.unit_tests.llama_index.scripted import Script, calls, says

# LlamaIndex imports langchain-community by itself, and agents ask for what pydantic deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

LONG = "Rain fell on the hills. " * 200 + "The dog barked at noon."


class EchoLLM(MockLLM):
    """Answers with a word of what it is asked, in one piece or in two."""

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **_) -> CompletionResponse:  # noqa: FBT002 - LlamaIndex's
        return CompletionResponse(text=f"answer: {self.asked(prompt)}")

    @llm_completion_callback()
    def stream_complete(self, prompt, formatted=False, **_):  # noqa: FBT002
        def pieces() -> Iterator[CompletionResponse]:
            text = "answer: "
            yield CompletionResponse(text=text, delta=text)
            yield CompletionResponse(text=text + self.asked(prompt), delta=self.asked(prompt))

        return pieces()

    @staticmethod
    def asked(prompt: str) -> str:
        return prompt.partition("Query: ")[2].partition("\n")[0] or "yes"


class FailingLLM(MockLLM):
    def complete(self, prompt, **_):
        msg = "overloaded"
        raise RuntimeError(msg)


class NumberedRetriever(BaseRetriever):
    """Finds two nodes that say what was asked."""

    def _retrieve(self, query_bundle) -> list[NodeWithScore]:
        metadata = {"title": "Title", "file_path": "secret/path.txt"}
        return [
            NodeWithScore(
                node=TextNode(text=f"found: {query_bundle.query_str}", metadata=metadata)
            ),
            NodeWithScore(node=TextNode(text="No more is known.")),
        ]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[CaseRecorder]:
    recorder = CaseRecorder(tmp_path / "cases.jsonl", task="app")
    recorder.install()
    yield recorder
    recorder.remove()


async def recorded(recorder: CaseRecorder) -> list[EvaluationCase]:
    await asyncio.get_running_loop().shutdown_default_executor()
    return read_cases(recorder.path)


async def only(recorder: CaseRecorder) -> EvaluationCase:
    [case] = await recorded(recorder)
    return case


def engine(llm: MockLLM | None = None, **options: object):
    return RetrieverQueryEngine.from_args(NumberedRetriever(), llm=llm or EchoLLM(), **options)


def question(text: str = "Who keeps the light?") -> tuple[str, tuple[str, ...], str]:
    """What is recorded where this was asked: the question, the texts, the reply."""
    return text, (f"Title\n\nfound: {text}", "No more is known."), f"answer: {text}"


def parts(case: EvaluationCase) -> tuple[str | None, tuple[str, ...], str | None]:
    return case.query, case.texts, case.reply


class TestEngines:
    @pytest.mark.parametrize("run", ["query", "aquery"])
    async def test_a_query(self, recorder, run) -> None:
        response = getattr(engine(), run)("Who keeps the light?")
        if run == "aquery":
            response = await response
        case = await only(recorder)
        assert parts(case) == question()
        assert (case.task, case.answers, case.reply) == ("app", (), str(response))
        assert "secret" not in recorder.path.read_text("utf-8")

    @pytest.mark.parametrize("run", ["query", "aquery"])
    async def test_a_stream_once_it_is_read(self, recorder, run) -> None:
        if run == "query":
            response = engine(streaming=True).query("Who keeps the light?")
            assert recorder.counts == {}
            assert list(response.response_gen)
        else:
            response = await engine(streaming=True).aquery("Who keeps the light?")
            assert recorder.counts == {}
            assert [piece async for piece in response.async_response_gen()]
        assert parts(await only(recorder)) == question()

    async def test_streams_that_are_read_in_another_task(self, recorder) -> None:
        async def ask(text: str) -> None:
            response = await engine(streaming=True).aquery(text)
            await asyncio.sleep(0)
            async for _ in response.async_response_gen():
                await asyncio.sleep(0)

        await asyncio.gather(*(ask(f"question {number}") for number in range(8)))
        found = sorted(map(parts, await recorded(recorder)))
        assert found == [question(f"question {number}") for number in range(8)]

    async def test_a_stream_that_nobody_reads(self, recorder) -> None:
        engine(streaming=True).query("Who keeps the light?")
        assert await recorded(recorder) == []
        assert recorder.counts == {}

    async def test_what_our_door_compresses_is_recorded_as_it_was(
        self, recorder, compressor
    ) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=3))
        engine(node_postprocessors=[door]).query("Who keeps the light?")
        assert (await only(recorder)).texts == question()[1]

    @pytest.mark.parametrize("run", ["chat", "stream_chat"])
    async def test_a_chat_engine(self, recorder, run) -> None:
        memory = ChatMemoryBuffer.from_defaults(token_limit=1_000)  # the default opens a database
        chat = ContextChatEngine.from_defaults(NumberedRetriever(), llm=MockLLM(), memory=memory)
        response = getattr(chat, run)("Who keeps the light?")
        if run == "stream_chat":
            assert list(response.response_gen)
            async with asyncio.timeout(10):
                while not recorder.counts:  # noqa: ASYNC110 - a thread of LlamaIndex has yet to end
                    await asyncio.sleep(0.01)
        case = await only(recorder)
        assert parts(case)[:2] == question()[:2]
        assert case.reply

    async def test_a_retriever_of_retrievers_gives_what_it_gives(self, recorder) -> None:
        fusion = QueryFusionRetriever(
            [NumberedRetriever(), NumberedRetriever()],
            llm=MockLLM(),
            num_queries=1,
            use_async=False,
        )
        RetrieverQueryEngine.from_args(fusion, llm=EchoLLM()).query("Who keeps the light?")
        assert parts(await only(recorder)) == question()


class TestAgents:
    @staticmethod
    def tools() -> list[FunctionTool]:
        def look(path: str) -> str:
            """Look."""
            return f"contents of {path}"

        def fail() -> str:
            """Fail."""
            msg = "secret"
            raise RuntimeError(msg)

        return [FunctionTool.from_defaults(look), FunctionTool.from_defaults(fail)]

    @pytest.mark.parametrize("many", [False, True])
    async def test_results_of_tools_are_the_documents(self, recorder, many) -> None:
        script = Script(
            calls("look", path="a.txt"), calls("fail"), calls("look", path="b.txt"), says("Noon.")
        )
        agent = FunctionAgent(tools=self.tools(), llm=script.llm)
        app = AgentWorkflow(agents=[agent]) if many else agent
        await app.run(user_msg=ChatMessage(role="user", content="When?") if many else "When?")
        case = await only(recorder)
        texts = ("look\n\ncontents of a.txt", "look\n\ncontents of b.txt")
        assert parts(case) == ("When?", texts, "Noon.")

    async def test_what_our_door_compresses_is_recorded_as_it_was(
        self, recorder, compressor
    ) -> None:
        def read() -> str:
            """Read the log."""
            return LONG

        tool = FunctionTool.from_defaults(read)
        compressed = compress_tool(
            tool, compressor=compressor, budget=Budget(keep_fraction=0.1), min_tokens=100
        )
        script = Script(calls("read"), says("At noon."))
        await FunctionAgent(tools=[compressed], llm=script.llm).run("When did the dog bark?")
        assert len(script.tool_messages[0].content) < len(LONG) / 2
        assert (await only(recorder)).texts == (f"read\n\n{LONG}",)

    async def test_an_engine_within_a_tool_is_what_the_tool_gives(self, recorder) -> None:
        tool = QueryEngineTool.from_defaults(engine(), name="ask", description="Ask.")
        script = Script(calls("ask", input="Who?"), says("Ada."))
        await FunctionAgent(tools=[tool], llm=script.llm).run("Who keeps the light?")
        case = await only(recorder)
        assert parts(case) == ("Who keeps the light?", ("ask\n\nanswer: Who?",), "Ada.")

    async def test_a_workflow_of_ones_own(self, recorder) -> None:
        class Flow(Workflow):
            @step
            async def ask(self, ev: StartEvent) -> StopEvent:
                nodes = await NumberedRetriever().aretrieve(ev.query)
                return StopEvent(result=f"answer: {nodes[0].text.partition(': ')[2]}")

        await Flow().run(query="Who keeps the light?")
        assert parts(await only(recorder)) == question()


async def test_many_runs_at_once_do_not_mix(recorder) -> None:
    threads = (asyncio.to_thread(engine().query, f"question {number}") for number in range(10))
    tasks = (engine().aquery(f"question {number}") for number in range(10, 20))
    await asyncio.gather(*threads, *tasks)
    found = sorted(map(parts, await recorded(recorder)))
    assert found == sorted(question(f"question {number}") for number in range(20))
    assert recorder.counts == {"recorded": 20}


async def test_what_fails_is_counted_and_left_out(recorder) -> None:
    with pytest.raises(RuntimeError, match="overloaded"):
        engine(FailingLLM()).query("Who keeps the light?")
    assert recorder.counts == {"failed": 1}
    assert recorder.path.read_bytes() == b""


async def test_what_is_no_question_is_none(recorder) -> None:
    class Vector:
        """As of numpy."""

        def __bool__(self) -> bool:
            msg = "ambiguous"
            raise ValueError(msg)

    @get_dispatcher().span
    def app(query: object) -> str:
        return "Ada."

    assert app(Vector()) == "Ada."
    assert recorder.counts == {"no_documents": 1}


async def test_nothing_is_held_of_what_is_over(recorder, monkeypatch) -> None:
    list(engine(streaming=True).query("Who keeps the light?").response_gen)
    engine().query("Who keeps the light?")
    MockLLM().complete("hello")
    assert recorder.counts == {"recorded": 2, "no_documents": 2}
    monkeypatch.setattr(app_run_recorder, "_MAX_OPEN_RUNS", 1)  # room for one, if none is held
    engine().query("Who keeps the light?")
    assert recorder.counts == {"recorded": 3, "no_documents": 2}
    for handler in get_dispatcher("root").span_handlers:
        assert not handler.open_spans


async def test_a_recorder_that_was_removed_hears_nothing(recorder) -> None:
    root = get_dispatcher("root")
    heard = len(root.event_handlers), len(root.span_handlers)
    recorder.remove()
    engine().query("Who keeps the light?")
    assert recorder.counts == {}
    assert (len(root.event_handlers), len(root.span_handlers)) == (heard[0] - 1, heard[1] - 1)


def test_its_name_never_changes() -> None:
    assert CaseRecorder.class_name() == "CaseRecorder"
