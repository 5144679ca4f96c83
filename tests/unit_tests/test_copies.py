"""Copies of integrations: however they are made, they compress alike.

They hold compressors, so these laws need `ContextCompressor` to copy and pickle.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import io
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import joblib
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import (
    RecallTool,
    SpecPrefillContextEdit,
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
    SpecPrefillMiddleware,
    ToolPolicy,
    compress_messages,
)
from specprefill_integrations.llama_index import (
    SpecPrefillMemoryBlock,
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
    compress_tool,
    recall_tool,
)
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals import InMemoryOriginals, SqliteOriginals
from specprefill_integrations.testing import KeywordScorer

TEXT = f"{'Rain fell on the hills. ' * 20}The dog barked at noon. {'It snowed all day. ' * 20}"
QUESTION = "When did the dog bark?"
KEPT = "The dog barked at noon."
BUDGET = Budget(max_tokens=40)


def read_log(name: str) -> str:
    """Read a log."""
    return TEXT


def the_question(_: Any) -> str:
    return QUESTION


def count_words(text: str) -> list[str]:
    return text.split()


def given() -> dict[str, Any]:
    return {"compressor": ContextCompressor(KeywordScorer(), on_error="raise")}


def of_agents() -> dict[str, Any]:
    return {
        **given(),
        "budget": BUDGET,
        "min_tokens": 50,
        "tool_policies": {"write_*": ToolPolicy(min_tokens=9)},
        "query": the_question,
        "originals": InMemoryOriginals(),
        "metrics": CompressionMetrics(),
        "ttft_log": TtftLog(),
    }


class Case(NamedTuple):
    make: Callable[[], Any]
    use: Callable[[Any], str]


def use_middleware(middleware: SpecPrefillMiddleware) -> str:
    message = ToolMessage(TEXT, tool_call_id="1", name="read_log")
    request = FakeRequest(
        tool_call={"name": "read_log", "args": {}, "id": "1", "type": "tool_call"}
    )
    return str(middleware.wrap_tool_call(request, lambda _: message).content)  # type: ignore[arg-type, union-attr]


@dataclasses.dataclass
class FakeRequest:
    """A tool call outside of an agent."""

    tool_call: dict[str, Any]
    tool: None = None
    state: None = None
    runtime: None = None


def use_compress_messages(step: Any) -> str:
    messages = [ToolMessage(TEXT, tool_call_id="1", id="1"), HumanMessage(QUESTION, id="2")]
    return str(step.invoke(messages)[0].content)


def use_context_edit(edit: SpecPrefillContextEdit) -> str:
    call = {"name": "read_log", "args": {}, "id": "1"}
    messages = [
        HumanMessage(QUESTION, id="q"),
        AIMessage("", tool_calls=[call], id="a"),
        ToolMessage(TEXT, tool_call_id="1", id="t"),
    ]
    edit.apply(messages, count_tokens=lambda _: 1000)  # type: ignore[arg-type]
    return str(messages[-1].content)


def use_documents(compressor: SpecPrefillDocumentCompressor) -> str:
    return compressor.compress_documents([Document(TEXT)], QUESTION)[0].page_content


def use_transformer(transformer: SpecPrefillDocumentTransformer) -> str:
    return transformer.transform_documents([Document(TEXT)])[0].page_content


def use_postprocessor(postprocessor: SpecPrefillNodePostprocessor) -> str:
    nodes = [NodeWithScore(node=TextNode(text=TEXT))]
    return postprocessor.postprocess_nodes(nodes, query_str=QUESTION)[0].text


def use_transform(transform: SpecPrefillTransform) -> str:
    return transform([TextNode(text=TEXT)])[0].get_content()


def use_memory_block(block: SpecPrefillMemoryBlock) -> str:
    return asyncio.run(block.atruncate(TEXT, 130)) or ""


def use_tool(tool: FunctionTool) -> str:
    return tool.call(name="a").content


CASES = {
    "middleware": Case(lambda: SpecPrefillMiddleware(**of_agents()), use_middleware),
    "context_edit": Case(
        lambda: SpecPrefillContextEdit(**of_agents(), keep_results=0), use_context_edit
    ),
    "compress_messages": Case(
        lambda: compress_messages(**of_agents(), keep_results=0), use_compress_messages
    ),
    "document_compressor": Case(
        lambda: SpecPrefillDocumentCompressor(**given(), budget=BUDGET), use_documents
    ),
    "document_transformer": Case(
        lambda: SpecPrefillDocumentTransformer(**given(), budget=BUDGET, query=QUESTION),
        use_transformer,
    ),
    "node_postprocessor": Case(
        lambda: SpecPrefillNodePostprocessor(**given(), budget=BUDGET), use_postprocessor
    ),
    "transform": Case(
        lambda: SpecPrefillTransform(
            **given(), compressor_name="keywords", budget=BUDGET, query=QUESTION
        ),
        use_transform,
    ),
    "memory_block": Case(
        lambda: SpecPrefillMemoryBlock(**given(), query=QUESTION, tokenizer_fn=count_words),
        use_memory_block,
    ),
    "compress_tool": Case(
        lambda: compress_tool(FunctionTool.from_defaults(read_log), **of_agents()), use_tool
    ),
}


@dataclasses.dataclass
class Holder:
    """An app's own settings."""

    held: Any


