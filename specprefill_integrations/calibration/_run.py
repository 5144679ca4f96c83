"""One calibration from the draft to its profile; knows no files and no command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from specprefill_integrations.evaluation._baselines import Bm25Scorer
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._profiles import ReadoutProfile, fitted_folder, shape_of
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._prose import ProseSplitter

_KEEP_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
_LINE_KINDS = frozenset({"chat", "code", "kv", "log", "logs", "records"})
_LOOKAHEAD_TOKENS = 7

# Generated tokens cost decode steps; a readout has to be this much better to be worth them.
_LOOKAHEAD_GAIN = 0.03

Track = Callable[..., Iterable[Any]]
"""Hands on what it is given and shows how far it got: `track(items, description=...)`."""


class CalibrationRun:
    """Reads cases with a draft, fits a readout to them, and compares it with others."""

    def __init__(  # noqa: PLR0913 - one keyword an option
        self,
        draft: str | None,
        *,
        device: str | None,
        dtype: str | None,
        last_depth: float,
        window_tokens: int,
        lookahead: bool,
    ) -> None:
        """Choose what is read; see `all_heads`."""
        self.draft = DraftModel.from_source(draft, device=device, dtype=dtype)
        self._readout = all_heads(
            self.draft,
            last_depth=last_depth,
            lookahead_tokens=_LOOKAHEAD_TOKENS if lookahead else 0,
            window_tokens=window_tokens,
        )
        self._cases: Sequence[LabeledCase] = ()
        self._units: Sequence[LabeledUnits] = ()
        self._scores: Sequence[NDArray[np.float64]] = ()

    @property
    def profile_folder(self) -> Path:
        """Where profiles are looked for."""
        return fitted_folder()

    def read(self, cases: Sequence[LabeledCase], track: Track) -> None:
        """Read all cases; generated tokens are dropped again where they help too little."""
        self._cases = cases
        tracked = track(cases, description="reading")
        self._units = list(read_cases(self.draft, self._readout, tracked, splitter_of))
        self._scores = cross_validated_scores(self._units)
        if self._readout.lookahead_tokens:
            narrow, units = without_lookahead(self._readout, self._units)
            scores = cross_validated_scores(units)
            gain = _mean_recall(self._units, self._scores) - _mean_recall(units, scores)
            if gain < _LOOKAHEAD_GAIN:
                self._readout, self._units, self._scores = narrow, units, scores

    def compare(self, count: int, track: Track) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Evidence recall of the readout by cross-validation, and of other scorers.

        Args:
            count: On how many of the cases, evenly spread, the others are measured.
            track: Shows how far each got.

        Yields:
            What was measured, and its recall by keep fraction.
        """
        yield "readout, all cases", _recall(self._units, self._scores)
        chosen = np.linspace(0, len(self._cases) - 1, min(count, len(self._cases)), dtype=int)
        if not len(chosen):
            return
        units = [self._units[i] for i in chosen]
        some = f"{len(chosen)} cases"
        yield f"readout, {some}", _recall(units, [self._scores[i] for i in chosen])
        for name, scorer in self._others().items():
            tracked = track([self._cases[i] for i in chosen], description=name)
            scores = [_scores(scorer, case) for case in tracked]
            yield f"{name}, {some}", _recall(units, scores)

    def fit(
        self, fitted_on: Mapping[str, Any], measured: Mapping[str, Mapping[str, float]]
    ) -> ReadoutProfile:
        """Fit to all cases."""
        return ReadoutProfile(
            draft=self.draft.name,
            shape=shape_of(self.draft.config),
            readout=fit(self._readout, self._units),
            fitted_on=fitted_on,
            measured=measured,
        )

    def _others(self) -> dict[str, SpanScorer]:
        difference = AttentionScorer(self.draft, CalibratedDifferenceReadout())
        return {
            "calibrated difference": difference,
            "specprefill": AttentionScorer(self.draft, PublishedReadout()),
            "bm25": Bm25Scorer(difference.count_tokens),
        }


def splitter_of(kind: str) -> Splitter[Any]:
    """What cuts a text of some kind into units."""
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
