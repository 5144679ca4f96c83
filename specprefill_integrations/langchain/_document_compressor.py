"""Compression of LangChain documents for a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import Runnable, RunnableLambda, ensure_config
from pydantic import ConfigDict, model_validator
from typing_extensions import Self

from specprefill_integrations._arguments import check
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations._metadata import key_in
from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.langchain._events import EventData, aannounce, announce, event_data
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.tool_results import (
    QuerySource,
    is_compressible,
    outcome_of,
    outcome_of_skipped,
)
from specprefill_integrations.types import Budget, Compression, TextHint


class SpecPrefillDocumentCompressor(BaseDocumentCompressor):
    """Keeps what a question needs of retrieved documents, under one budget for all of them.

    Order, ids and metadata stay. A document of which nothing is kept is left out, so the result may
    be empty. A compressed document lists the kept spans of its text and the token counts under
    `metadata["specprefill"]`; it is a plain `Document`, so that no subclass keeps embeddings of the
    old text.

    Documents without text, documents that were compressed before and documents that
    `ContextCompressor` passes through come back unchanged; the first two are not counted in the
    budget. The caller's documents are never changed.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    compressor: ContextCompressor | None = None
    """The compressor; None is the shared default, loaded at first use."""

    budget: Budget
    """The budget of the text of all documents of a call together."""

    metrics: CompressionMetrics | None = None
    """Metrics to add counts to; None is `process_metrics()`."""

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        if self.compressor is not None:
            self.compressor.check_budget(self.budget)
        return self

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str | None,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """Keep what the question needs of `documents`.

        Args:
            documents: The documents; scored together.
            query: The question; None or blank keeps what matters for the texts as a whole.
            callbacks: The callbacks of the run; they receive a custom event.

        Returns:
            The documents of which something is kept, in the same order.

        Raises:
            MissingDependencyError: No compressor is given, and the extra `draft`, which the default
                needs, is not installed.
            TypeError: `documents` is no sequence of documents, `query` no text, or `callbacks` no
                callbacks.
        """
        _check(documents, query, callbacks)
        texts = _open_texts(documents)
        results: list[Compression] = []
        if texts:
            compressor = self.compressor or shared_compressor()
            results = compressor.compress_documents(
                texts, query, budget=self.budget, hints=_hints(documents)
            )
        if documents:
            data = self._recorded(documents, query, results)
            announce(data, ensure_config({"callbacks": callbacks}))
        return list(_rewritten(documents, query, results))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str | None,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """`compress_documents`, off the event loop."""
        _check(documents, query, callbacks)
        texts = _open_texts(documents)
        results: list[Compression] = []
        if texts:
            compressor = self.compressor
            if compressor is None:  # building it imports torch, which would block the event loop
                compressor = await run_in_thread(shared_compressor)
            results = await compressor.acompress_documents(
                texts, query, budget=self.budget, hints=_hints(documents)
            )
        if documents:
            data = self._recorded(documents, query, results)
            await aannounce(data, ensure_config({"callbacks": callbacks}))
        return list(_rewritten(documents, query, results))

    def as_runnable(self) -> Runnable[dict[str, Any], list[Document]]:
        """Make a step of a chain, from `{"documents": ..., "query": ...}` to documents.

        The step raises `TypeError` or `ValueError` if its input has another form.
        """

        def compress(inputs: dict[str, Any]) -> list[Document]:
            return self.compress_documents(*_documents_and_query(inputs))

        async def acompress(inputs: dict[str, Any]) -> list[Document]:
            return await self.acompress_documents(*_documents_and_query(inputs))

        return RunnableLambda(compress, acompress, name=type(self).__name__)

    def _recorded(
        self, documents: Sequence[Document], query: str | None, results: Sequence[Compression]
    ) -> EventData:
        """Add a call to the metrics, and return the data of its event."""
        outcome = outcome_of_skipped(document.metadata for document in documents)
        if results:
            outcome = outcome_of(results, query_sources=_sources(query))
        outcome.record(self.metrics)
        asked = list(outcome.query_sources)
        return event_data(outcome, documents=len(results), query_sources=asked)


def _check(documents: Sequence[Document], query: str | None, callbacks: Callbacks | None) -> None:
    check("documents", documents, Sequence[Document])
    check("query", query, str | None)
    check("callbacks", callbacks, Sequence[BaseCallbackHandler] | BaseCallbackManager | None)


def _documents_and_query(inputs: dict[str, Any]) -> tuple[Sequence[Document], str | None]:
    """Return the parts of a step's input."""
    check("The input of as_runnable()", inputs, Mapping[str, object])
    missing = [name for name in ("documents", "query") if name not in inputs]
    if missing:
        msg = f"The input of as_runnable() needs documents and query; {missing} not in it."
        raise ValueError(msg)
    return inputs["documents"], inputs["query"]


def _open_texts(documents: Sequence[Document]) -> list[str]:
    return [document.page_content for document in documents if _is_open(document)]


def _hints(documents: Sequence[Document]) -> list[TextHint]:
    return [hint_from_metadata(document.metadata) for document in documents if _is_open(document)]


def _is_open(document: Document) -> bool:
    return is_compressible(document.page_content, document.metadata)


def _sources(query: str | None) -> tuple[QuerySource, ...]:
    return ("caller",) if (query or "").strip() else ()


def _rewritten(
    documents: Sequence[Document], query: str | None, results: Sequence[Compression]
) -> Iterator[Document]:
    """The documents with their results; there is one for each open document."""
    remaining = iter(results)
    for document in documents:
        result = next(remaining) if _is_open(document) else None
        if result is None or result.skipped_because:
            yield _copied(document)
        elif not result.is_left_out:
            ours = result.as_metadata(query_sources=_sources(query))
            metadata = {**document.metadata, key_in(document.metadata): ours}
            yield Document(result.text, id=document.id, metadata=metadata)


def _copied(document: Document) -> Document:
    return document.model_copy(update={"metadata": dict(document.metadata)})
