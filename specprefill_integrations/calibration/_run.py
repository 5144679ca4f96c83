"""Calibration of a draft: read cases, fit a readout, and compare it with other scorers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations._arguments import NonNegativeInt, PositiveInt, Share, checked
from specprefill_integrations.calibration._fitting import (
    LabeledUnits,
    all_heads,
    cross_validated_scores,
    evidence_recall,
    fit,
    read_cases,
    without_lookahead,
)
from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._profiles import ReadoutProfile, shape_of
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._prose import ProseSplitter

_KEEP_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
_LINE_KINDS = frozenset({"chat", "code", "kv", "log", "logs", "records"})
_LOOKAHEAD_TOKENS = 7

# Least gain in recall for which generated tokens, which cost decode steps, are kept.
_LOOKAHEAD_GAIN = 0.03

Track = Callable[..., Iterable[Any]]
"""Progress bar: `track(items, description=...)` yields the items."""


def _untracked(items: Iterable[Any], description: str = "") -> Iterable[Any]:
    del description
    return items


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Cases as a draft reads them."""

    draft: DraftModel
    """The draft."""

    readout: LinearReadout
    """Heads and passes that were read; not fitted yet."""

    cases: Sequence[LabeledCase]
    """The cases."""

    units: Sequence[LabeledUnits]
    """Features of their units."""

    scores: Sequence[NDArray[np.float64]]
    """Cross-validated scores of their units."""

    @property
    def recall(self) -> dict[str, float]:
        """Cross-validated evidence recall of the readout on all cases, by keep fraction."""
        return _recall(self.units, self.scores)

    @checked
    def compare(
        self, scorers: Mapping[str, SpanScorer], count: NonNegativeInt, track: Track = _untracked
    ) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Measure the evidence recall of the readout and of other scorers on the same cases.

        Args:
            scorers: The other scorers, by name.
            count: Number of cases, evenly spread over all.
            track: Progress bar.

        Yields:
            Name, and recall by keep fraction; the readout first.
        """
        chosen = np.linspace(0, len(self.cases) - 1, min(count, len(self.cases)), dtype=int)
        if not len(chosen):
            return
        units = [self.units[i] for i in chosen]
        some = f"{len(chosen)} cases"
        yield f"readout, {some}", _recall(units, [self.scores[i] for i in chosen])
        for name, scorer in scorers.items():
            tracked = track([self.cases[i] for i in chosen], description=name)
            scores = [_scores(scorer, case) for case in tracked]
            yield f"{name}, {some}", _recall(units, scores)

    def fit(
        self, fitted_on: Mapping[str, Any], measured: Mapping[str, Mapping[str, float]]
    ) -> ReadoutProfile:
        """Fit the readout to all cases.

        Args:
            fitted_on: Description of the cases, for the profile.
            measured: Recall figures, for the profile.
        """
        return ReadoutProfile(
            draft=self.draft.name,
            shape=shape_of(self.draft.config),
            readout=fit(self.readout, self.units),
            fitted_on=fitted_on,
            measured=measured,
        )


@checked
def read_for_calibration(  # noqa: PLR0913 - mirrors the options
    draft: DraftModel,
    cases: Sequence[LabeledCase],
    *,
    last_depth: Share = 0.65,
    window_tokens: PositiveInt = 1024,
    lookahead: bool = False,
    track: Track = _untracked,
) -> Calibration:
    """Read cases with a draft.

    Args:
        draft: The draft.
        cases: The cases; at least 4.
        last_depth: Share of the draft's layers to read.
        window_tokens: Context tokens to read at a time.
        lookahead: Also read generated tokens; they are dropped again if recall gains little.
        track: Progress bar.

    Raises:
        ValueError: There are too few cases.
    """
    readout = all_heads(
        draft,
        last_depth=last_depth,
        lookahead_tokens=_LOOKAHEAD_TOKENS if lookahead else 0,
        window_tokens=window_tokens,
    )
    tracked = track(cases, description="reading")
    units = list(read_cases(draft, readout, tracked, splitter_of))
    scores = cross_validated_scores(units)
    if lookahead:
        narrow, narrow_units = without_lookahead(readout, units)
        narrow_scores = cross_validated_scores(narrow_units)
        gain = _mean_recall(units, scores) - _mean_recall(narrow_units, narrow_scores)
        if gain < _LOOKAHEAD_GAIN:
            readout, units, scores = narrow, narrow_units, narrow_scores
    return Calibration(draft=draft, readout=readout, cases=cases, units=units, scores=scores)


@checked
def unfitted_scorers(draft: DraftModel) -> dict[str, SpanScorer]:
    """Build the scorers that need no fitting, by name.

    Args:
        draft: The draft.
    """
    return {
        "calibrated difference": AttentionScorer(draft, CalibratedDifferenceReadout()),
        "published": AttentionScorer(draft, PublishedReadout()),
    }


def splitter_of(kind: str) -> Splitter[Any]:
    """Choose the splitter for a kind of case."""
    return LineSplitter() if kind in _LINE_KINDS else ProseSplitter()


def _scores(scorer: SpanScorer, case: LabeledCase) -> NDArray[np.float64]:
    split = splitter_of(case.kind)
    spans = [split(text) for text in case.texts]
    return np.concatenate(scorer.score_spans(case.query, case.texts, spans))


def _recall(
    units: Sequence[LabeledUnits], scores: Sequence[NDArray[np.float64]]
) -> dict[str, float]:
    return {
        format(keep, "g"): round(evidence_recall(units, scores, keep), 4)
        for keep in _KEEP_FRACTIONS
    }


def _mean_recall(units: Sequence[LabeledUnits], scores: Sequence[NDArray[np.float64]]) -> float:
    return float(np.mean(list(_recall(units, scores).values())))
