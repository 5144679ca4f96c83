"""Compression of LangChain documents where LangChain passes no question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import BaseDocumentTransformer, Document

from specprefill_integrations._arguments import checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._document_compressor import SpecPrefillDocumentCompressor
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.types import Budget


class SpecPrefillDocumentTransformer(BaseDocumentTransformer):
    """Keeps what matters of documents, under one budget for all of them.

    Documents are treated as by `SpecPrefillDocumentCompressor`.
    """

    @checked
    def __init__(
        self,
        *,
        compressor: ContextCompressor | None = None,
        budget: Budget,
        query: str | None = None,
        metrics: CompressionMetrics | None = None,
    ) -> None:
        """Create a transformer.

        Args:
            compressor: The compressor; None is the shared default, loaded at first use.
            budget: How much may be kept of the text of all documents of a call together.
            query: The question of calls that pass none; None keeps what matters for the texts as a
                whole.
            metrics: Metrics to add counts to; None is `process_metrics()`.

        Raises:
            TypeError: An argument has another type.
        """
        self.query = query
        self._compressor = SpecPrefillDocumentCompressor(
            compressor=compressor, budget=budget, metrics=metrics
        )

    def transform_documents(
        self,
        documents: Sequence[Document],
        *,
        query: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - LangChain's signature
    ) -> list[Document]:
        """Keep what the question needs of `documents`.

        Args:
            documents: The documents; scored together.
            query: The question of this call, in place of the one given at construction.
            kwargs: Must be empty.

        Returns:
            The documents of which something is kept, in the same order.

        Raises:
            TypeError: Another keyword than `query` is given.
        """
        _reject(kwargs)
        return self._compressor.compress_documents(documents, self._question(query))

    async def atransform_documents(
        self,
        documents: Sequence[Document],
        *,
        query: str | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[Document]:
        """`transform_documents`, off the event loop."""
        _reject(kwargs)
        return await self._compressor.acompress_documents(documents, self._question(query))

    def _question(self, query: str | None) -> str | None:
        return self.query if query is None else query


def _reject(kwargs: dict[str, Any]) -> None:
    """Reject unknown keywords: a misspelled `query` would be lost."""
    if kwargs:
        msg = f"Unknown keywords {sorted(kwargs)!r}; there is only `query`."
        raise TypeError(msg)
