"""Builds peers by their names; each is imported only where it is asked for."""

from __future__ import annotations

from typing import Literal

from specprefill_integrations.evaluation._case_compressor import CaseCompressor
from specprefill_integrations.evaluation._peers._settings import PeerSettings

PeerName = Literal[
    "embedding_filter",
    "llmlingua",
    "longllmlingua",
    "llmlingua2",
    "provence",
    "sentence_embedding_optimizer",
]
"""What `specprefill evaluate` calls them."""


def build_peer(name: PeerName, settings: PeerSettings) -> CaseCompressor:
    """Import a peer and load its weights.

    Raises:
        Exception: Whatever is missing; what is raised says so.
    """
    # Here, so that only what was asked for must be installed.
    if name == "embedding_filter":
        from specprefill_integrations.evaluation._peers._embedding_filter import (  # noqa: PLC0415
            build_embedding_filter,
        )

        return build_embedding_filter(settings)
    if name == "sentence_embedding_optimizer":
        from specprefill_integrations.evaluation._peers._sentence_optimizer import (  # noqa: PLC0415
            build_sentence_optimizer,
        )

        return build_sentence_optimizer(settings)
    if name == "provence":
        from specprefill_integrations.evaluation._peers._provence import (  # noqa: PLC0415
            build_provence,
        )

        return build_provence(settings)
    if name == "llmlingua2":
        from specprefill_integrations.evaluation._peers._lingua2 import (  # noqa: PLC0415
            build_llmlingua2,
        )

        return build_llmlingua2(settings)
    from specprefill_integrations.evaluation._peers._lingua import build_llmlingua  # noqa: PLC0415

    return build_llmlingua(name, settings)
