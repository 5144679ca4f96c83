"""LangChain's `EmbeddingsFilter` over splits of the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._case_compressor import (
    KeptTexts,
    clocked,
    count_texts,
    token_limit,
)
from specprefill_integrations.evaluation._peers._embeddings import Embedder, load_embedder
from specprefill_integrations.evaluation._peers._settings import PeerSettings
from specprefill_integrations.pipeline._token_counting import CountTokens, count_each

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

# As in LangChain's own example of the filter; cut at sentences where possible.
_SPLIT_CHARS = 300
_SEPARATORS = ["\n\n", "\n", ". ", " ", ""]

_PACKAGES = {
    "langchain_classic",
    "langchain_community",
    "langchain_core",
    "langchain_text_splitters",
    "numpy",
}


class EmbeddingFilter:
    """Keeps the splits whose embeddings are nearest to the question's, in the texts' order.

    The filter's `k` is the largest with which what is kept fits into the budget.
    """

    def __init__(self, embedder: Embedder, count_tokens: CountTokens) -> None:
        """Compare by these embeddings."""
        from langchain_text_splitters import RecursiveCharacterTextSplitter  # noqa: PLC0415 - lazy

        self.parameters: Mapping[str, object] = {
            "embeddings": embedder.name,
            "split_chars": _SPLIT_CHARS,
        }
        self._embeddings = _as_langchain(embedder)
        self._splitter = RecursiveCharacterTextSplitter(
            chunk_size=_SPLIT_CHARS,
            chunk_overlap=0,
            separators=_SEPARATORS,
            keep_separator="end",
            add_start_index=True,
        )
        self._count_tokens = count_tokens

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Rank the splits and keep the first. See `CaseCompressor`."""
        limit = token_limit(self._count_tokens, texts, keep_fraction)
        return clocked(lambda: self._nearest(texts, query or " ", limit))

    def _nearest(self, texts: Sequence[str], query: str, limit: int) -> list[str]:
        ranked = self._ranked(texts, query)
        costs = count_each(self._count_tokens, [split.page_content for split in ranked])
        k = _how_many_fit(costs, limit)
        while True:  # together they may cost a little more than one by one
            kept = _joined(ranked[:k], len(texts))
            if k == 0 or count_texts(self._count_tokens, kept) <= limit:
                return kept
            k -= 1

    def _ranked(self, texts: Sequence[str], query: str) -> Sequence[Document]:
        """All splits, the nearest first: the filter with the greatest `k`."""
        from langchain_classic.retrievers.document_compressors import (  # noqa: PLC0415 - lazy
            EmbeddingsFilter,
        )

        numbers: list[dict[str, Any]] = [{"text": number} for number in range(len(texts))]
        splits = self._splitter.create_documents(list(texts), numbers)
        if not splits:
            return []
        chosen = EmbeddingsFilter(embeddings=self._embeddings, k=len(splits))
        return chosen.compress_documents(splits, query)


def build_embedding_filter(settings: PeerSettings) -> EmbeddingFilter:
    """Import what it takes, which LangChain itself does at the first use.

    Raises:
        MissingDependencyError: A package is not installed.
    """
    try:
        import langchain_classic  # noqa: F401, PLC0415 - lazy
        import langchain_community  # noqa: F401, PLC0415
        import langchain_text_splitters  # noqa: F401, PLC0415
        import numpy as np  # noqa: F401, PLC0415
    except ImportError as error:
        if error.name not in _PACKAGES:  # a broken installation must not look like a missing one
            raise
        raise MissingDependencyError(package=str(error.name), extra="peers") from error
    return EmbeddingFilter(load_embedder(settings), settings.count_tokens)


def _as_langchain(embedder: Embedder) -> Embeddings:
    from langchain_core.embeddings import Embeddings  # noqa: PLC0415 - lazy

    class TheseEmbeddings(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed(texts)

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed([text])[0]

    return TheseEmbeddings()


def _how_many_fit(costs: Sequence[int], limit: int) -> int:
    """The longest start of `costs` whose sum is within the limit."""
    spent = 0
    for count, cost in enumerate(costs):
        spent += cost
        if spent > limit:
            return count
    return len(costs)


def _joined(splits: Sequence[Document], count: int) -> list[str]:
    """What is left of each text: its splits, in its order, one a line."""
    kept: list[list[tuple[int, str]]] = [[] for _ in range(count)]
    for split in splits:
        found = split.metadata["start_index"], split.page_content
        kept[split.metadata["text"]].append(found)
    return ["\n".join(content for _, content in sorted(parts)) for parts in kept]
