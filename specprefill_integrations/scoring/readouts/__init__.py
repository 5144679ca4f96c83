"""Readouts: ways to turn a draft's attention into scores of spans.

To add one, write a class with the members of `Readout` in a file of its own, test it against a
slow, obvious version of its formula, and pass it to `AttentionScorer(draft, readout)`.
"""

from __future__ import annotations

from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from specprefill_integrations.scoring.readouts._readout import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    Readout,
    Reduction,
    SpanReadings,
    ValueReduction,
    heads_by_layer,
)
from specprefill_integrations.scoring.readouts._value_match import ValueMatch

__all__ = [
    "CalibratedDifferenceReadout",
    "DraftLayers",
    "LinearReadout",
    "PromptLayout",
    "PublishedReadout",
    "ReadingPass",
    "Readout",
    "Reduction",
    "SpanReadings",
    "ValueMatch",
    "ValueReduction",
    "heads_by_layer",
]
