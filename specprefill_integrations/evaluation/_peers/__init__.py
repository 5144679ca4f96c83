"""Other projects' compressors, measured beside ours; each is imported only if asked for."""

from __future__ import annotations

from typing import Literal

from specprefill_integrations.evaluation._case_compressor import CaseCompressor
from specprefill_integrations.evaluation._settings import PeerSettings

PeerName = Literal[
    "embedding_filter",
    "llmlingua",
    "longllmlingua",
    "llmlingua2",
    "provence",
    "sentence_embedding_optimizer",
]
"""Their names in `specprefill evaluate`."""


def build_peer(name: PeerName, settings: PeerSettings) -> CaseCompressor:
    """Import a peer and load its weights.

    Raises:
        Exception: A package or weights are missing; the message says which.
    """
    # Here, so that only the requested peer must be installed.
    if name in {"embedding_filter", "sentence_embedding_optimizer"}:
        from specprefill_integrations.evaluation._peers._embeddings import (  # noqa: PLC0415
            EmbeddingFilter,
            SentenceOptimizer,
        )

        return (EmbeddingFilter if name == "embedding_filter" else SentenceOptimizer)(settings)
    if name == "provence":
        from specprefill_integrations.evaluation._peers._provence import (  # noqa: PLC0415
            build_provence,
        )

        return build_provence(settings)
    from specprefill_integrations.evaluation._peers._lingua import (  # noqa: PLC0415
        Lingua,
        Lingua2,
    )

    if name == "llmlingua2":
        return Lingua2(settings)
    return Lingua("longllmlingua" if name == "longllmlingua" else "llmlingua", settings)
