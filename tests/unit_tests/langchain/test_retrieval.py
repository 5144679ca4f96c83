"""The doors inside LangChain's own retrievers, pipelines and chains."""

from __future__ import annotations

import pytest
from langchain_classic.chains import create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import (
    DocumentCompressorPipeline,
    EmbeddingsFilter,
)
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.fake_chat_models import ParrotFakeChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_text_splitters import CharacterTextSplitter

from specprefill_integrations import Budget
from specprefill_integrations.langchain import (
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
)
from specprefill_integrations.langchain._events import EVENT_NAME
from specprefill_integrations.observability import CompressionMetrics, process_metrics

QUESTION = "dog barked"
KEPT = "The dog barked at night."
CUT = "Rain fell on the hills."


class ListRetriever(BaseRetriever):
    """Finds everything, always."""

    documents: list[Document]

    def _get_relevant_documents(self, query, *, run_manager) -> list[Document]:
        return self.documents


class LetterEmbeddings(Embeddings):
    """Counts letters, and remembers what it was given to embed."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded.extend(texts)
        return [[1.0 + text.casefold().count(letter) for letter in "aeiorstdog"] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Recorder(BaseCallbackHandler):
    """Remembers what retrievers and runnables handed back."""

    def __init__(self) -> None:
        self.retrieved: list[list[Document]] = []
        self.runs: list[str] = []
        self.events: list[tuple[str, dict]] = []

    def on_custom_event(self, name, data, **_) -> None:
        self.events.append((name, data))

    def on_retriever_end(self, documents, **_) -> None:
        self.retrieved.append(documents)

    def on_chain_start(self, *_, name=None, **__) -> None:
        self.runs.append(name)


@pytest.fixture
def door(compressor) -> SpecPrefillDocumentCompressor:
    return SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=20))


@pytest.fixture
def retriever(documents) -> ListRetriever:
    return ListRetriever(documents=documents)


class TestContextualCompressionRetriever:
    async def test_retrieves_what_the_question_needs(self, door, retriever, scorer) -> None:
        compressing = ContextualCompressionRetriever(base_compressor=door, base_retriever=retriever)
        out = compressing.invoke(QUESTION)
        assert [(document.id, document.page_content) for document in out] == [
            ("a", f"[...] {KEPT} [...]"),
            ("b", "The dog slept."),
        ]
        assert await compressing.ainvoke(QUESTION) == out
        assert [query for query, _ in scorer.calls] == [QUESTION, QUESTION]

    async def test_callbacks_see_the_found_and_the_compressed(self, door, retriever) -> None:
        compressing = ContextualCompressionRetriever(base_compressor=door, base_retriever=retriever)
        for recorder, out in [
            (one := Recorder(), compressing.invoke(QUESTION, {"callbacks": [one]})),
            (two := Recorder(), await compressing.ainvoke(QUESTION, {"callbacks": [two]})),
        ]:
            assert recorder.retrieved == [retriever.documents, out]

    async def test_tells_what_was_done_in_numbers(self, door, retriever) -> None:
        recorder = Recorder()
        chain = ContextualCompressionRetriever(base_retriever=retriever, base_compressor=door)
        before = process_metrics().totals()
        chain.invoke(QUESTION, config={"callbacks": [recorder]})
        await chain.ainvoke(QUESTION, config={"callbacks": [recorder]})
        (name, told), again = recorder.events
        assert name == EVENT_NAME
        assert {**told, "elapsed_seconds": 0} == {**again[1], "elapsed_seconds": 0}
        assert told["kept_tokens"] <= 20 < told["original_tokens"]
        assert told["skipped_because"] is None
        assert KEPT not in str(recorder.events)
        after = process_metrics().totals()
        assert after.calls == before.calls + 2
        assert after.tokens_after == before.tokens_after + 2 * told["kept_tokens"]

    def test_tells_that_nothing_was_kept(self, compressor, retriever) -> None:
        recorder, metrics = Recorder(), CompressionMetrics()
        strict = SpecPrefillDocumentCompressor(
            compressor=compressor, budget=Budget(max_tokens=1), metrics=metrics
        )
        chain = ContextualCompressionRetriever(base_retriever=retriever, base_compressor=strict)
        assert chain.invoke(QUESTION, config={"callbacks": [recorder]}) == []
        [(_, told)] = recorder.events
        assert (told["skipped_because"], told["kept_tokens"]) == ("nothing_kept", 0)
        assert metrics.totals().skips == {"nothing_kept": 1}

    @pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning")
    def test_works_on_a_keyword_index(self, door, documents) -> None:
        from langchain_community.retrievers import BM25Retriever  # noqa: PLC0415 - warns

        found = BM25Retriever.from_documents(documents, k=2)
        compressing = ContextualCompressionRetriever(base_compressor=door, base_retriever=found)
        texts = {document.id: document.page_content for document in compressing.invoke(QUESTION)}
        assert KEPT in texts["a"]
        assert CUT not in texts["a"]
        assert found.docs == documents


class TestDocumentCompressorPipeline:
    async def test_splitting_first(self, compressor, documents) -> None:
        splitter = CharacterTextSplitter(separator=". ", chunk_size=20, chunk_overlap=0)
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=6))
        pipeline = DocumentCompressorPipeline(transformers=[splitter, door])
        out = pipeline.compress_documents(documents, QUESTION)
        assert [document.page_content for document in out] == ["The dog barked at night"]
        assert out[0].metadata["source"] == "a.txt"
        assert await pipeline.acompress_documents(documents, QUESTION) == out

    async def test_splitting_last_keeps_the_stamp(self, door, documents) -> None:
        splitter = CharacterTextSplitter(separator=" ", chunk_size=20, chunk_overlap=0)
        pipeline = DocumentCompressorPipeline(transformers=[door, splitter])
        out = pipeline.compress_documents(documents, QUESTION)
        assert len(out) > 2
        assert all(document.metadata["specprefill"]["kept"] for document in out)
        assert await pipeline.acompress_documents(documents, QUESTION) == out

    async def test_callbacks_are_taken(self, door, documents) -> None:
        pipeline = DocumentCompressorPipeline(transformers=[door])
        out = pipeline.compress_documents(documents, QUESTION, callbacks=[Recorder()])
        assert out == door.compress_documents(documents, QUESTION, [Recorder()])
        assert out == await pipeline.acompress_documents(
            documents, QUESTION, callbacks=[Recorder()]
        )

    async def test_a_transformer_is_given_no_question(self, compressor, scorer, documents) -> None:
        door = SpecPrefillDocumentTransformer(compressor=compressor, budget=Budget(max_tokens=20))
        pipeline = DocumentCompressorPipeline(transformers=[door])
        pipeline.compress_documents(documents, QUESTION)
        await pipeline.acompress_documents(documents, QUESTION)
        assert [query for query, _ in scorer.calls] == [None, None]

    @pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning")
    def test_embeddings_of_the_old_text_are_not_used_for_the_new(self, door, documents) -> None:
        from langchain_community.document_transformers import EmbeddingsRedundantFilter  # noqa: PLC0415 - warns

        embeddings = LetterEmbeddings()
        pipeline = DocumentCompressorPipeline(
            transformers=[
                EmbeddingsRedundantFilter(embeddings=embeddings, similarity_threshold=1.1),
                door,
                EmbeddingsFilter(embeddings=embeddings, k=5),
            ]
        )
        out = pipeline.compress_documents(documents, QUESTION)
        assert {document.page_content for document in out} <= set(embeddings.embedded)
        assert f"[...] {KEPT} [...]" in embeddings.embedded


class TestChains:
    async def test_a_step_between_retriever_and_prompt(self, door, retriever, scorer) -> None:
        chain = (
            {"documents": retriever, "query": RunnablePassthrough()}
            | door.as_runnable()
            | RunnableLambda(lambda found: "\n".join(document.page_content for document in found))
        )
        assert chain.invoke(QUESTION) == f"[...] {KEPT} [...]\nThe dog slept."
        assert await chain.ainvoke(QUESTION) == chain.invoke(QUESTION)
        assert len(scorer.calls) == 3

    async def test_many_questions_at_once(self, door, documents) -> None:
        step = door.as_runnable()
        inputs = [{"documents": documents, "query": query} for query in (QUESTION, "prices", None)]
        expected = [door.compress_documents(documents, each["query"]) for each in inputs]
        assert step.batch(inputs) == expected
        assert await step.abatch(inputs) == expected

    async def test_a_run_of_its_own_name(self, door, documents) -> None:
        recorder = Recorder()
        inputs = {"documents": documents, "query": QUESTION}
        await door.as_runnable().ainvoke(inputs, {"callbacks": [recorder]})
        door.as_runnable().invoke(inputs, {"callbacks": [recorder]})
        assert recorder.runs == ["SpecPrefillDocumentCompressor"] * 2

    def test_a_forgotten_question_is_an_error(self, door, documents) -> None:
        with pytest.raises(ValueError, match="query"):
            door.as_runnable().invoke({"documents": documents})

    async def test_only_compressed_text_reaches_the_model(self, door, retriever) -> None:
        prompt = ChatPromptTemplate.from_template("{context}\n\nQuestion: {input}")
        chain = create_retrieval_chain(
            ContextualCompressionRetriever(base_compressor=door, base_retriever=retriever),
            create_stuff_documents_chain(ParrotFakeChatModel(), prompt),
        )
        out = chain.invoke({"input": QUESTION})
        assert out["answer"] == f"[...] {KEPT} [...]\n\nThe dog slept.\n\nQuestion: {QUESTION}"
        assert [document.id for document in out["context"]] == ["a", "b"]
        assert (await chain.ainvoke({"input": QUESTION}))["answer"] == out["answer"]
