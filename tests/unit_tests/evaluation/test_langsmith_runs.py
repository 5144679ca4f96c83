"""Runs as LangSmith has them: made by LangChain's own tracer, written by LangSmith's own writer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langsmith._internal._serde import dumps_json

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_files import read_cases
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.langchain import CaseRecorder
from tests.unit_tests.langchain.agents import QUESTION, ScriptedModel, calls, read

FIELDS = ("id", "name", "run_type", "start_time", "inputs", "outputs", "error", "parent_run_id")


class NumberedRetriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager) -> list[Document]:
        return [Document(f"found: {query}", metadata={"title": "Title"}), Document("No more.")]


class BrokenRetriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager) -> list[Document]:
        raise RuntimeError


def chain(retriever: BaseRetriever):
    prompt = ChatPromptTemplate.from_template("{context}\n\nQuestion: {input}")
    model = FakeListChatModel(responses=["Ada."])
    return {"context": retriever, "input": RunnablePassthrough()} | prompt | model


@pytest.fixture
def traced(tmp_path: Path) -> tuple[CaseRecorder, RunCollectorCallbackHandler, dict[str, Any]]:
    """The same runs, recorded by us and traced by LangChain."""
    recorder = CaseRecorder(tmp_path / "recorded.jsonl", task="runs")
    tracer = RunCollectorCallbackHandler()
    config = {"callbacks": [recorder, tracer]}
    (chain(NumberedRetriever()) | StrOutputParser()).invoke("Who?", config)
    chain(NumberedRetriever()).invoke("Which?", config)
    with pytest.raises(RuntimeError):
        chain(BrokenRetriever()).invoke("Who?", config)
    script = [calls("read:1", said="I will look."), calls("read:2"), AIMessage("At noon.")]
    agent = create_agent(ScriptedModel(script=script), [read])
    agent.invoke({"messages": [("user", QUESTION)]}, config)
    return recorder, tracer, config


def tree(run: Any) -> dict[str, Any]:
    """What LangSmith's own classes say of a run, in the words of its own writer."""
    fields = {name: getattr(run, name) for name in FIELDS}
    return {
        **json.loads(dumps_json(fields)),
        "child_runs": [tree(child) for child in run.child_runs],
    }


def one_by_one(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in runs:
        yield {name: run[name] for name in FIELDS}
        yield from one_by_one(run["child_runs"])


def as_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")
    return path


@pytest.mark.parametrize("form", ["trees", "list", "one by one", "last first"])
def test_a_trace_gives_what_a_recorder_writes(traced, tmp_path, form, caplog) -> None:
    recorder, tracer, _ = traced
    runs = [tree(run) for run in tracer.traced_runs]
    path = tmp_path / "runs.json"
    if form == "list":
        path.write_text(json.dumps(runs), "utf-8")
    elif form == "trees":
        as_lines(path, runs)
    else:
        flat = list(one_by_one(runs))
        as_lines(path, flat if form == "one by one" else flat[::-1])
    expected = read_cases(recorder.path)
    assert [case.query for case in expected] == ["Who?", "Which?", QUESTION]
    assert read_cases(path) == expected
    assert read_cases(path, 1) == expected[:1]
    assert "1 failed" in caplog.text
    assert "Who?" not in caplog.text


def test_runs_without_others_in_them_are_an_export(tmp_path) -> None:
    run = {
        "id": "1",
        "run_type": "chain",
        "child_runs": None,
        "inputs": {"question": "Who?", "context": "Ada does."},
        "outputs": {"answer": "Ada"},
    }
    [case] = read_cases(as_lines(tmp_path / "runs.jsonl", [run]))
    assert case == EvaluationCase(
        id="1", task="runs", query="Who?", texts=("Ada does.",), answers=("Ada",)
    )


def test_a_trace_that_makes_no_case_says_why(tmp_path) -> None:
    child = {"id": "2", "run_type": "llm", "inputs": {}, "outputs": None}
    run = {"id": "1", "run_type": "chain", "inputs": {"input": "Who?"}, "child_runs": [child]}
    with pytest.raises(
        EvaluationDataError, match=r"no run in this trace can become a case: 1 no documents"
    ):
        read_cases(as_lines(tmp_path / "runs.jsonl", [run]))


@pytest.mark.parametrize("odd", [None, 7, "x", [], [7], {"documents": 7}, {"messages": ["x", []]}])
def test_what_is_not_as_expected_is_passed_over(tmp_path, odd) -> None:
    fields = {"inputs": odd, "outputs": odd}
    inner = [
        {"id": str(n), "run_type": kind, **fields, "child_runs": odd}
        for n, kind in enumerate(("retriever", "tool", "llm", "chain", None))
    ]
    run = {"id": "root", "run_type": "chain", "child_runs": inner, **fields}
    with pytest.raises(EvaluationDataError, match="can become a case: 1 no documents"):
        read_cases(as_lines(tmp_path / "runs.jsonl", [run]))
