"""The postprocessor inside LlamaIndex's own query engines."""

from __future__ import annotations

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex, get_response_synthesizer
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.retrievers.bm25 import BM25Retriever

from specprefill_integrations import Budget
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor

# LlamaIndex imports langchain-community by itself where it is installed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`langchain-community` is being sunset:DeprecationWarning"
)

QUESTION = "dog barked"
KEPT = "The dog barked at night."
CUT = "Rain fell on the hills."


@pytest.fixture
def door(compressor) -> SpecPrefillNodePostprocessor:
    return SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=20))


@pytest.fixture(params=["vectors", "keywords"])
def retriever(request, nodes) -> BaseRetriever:
    plain = [found.node.model_copy(update={"embedding": None}) for found in nodes]
    if request.param == "keywords":
        return BM25Retriever.from_defaults(nodes=plain, similarity_top_k=3)
    index = VectorStoreIndex(plain, embed_model=MockEmbedding(embed_dim=4))
    return index.as_retriever(similarity_top_k=3)


@pytest.fixture
def engine(retriever, door) -> RetrieverQueryEngine:
    """Its model answers with the prompt, so that an answer shows what reached the model."""
    return RetrieverQueryEngine.from_args(
        retriever,
        llm=MockLLM(),
        response_synthesizer=get_response_synthesizer(llm=MockLLM()),
        node_postprocessors=[door],
        callback_manager=CallbackManager(),
    )


async def test_only_compressed_text_reaches_the_model(engine, retriever, scorer) -> None:
    for response in (engine.query(QUESTION), await engine.aquery(QUESTION)):
        prompt = str(response)
        assert KEPT in prompt
        assert "[...]" in prompt
        assert CUT not in prompt
        assert "file_name: a.txt" in prompt
        assert "specprefill" not in prompt
        assert "kept_tokens" not in prompt
        found = {each.node.id_: each.score for each in retriever.retrieve(QUESTION)}
        sources = {each.node.id_: each.score for each in response.source_nodes}
        assert sources
        assert sources.items() <= found.items()
    assert [query for query, _ in scorer.calls] == [QUESTION, QUESTION]


def test_the_index_still_holds_the_originals(engine, retriever) -> None:
    before = [each.model_dump() for each in retriever.retrieve(QUESTION)]
    engine.query(QUESTION)
    assert [each.model_dump() for each in retriever.retrieve(QUESTION)] == before


async def test_citations_are_of_compressed_text(retriever, door) -> None:
    engine = CitationQueryEngine(
        retriever, llm=MockLLM(), node_postprocessors=[door], callback_manager=CallbackManager()
    )
    for response in (engine.query(QUESTION), await engine.aquery(QUESTION)):
        assert "Source 1:\n" in str(response)
        assert KEPT in str(response)
        assert CUT not in str(response)
        assert "specprefill" not in str(response)
        for source in response.source_nodes:
            assert source.metadata["specprefill"]["kept"]
            assert source.metadata["file_name"]


def test_spans_are_traced(door, nodes) -> None:
    handler = SimpleSpanHandler()
    dispatcher = get_dispatcher()
    dispatcher.add_span_handler(handler)
    try:
        door.postprocess_nodes(nodes, query_str=QUESTION)
    finally:
        dispatcher.span_handlers.remove(handler)
    names = [span.id_ for span in handler.completed_spans]
    assert any(name.startswith("SpecPrefillNodePostprocessor") for name in names)
