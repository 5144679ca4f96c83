"""Peers that compare embeddings: LangChain's `EmbeddingsFilter`, LlamaIndex's sentence optimizer.

Embeddings are WordLlama's, which come in its wheel, or those of a sentence-transformers model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._case_compressor import (
    KeptTexts,
    clocked,
    count_texts,
    token_limit,
)
from specprefill_integrations.evaluation._settings import PeerSettings
from specprefill_integrations.pipeline._token_counting import count_each

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from llama_index.core.base.embeddings.base import BaseEmbedding

# As in LangChain's own example of the filter; cut at sentences where possible.
_SPLIT_CHARS = 300
_SEPARATORS = ["\n\n", "\n", ". ", " ", ""]

# LlamaIndex keeps each sentence's neighbors by default: a tenth of the sentences becomes three.
_NEIGHBORS = 0


@dataclass(frozen=True, slots=True)
class Embedder:
    """A function from texts to vectors."""

    name: str
    """Name for people."""

    embed: Callable[[Sequence[str]], list[list[float]]]
    """Returns a vector per text; no text is empty."""


class EmbeddingFilter:
    """Keeps the splits whose embeddings are nearest to the question's, in the texts' order.

    The filter's `k` is the largest whose splits fit into the budget.
    """

    def __init__(self, settings: PeerSettings) -> None:
        """Load the embeddings and everything that LangChain imports at first use.

        Raises:
            MissingDependencyError: A package is not installed.
        """
        for module in ("langchain_classic", "langchain_community", "langchain_text_splitters"):
            _require(module)
        from langchain_text_splitters import RecursiveCharacterTextSplitter  # noqa: PLC0415 - lazy

        embedder = load_embedder(settings)
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
        self._count_tokens = settings.count_tokens

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Rank the splits and keep the best. See `CaseCompressor`."""
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


class SentenceOptimizer:
    """LlamaIndex's `SentenceEmbeddingOptimizer`: keeps the nearest sentences, the nearest first.

    `percentile_cutoff` is the kept share of sentences, not of tokens. The texts are one node,
    because the optimizer keeps all of a node of fewer than 1 / share sentences.
    """

    def __init__(self, settings: PeerSettings) -> None:
        """Load the embeddings.

        Raises:
            MissingDependencyError: A package is not installed.
        """
        _require("llama_index.core", "llama-index-core")
        embedder = load_embedder(settings)
        self.parameters: Mapping[str, object] = {
            "embeddings": embedder.name,
            "context_before": _NEIGHBORS,
            "context_after": _NEIGHBORS,
        }
        self._embed_model = _as_llama_index(embedder)

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Keep that share of the sentences. See `CaseCompressor`."""
        return clocked(lambda: self._nearest("\n\n".join(texts), query or " ", keep_fraction))

    def _nearest(self, text: str, query: str, keep_fraction: float) -> list[str]:
        from llama_index.core.postprocessor import SentenceEmbeddingOptimizer  # noqa: PLC0415
        from llama_index.core.schema import (  # noqa: PLC0415 - lazy
            NodeWithScore,
            QueryBundle,
            TextNode,
        )

        if not text.strip():
            return []
        optimizer = SentenceEmbeddingOptimizer(
            embed_model=self._embed_model,
            percentile_cutoff=keep_fraction,
            context_before=_NEIGHBORS,
            context_after=_NEIGHBORS,
        )
        nodes = [NodeWithScore(node=TextNode(text=text))]
        found = optimizer.postprocess_nodes(nodes, QueryBundle(query))
        return [node.node.get_content() for node in found]


def load_embedder(settings: PeerSettings) -> Embedder:
    """The sentence-transformers model that the settings name; WordLlama's embeddings by default.

    Raises:
        MissingDependencyError: Its package is not installed.
    """
    if "embeddings" not in settings.models:
        return _wordllama()
    return _sentence_transformers(settings.models["embeddings"], settings)


def _require(module: str, package: str | None = None) -> None:
    """Import a package of the extra `peers`, or say how to install it."""
    top = module.partition(".")[0]
    try:
        import_module(module)
    except ImportError as error:
        # A broken installation must not look like a missing one.
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise MissingDependencyError(package=package or top, extra="peers") from error


def _wordllama() -> Embedder:
    with _logging_unchanged():
        _require("wordllama")
    import wordllama  # noqa: PLC0415 - lazy

    # The package looks for its own tokenizer in the wrong folder, then for a copy to download.
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)

    def embed(texts: Sequence[str]) -> list[list[float]]:
        found: list[list[float]] = model.embed(list(texts), norm=True).tolist()
        return found

    return Embedder(f"wordllama {version('wordllama')}, l2_supercat, 256 dimensions", embed)


@contextmanager
def _logging_unchanged() -> Iterator[None]:
    """Keep a package from setting up a root handler, as it does if there is none."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _sentence_transformers(place: str, settings: PeerSettings) -> Embedder:
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - lazy
    except ImportError as error:
        if error.name != "sentence_transformers":
            raise
        msg = "'sentence-transformers' is needed for --peer-model embeddings=..."
        raise ImportError(msg, name=error.name) from error
    model = SentenceTransformer(
        place, device=settings.draft.device, trust_remote_code=settings.trust_remote_code
    )

    def embed(texts: Sequence[str]) -> list[list[float]]:
        found: list[list[float]] = model.encode(list(texts), normalize_embeddings=True).tolist()
        return found

    return Embedder(place, embed)


def _as_langchain(embedder: Embedder) -> Embeddings:
    from langchain_core.embeddings import Embeddings  # noqa: PLC0415 - lazy

    class TheseEmbeddings(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed(texts)

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed([text])[0]

    return TheseEmbeddings()


def _as_llama_index(embedder: Embedder) -> BaseEmbedding:
    from llama_index.core.base.embeddings.base import BaseEmbedding  # noqa: PLC0415 - lazy

    class TheseEmbeddings(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder.embed([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return embedder.embed([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed(texts)

    return TheseEmbeddings()


def _how_many_fit(costs: Sequence[int], limit: int) -> int:
    """Length of the longest start of `costs` whose sum is within the limit."""
    spent = 0
    for count, cost in enumerate(costs):
        spent += cost
        if spent > limit:
            return count
    return len(costs)


def _joined(splits: Sequence[Document], count: int) -> list[str]:
    """The kept splits of each text, in the text's order, one a line."""
    kept: list[list[tuple[int, str]]] = [[] for _ in range(count)]
    for split in splits:
        found = split.metadata["start_index"], split.page_content
        kept[split.metadata["text"]].append(found)
    return ["\n".join(content for _, content in sorted(parts)) for parts in kept]
