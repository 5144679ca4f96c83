"""LangChain documents and a question -> the same documents with less in them.

Translates and stamps; knows nothing about what is kept or why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import Runnable, RunnableLambda, ensure_config
from pydantic import ConfigDict
from typing_extensions import Self

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.langchain._events import EventData, aannounce, announce
from specprefill_integrations.observability._metrics import process_metrics
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.types import METADATA_KEY, Budget, Compression, TextHint


class SpecPrefillDocumentCompressor(BaseDocumentCompressor):
    """Keeps what a question needs of retrieved documents, under one budget for all of them.

    Order, ids and metadata stay; a document of which nothing is kept is dropped, so the result
    may be empty. Where the draft was asked to choose, every document says under
    `metadata["specprefill"]` which spans of its text were kept, and how many tokens there were and
    are; it is a plain `Document`, so that no subclass carries embeddings of the old text on.

    Passed through as they are, and not counted in the budget: documents without text, and those
    that say they were compressed before. What `ContextCompressor` passes through whole comes back
    equal to the input. The caller's documents are never changed.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    compressor: ContextCompressor | None = None
    """What compresses; None is the shared default, loaded at first use."""

    budget: Budget
    """How much may be kept of the text of all documents of a call together."""

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
            callbacks: Those of the run that this happens in; they hear of it as a custom event.

        Returns:
            Those documents of which something is kept, in the same order.

        Raises:
            MissingDependencyError: There is no compressor, and the default one's extra, `draft`, is
                not installed.
        """
        texts = _open_texts(documents)
        if not texts:
            return list(_rewritten(documents, []))
        compressor = self.compressor or shared_compressor()
        results = compressor.compress_documents(
            texts, query, budget=self.budget, hints=_hints(documents)
        )
        announce(_noted(results), ensure_config({"callbacks": callbacks}))
        return list(_rewritten(documents, results))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str | None,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """`compress_documents`, off the event loop."""
        texts = _open_texts(documents)
        if not texts:
            return list(_rewritten(documents, []))
        compressor = self.compressor
        if compressor is None:  # building it imports torch, which would hold up the event loop
            compressor = await asyncio.to_thread(shared_compressor)
        results = await compressor.acompress_documents(
            texts, query, budget=self.budget, hints=_hints(documents)
        )
        await aannounce(_noted(results), ensure_config({"callbacks": callbacks}))
        return list(_rewritten(documents, results))

    def as_runnable(self) -> Runnable[dict[str, Any], list[Document]]:
        """A step of a chain: `{"documents": ..., "query": ...}` in, documents out."""

        def compress(inputs: dict[str, Any]) -> list[Document]:
            return self.compress_documents(inputs["documents"], inputs["query"])

        async def acompress(inputs: dict[str, Any]) -> list[Document]:
            return await self.acompress_documents(inputs["documents"], inputs["query"])

        return RunnableLambda(compress, acompress, name=type(self).__name__)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the same compressor: it owns a lock and a model."""
        memo = {} if memo is None else memo
        memo[id(self.compressor)] = self.compressor
        return super().__deepcopy__(memo)


def _noted(results: Sequence[Compression]) -> EventData:
    """Add a call to the metrics, and say what an event tells of it."""
    before = sum(result.original_tokens for result in results)
    after = sum(result.kept_tokens for result in results)
    reasons = {result.skipped_because for result in results} - {"empty_text"}
    skipped = results[0].skipped_because if None not in reasons else None
    seconds = results[0].elapsed_seconds
    process_metrics().record(
        tokens_before=before, tokens_after=after, draft_seconds=seconds, skipped_because=skipped
    )
    return {
        "documents": len(results),
        "original_tokens": before,
        "kept_tokens": after,
        "skipped_because": skipped,
        "elapsed_seconds": seconds,
    }


def _open_texts(documents: Sequence[Document]) -> list[str]:
    return [document.page_content for document in documents if _is_open(document)]


def _hints(documents: Sequence[Document]) -> list[TextHint]:
    return [hint_from_metadata(document.metadata) for document in documents if _is_open(document)]


def _is_open(document: Document) -> bool:
    """Whether there is text to compress that was not compressed before."""
    return METADATA_KEY not in document.metadata and bool(document.page_content.strip())


def _rewritten(documents: Sequence[Document], results: Sequence[Compression]) -> Iterator[Document]:
    """`documents` with one result for each of the open ones."""
    remaining = iter(results)
    for document in documents:
        result = next(remaining) if _is_open(document) else None
        if result is None or result.skipped_because:
            yield _copied(document)
        elif result.kept:
            stamp = {METADATA_KEY: result.as_metadata()}
            yield Document(result.text, id=document.id, metadata={**document.metadata, **stamp})


def _copied(document: Document) -> Document:
    return document.model_copy(update={"metadata": dict(document.metadata)})
