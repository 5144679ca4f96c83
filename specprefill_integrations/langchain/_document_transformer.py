"""The document compressor for the places where LangChain hands no question over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import BaseDocumentTransformer, Document

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._document_compressor import SpecPrefillDocumentCompressor
from specprefill_integrations.types import Budget


class SpecPrefillDocumentTransformer(BaseDocumentTransformer):
    """Keeps what matters of documents, under one budget for all of them.

    What becomes of the documents is what `SpecPrefillDocumentCompressor` says.
    """

    def __init__(
        self,
        *,
        compressor: ContextCompressor | None = None,
        budget: Budget,
        query: str | None = None,
    ) -> None:
        """Say how much to keep, and what for.

        Args:
            compressor: What compresses; None is the shared default, loaded at first use.
            budget: How much may be kept of the text of all documents of a call together.
            query: The question of every call that brings none of its own; None keeps what
                matters for the texts as a whole.
        """
        self.query = query
        self._compressor = SpecPrefillDocumentCompressor(compressor=compressor, budget=budget)

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
            Those documents of which something is kept, in the same order.

        Raises:
            TypeError: There is a keyword that means nothing here.
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
    """A misspelled `query` would be no question at all."""
    if kwargs:
        msg = f"Unknown keywords {sorted(kwargs)!r}; there is only `query`."
        raise TypeError(msg)
