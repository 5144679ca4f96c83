"""Scoring: how much a question needs each span of some texts.

Together with calibration, benchmarks and evaluation the only part that uses `torch` and
`transformers`; importing this package imports neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names
from specprefill_integrations.errors import MissingDependencyError

if TYPE_CHECKING:
    from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
    from specprefill_integrations.scoring._draft_model import DraftModel
    from specprefill_integrations.scoring._encoder_scorer import EncoderSpanScorer
    from specprefill_integrations.scoring._engine import ScoringEngine, shared_engine
    from specprefill_integrations.scoring._engine_limits import EngineLimits, EngineStatistics
    from specprefill_integrations.scoring._profiles import ReadoutProfile
    from specprefill_integrations.scoring._score_calibration import ScoreCalibration
    from specprefill_integrations.scoring._span_scorer import ScoreRequest, SpanScorer
    from specprefill_integrations.scoring._word_scorer import WordScorer
    from specprefill_integrations.scoring.readouts import (
        CalibratedDifferenceReadout,
        DraftLayers,
        LinearReadout,
        PromptLayout,
        PublishedReadout,
        ReadingPass,
        Readout,
        Reduction,
        SpanReadings,
        ValueMatch,
        ValueReduction,
    )

_HOMES = {
    "AttentionScorer": "_attention_scorer",
    "CalibratedDifferenceReadout": "readouts",
    "DraftLayers": "readouts",
    "DraftModel": "_draft_model",
    "EncoderSpanScorer": "_encoder_scorer",
    "EngineLimits": "_engine_limits",
    "EngineStatistics": "_engine_limits",
    "LinearReadout": "readouts",
    "PromptLayout": "readouts",
    "PublishedReadout": "readouts",
    "ReadingPass": "readouts",
    "ReadingPlan": "_attention_scorer",
    "Readout": "readouts",
    "ReadoutProfile": "_profiles",
    "Reduction": "readouts",
    "ScoreCalibration": "_score_calibration",
    "ScoreRequest": "_span_scorer",
    "ScoringEngine": "_engine",
    "SpanReadings": "readouts",
    "SpanScorer": "_span_scorer",
    "ValueMatch": "readouts",
    "ValueReduction": "readouts",
    "WordScorer": "_word_scorer",
    "shared_engine": "_engine",
}

__all__ = [
    "AttentionScorer",
    "CalibratedDifferenceReadout",
    "DraftLayers",
    "DraftModel",
    "EncoderSpanScorer",
    "EngineLimits",
    "EngineStatistics",
    "LinearReadout",
    "PromptLayout",
    "PublishedReadout",
    "ReadingPass",
    "ReadingPlan",
    "Readout",
    "ReadoutProfile",
    "Reduction",
    "ScoreCalibration",
    "ScoreRequest",
    "ScoringEngine",
    "SpanReadings",
    "SpanScorer",
    "ValueMatch",
    "ValueReduction",
    "WordScorer",
    "shared_engine",
]


_find = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> object:
    """Import a public name at its first use.

    Raises:
        MissingDependencyError: The extra `draft` is not installed.
    """
    try:
        return _find(name)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "draft") from error


def __dir__() -> list[str]:
    return __all__
