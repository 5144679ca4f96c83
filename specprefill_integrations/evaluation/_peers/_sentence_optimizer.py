"""LlamaIndex's `SentenceEmbeddingOptimizer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._case_compressor import KeptTexts, clocked
from specprefill_integrations.evaluation._peers._embeddings import Embedder, load_embedder
from specprefill_integrations.evaluation._peers._settings import PeerSettings

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

# By default each sentence brings those around it: of a tenth of the sentences, three tenths.
_NEIGHBORS = 0


class SentenceOptimizer:
    """Keeps the sentences whose embeddings are nearest to the question's, the nearest first.

    `percentile_cutoff` is the kept share: of sentences, not of tokens. The texts are one node, as
    of a node of fewer than 1 / share sentences the optimizer keeps all.
    """

    def __init__(self, embedder: Embedder) -> None:
        """Compare by these embeddings."""
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


def build_sentence_optimizer(settings: PeerSettings) -> SentenceOptimizer:
    """Load the embeddings.

    Raises:
        MissingDependencyError: A package is not installed.
    """
    try:
        import llama_index.core  # noqa: F401, PLC0415 - lazy
    except ImportError as error:
        # A broken installation must not look like a missing one.
        if error.name not in {"llama_index", "llama_index.core"}:
            raise
        raise MissingDependencyError(package="llama-index-core", extra="peers") from error
    return SentenceOptimizer(load_embedder(settings))


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
