"""A LangChain app's own runs as cases: chains, retrievers, agents, with LangChain's own parts."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import pytest
from langchain.agents import create_agent
from langchain_classic.chains import create_history_aware_retriever, create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_core.tools import InjectedToolCallId, create_retriever_tool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.types import Command

from specprefill_integrations import Budget
from specprefill_integrations.evaluation import EvaluationCase, read_cases
from specprefill_integrations.langchain import (
    CaseRecorder,
    SpecPrefillDocumentCompressor,
    SpecPrefillMiddleware,
)
from specprefill_integrations.observability import _app_run_recorder as app_run_recorder
from tests.unit_tests.langchain.agents import LONG, QUESTION, ScriptedModel, calls, read

FOUND = ("Title a\n\na says: Who?", "a knows no more.")
PROMPT = ChatPromptTemplate.from_template("{context}\n\nQuestion: {input}")


class NumberedRetriever(BaseRetriever):
    """Finds two documents that say what was asked."""

    name_of_it: str = "a"

    def _get_relevant_documents(self, query, *, run_manager) -> list[Document]:
        metadata = {"title": f"Title {self.name_of_it}", "source": "secret/path.txt"}
        return [
            Document(f"{self.name_of_it} says: {query}", metadata=metadata),
            Document(f"{self.name_of_it} knows no more."),
        ]


class BrokenRetriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager) -> list[Document]:
        msg = f"no index for {query}"
        raise RuntimeError(msg)


@pytest.fixture
def recorder(tmp_path: Path) -> CaseRecorder:
    return CaseRecorder(tmp_path / "cases.jsonl", task="app")


def config(recorder: CaseRecorder, **more: object) -> dict:
    return {"callbacks": [recorder], **more}


def recorded(recorder: CaseRecorder) -> list[EvaluationCase]:
    return read_cases(recorder.path)


def only(recorder: CaseRecorder) -> EvaluationCase:
    [case] = recorded(recorder)
    return case


def rag_chain(*replies: str, retriever: BaseRetriever | None = None):
    """The usual one, put together of runnables: a question in, a text out."""
    found = retriever or NumberedRetriever()
    return (
        {"context": found, "input": RunnablePassthrough()}
        | PROMPT
        | FakeListChatModel(responses=list(replies or ("Ada.",)))
        | StrOutputParser()
    )


class TestRetrieval:
    def test_a_chain(self, recorder) -> None:
        assert rag_chain().invoke("Who keeps the light?", config(recorder)) == "Ada."
        case = only(recorder)
        assert case == EvaluationCase(
            id=case.id,
            task="app",
            query="Who keeps the light?",
            texts=("Title a\n\na says: Who keeps the light?", "a knows no more."),
            answers=(),
            reply="Ada.",
        )
        line = json.loads(recorder.path.read_text("utf-8"))
        assert list(line) == ["id", "task", "query", "documents", "answers", "reply"]
        assert "secret" not in recorder.path.read_text("utf-8")

    @pytest.mark.parametrize("run", ["ainvoke", "stream", "astream", "batch", "abatch"])
    async def test_however_it_is_run(self, recorder, run) -> None:
        chain = rag_chain()
        match run:
            case "ainvoke":
                await chain.ainvoke("Who?", config(recorder))
            case "stream":
                assert "".join(chain.stream("Who?", config(recorder))) == "Ada."
            case "astream":
                assert [piece async for piece in chain.astream("Who?", config(recorder))]
            case "batch":
                chain.batch(["Who?"], config(recorder))
            case "abatch":
                await chain.abatch(["Who?"], config(recorder))
        await asyncio.get_running_loop().shutdown_default_executor()
        case = only(recorder)
        assert (case.query, case.texts[0], case.reply) == (
            "Who?",
            "Title a\n\na says: Who?",
            "Ada.",
        )

    def test_the_chains_of_langchain_classic(self, recorder) -> None:
        model = FakeListChatModel(responses=["Ada."])
        answering = create_stuff_documents_chain(model, PROMPT)
        create_retrieval_chain(NumberedRetriever(), answering).invoke(
            {"input": "Who?"}, config(recorder)
        )
        assert (only(recorder).query, only(recorder).reply) == ("Who?", "Ada.")

    def test_a_question_that_needs_what_was_said_before_is_the_retrievers(self, recorder) -> None:
        model = FakeListChatModel(responses=["Who keeps the light?", "Ada."])
        aware = create_history_aware_retriever(
            model, NumberedRetriever(), PROMPT.partial(context="")
        )
        chain = create_retrieval_chain(aware, create_stuff_documents_chain(model, PROMPT))
        history = [HumanMessage("There is a light."), AIMessage("I see.")]
        chain.invoke({"input": "And who keeps it?", "chat_history": history}, config(recorder))
        assert (only(recorder).query, only(recorder).reply) == ("Who keeps the light?", "Ada.")

    def test_retrievers_side_by_side_in_their_order(self, recorder) -> None:
        retrievers = {name: NumberedRetriever(name_of_it=name) for name in "abcd"}
        chain = RunnableParallel(retrievers) | RunnableLambda(lambda _: AIMessage("Ada."))
        chain.invoke("Who?", config(recorder))
        case = only(recorder)
        assert sorted(case.texts[::2]) == [f"Title {n}\n\n{n} says: Who?" for n in "abcd"]
        assert len(case.texts) == 8

    def test_a_retriever_of_retrievers_gives_what_it_gives(self, recorder) -> None:
        inner = [NumberedRetriever(name_of_it="a"), NumberedRetriever(name_of_it="a")]
        both = EnsembleRetriever(retrievers=inner, weights=[0.5, 0.5])
        rag_chain(retriever=both).invoke("Who?", config(recorder))
        assert only(recorder).texts == FOUND

    def test_what_our_door_compresses_is_recorded_as_it_was(self, recorder, compressor) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=7))
        compressing = ContextualCompressionRetriever(
            base_compressor=door, base_retriever=NumberedRetriever()
        )
        assert len(compressing.invoke("Who?")) == 1
        rag_chain(retriever=compressing).invoke("Who?", config(recorder))
        assert only(recorder).texts == FOUND

    def test_a_graph_of_ones_own(self, recorder) -> None:
        graph = StateGraph(dict)
        graph.add_node("find", lambda s: {**s, "found": NumberedRetriever().invoke(s["question"])})
        model = FakeListChatModel(responses=["Ada."])
        graph.add_node("say", lambda s: {**s, "answer": model.invoke(str(s["found"])).text})
        graph.add_edge("__start__", "find")
        graph.add_edge("find", "say")
        graph.compile().invoke({"question": "Who?"}, config(recorder))
        assert (only(recorder).query, only(recorder).reply) == ("Who?", "Ada.")


class TestAgents:
    @pytest.mark.parametrize("run", ["invoke", "ainvoke", "stream"])
    async def test_results_of_tools_are_the_documents(self, recorder, run) -> None:
        @tool
        def look(path: str) -> str:
            """Look."""
            return f"contents of {path}"

        script = [
            calls("look:1", said="I will look.", path="a.txt"),
            calls("look:2", "read:3", path="b.txt"),
            AIMessage("At noon."),
        ]
        agent = create_agent(ScriptedModel(script=script), [look, read])
        question = {"messages": [("user", QUESTION)]}
        if run == "invoke":
            agent.invoke(question, config(recorder))
        elif run == "ainvoke":
            await agent.ainvoke(question, config(recorder))
        else:
            assert list(agent.stream(question, config(recorder), stream_mode="messages"))
        await asyncio.get_running_loop().shutdown_default_executor()
        case = only(recorder)
        assert (case.query, case.reply) == (QUESTION, "At noon.")
        assert sorted(case.texts) == sorted(
            ["look\n\ncontents of a.txt", "look\n\ncontents of b.txt", f"read\n\n{LONG}"]
        )

    def test_what_the_middleware_compresses_is_recorded_as_it_was(
        self, recorder, compressor
    ) -> None:
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(keep_fraction=0.1), min_tokens=100
        )
        model = ScriptedModel(script=[calls("read"), AIMessage("At noon.")])
        agent = create_agent(model, [read], middleware=[middleware])
        state = agent.invoke({"messages": [("user", QUESTION)]}, config(recorder))
        assert len(state["messages"][-2].content) < len(LONG) / 2
        assert only(recorder).texts == (f"read\n\n{LONG}",)

    def test_every_turn_is_a_run_of_its_own(self, recorder) -> None:
        script = [calls("read:1"), AIMessage("At noon."), calls("read:2"), AIMessage("In Rome.")]
        agent = create_agent(ScriptedModel(script=script), [read], checkpointer=InMemorySaver())
        thread = config(recorder, configurable={"thread_id": "1"})
        for question in (QUESTION, "And where?"):
            agent.invoke({"messages": [{"role": "user", "content": question}]}, thread)
        assert [(case.query, case.reply) for case in recorded(recorder)] == [
            (QUESTION, "At noon."),
            ("And where?", "In Rome."),
        ]

    def test_commands_and_errors_of_tools(self, recorder) -> None:
        @tool
        def commanding(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
            """Command."""
            return Command(
                update={"messages": [ToolMessage("The dog barked.", tool_call_id=tool_call_id)]}
            )

        @tool
        def wrong(number: int) -> str:
            """Take a number."""
            return str(number)

        script = [calls("commanding:1"), calls("wrong:2", number="no number"), AIMessage("Then.")]
        agent = create_agent(ScriptedModel(script=script), [commanding, wrong])
        agent.invoke({"messages": [("user", QUESTION)]}, config(recorder))
        assert only(recorder).texts == ("commanding\n\nThe dog barked.",)

    def test_a_retriever_within_a_tool_is_what_the_tool_gives(self, recorder) -> None:
        search = create_retriever_tool(NumberedRetriever(), "search", "Search.")
        script = [calls("search", query="the dog"), AIMessage("At noon.")]
        create_agent(ScriptedModel(script=script), [search]).invoke(
            {"messages": [("user", QUESTION)]}, config(recorder)
        )
        case = only(recorder)
        assert case.query == QUESTION
        assert case.texts == ("search\n\na says: the dog\n\na knows no more.",)


class TestManyAtOnce:
    def test_threads(self, recorder) -> None:
        def run(number: int) -> None:
            rag_chain(f"reply {number}").invoke(f"question {number}", config(recorder))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(run, range(40)))
        self.check(recorder, 40)

    async def test_tasks(self, recorder) -> None:
        chains = [rag_chain(f"reply {number}") for number in range(40)]
        await asyncio.gather(
            *(chain.ainvoke(f"question {n}", config(recorder)) for n, chain in enumerate(chains))
        )
        await asyncio.get_running_loop().shutdown_default_executor()
        self.check(recorder, 40)

    @staticmethod
    def check(recorder: CaseRecorder, runs: int) -> None:
        cases = recorded(recorder)
        assert len({case.id for case in cases}) == len(cases) == runs
        for case in cases:
            assert case.reply == case.query.replace("question", "reply")
            assert case.texts[0] == f"Title a\n\na says: {case.query}"
        assert recorder.counts == {"recorded": runs}
        with pytest.MonkeyPatch.context() as patch:  # room for this one, if nothing else is held
            patch.setattr(app_run_recorder, "_MAX_OPEN_RUNS", 1)
            rag_chain().invoke("one more", config(recorder))
        assert recorder.counts == {"recorded": runs + 1}


class TestWhatMakesNoCase:
    def test_runs_that_fail(self, recorder, caplog) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(RuntimeError, match="no index"):
            rag_chain(retriever=BrokenRetriever()).invoke("Who?", config(recorder))
        assert recorder.counts == {"failed": 1}
        assert recorder.path.read_bytes() == b""
        assert "Who?" not in caplog.text

    def test_a_retriever_that_fails_and_is_replaced(self, recorder) -> None:
        retriever = BrokenRetriever().with_fallbacks([NumberedRetriever()])
        rag_chain(retriever=retriever).invoke("Who?", config(recorder))
        assert only(recorder).texts == FOUND

    @pytest.mark.parametrize("pieces", [1, 3])
    def test_a_stream_that_nobody_reads_on(self, recorder, pieces) -> None:
        stream = rag_chain().stream("Who?", config(recorder))
        assert [next(stream) for _ in range(pieces)] == list("Ada")[:pieces]
        stream.close()
        assert recorder.counts == {"abandoned": 1}

    def test_runs_that_find_nothing(self, recorder) -> None:
        FakeListChatModel(responses=["Ada."]).invoke("Who?", config(recorder))
        NumberedRetriever().invoke("Who?", config(recorder))
        assert recorder.counts == {"no_documents": 2}

    def test_runs_that_are_over_before_they_answer(self, recorder) -> None:
        model = ScriptedModel(script=[calls("read"), calls("read:2", said="I look again.")])
        agent = create_agent(model, [read], checkpointer=InMemorySaver(), interrupt_after=["model"])
        thread = config(recorder, configurable={"thread_id": "1"})
        agent.invoke({"messages": [("user", QUESTION)]}, thread)
        agent.invoke(None, thread)
        assert recorder.counts == {"no_documents": 1, "no_question": 1}


@pytest.mark.parametrize("given", [[1], [{"role": "tool", "content": "x"}], [{"role": []}]])
def test_what_is_no_question_is_none(recorder, given, caplog) -> None:
    RunnableLambda(lambda _: "Ada.").invoke({"messages": given}, config(recorder))
    assert recorder.counts == {"no_documents": 1}
    assert not caplog.records


def test_one_that_is_given_to_an_inner_run_takes_it_for_the_app(recorder) -> None:
    inner = rag_chain()
    outer = RunnableLambda(lambda text: inner.invoke(f"{text}?", config(recorder)))

    class Silent(BaseCallbackHandler):
        """Makes the outer run one that others know."""

    outer.invoke("Who", {"callbacks": [Silent()]})
    assert only(recorder).query == "Who?"


def test_another_recorder_goes_on_with_the_file(recorder) -> None:
    rag_chain("Ada.").invoke("Who?", config(recorder))
    again = CaseRecorder(recorder.path, max_cases=2)
    for reply in ("Eve.", "Ida."):
        rag_chain(reply).invoke("Who?", config(again))
    assert [case.reply for case in recorded(recorder)] == ["Ada.", "Eve."]
    assert again.counts == {"recorded": 1, "no_room": 1}