def through_joblib(value: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301
    "cloudpickle": lambda value: pickle.loads(cloudpickle.dumps(value)),  # noqa: S301
    "joblib": through_joblib,
    "asdict": lambda value: dataclasses.asdict(Holder(value))["held"],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_copy_compresses_alike(case: Case, way: Callable[[Any], Any]) -> None:
    value = case.make()
    copied = way(value)
    if isinstance(copied, dict):  # the value is a dataclass itself
        assert copied["budget"] == dataclasses.asdict(BUDGET)
        return
    assert copied is not value
    shown = case.use(copied)
    assert KEPT in shown
    assert len(shown) < len(TEXT) / 2
    assert shown == case.use(value)


def use_pickled(name: str, pickled: bytes) -> str:
    return CASES[name].use(pickle.loads(pickled))  # noqa: S301


def test_a_copy_in_a_spawned_process_compresses_alike() -> None:
    values = {name: case.make() for name, case in CASES.items()}
    pickles = {name: pickle.dumps(value) for name, value in values.items()}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        shown = list(pool.map(use_pickled, pickles, pickles.values()))
    assert shown == [CASES[name].use(value) for name, value in values.items()]


@pytest.mark.parametrize("of", ["middleware", "compress_tool"])
def test_a_deep_copy_shares_its_store_and_metrics(of: str) -> None:
    value = CASES[of].make()
    copied = copy.deepcopy(value)
    CASES[of].use(copied)
    assert copied.settings.originals is value.settings.originals
    assert value.settings.metrics.totals().compressed == 1


def test_a_store_in_a_file_is_the_same_file(tmp_path: Path) -> None:
    store = SqliteOriginals(tmp_path / "originals.sqlite")
    middleware = SpecPrefillMiddleware(**{**of_agents(), "originals": store})
    copied = pickle.loads(pickle.dumps(middleware))  # noqa: S301
    use_middleware(copied)
    assert store.get(store.reference_of(TEXT)) == TEXT


@pytest.mark.parametrize("make", [recall_tool, lambda store: RecallTool(originals=store)])
def test_recall_tools(make: Callable[[Any], Any]) -> None:
    store = InMemoryOriginals()
    reference = store.put(TEXT)
    tool = pickle.loads(pickle.dumps(make(store)))  # noqa: S301
    asked = {"reference": f"no {reference}0", "around": ""}
    answer = tool.invoke(asked) if isinstance(tool, RecallTool) else tool.call(**asked).content
    assert "There is no reference" in answer


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forks in a process with threads
def test_workers_of_an_ingestion_pipeline_use_the_compressor_that_was_given() -> None:
    transform = CASES["transform"].make()
    nodes = [TextNode(text=TEXT, id_=str(number)) for number in range(2)]
    made = IngestionPipeline(transformations=[transform]).run(nodes=nodes, num_workers=2)
    assert [node.get_content() for node in made] == [use_transform(transform)] * 2


def test_workers_never_swap_a_compressor_that_cannot_be_pickled() -> None:
    unpicklable = ContextCompressor(KeywordScorer(), leave_whole=lambda *_: False)
    transform = SpecPrefillTransform(
        compressor=unpicklable, compressor_name="keywords", budget=BUDGET
    )
    nodes = [TextNode(text=TEXT, id_=str(number)) for number in range(2)]
    with pytest.raises(TypeError, match="the compressor cannot be pickled"):
        IngestionPipeline(transformations=[transform]).run(nodes=nodes, num_workers=2)
