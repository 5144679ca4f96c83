"""Scoring of units with a draft model; one of the few folders that import `torch`.

Importing this package does not: its public names are imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specprefill_integrations.scoring._attention_scorer import AttentionScorer
    from specprefill_integrations.scoring._draft_model import DraftModel
    from specprefill_integrations.scoring.readouts import (
        DraftLayers,
        PromptLayout,
        ReadingPass,
        Readout,
        Reduction,
        SpanReadings,
    )

_HOMES = {
    "AttentionScorer": "_attention_scorer",
    "DraftLayers": "readouts",
    "DraftModel": "_draft_model",
    "PromptLayout": "readouts",
    "ReadingPass": "readouts",
    "Readout": "readouts",
    "Reduction": "readouts",
    "SpanReadings": "readouts",
}

__all__ = [
    "AttentionScorer",
    "DraftLayers",
    "DraftModel",
    "PromptLayout",
    "ReadingPass",
    "Readout",
    "Reduction",
    "SpanReadings",
]


def __getattr__(name: str) -> object:
    """Import a public name at first use."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
