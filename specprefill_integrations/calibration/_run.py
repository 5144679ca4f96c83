"""Calibration of a draft: read cases, fit a readout, and compare it with other scorers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from specprefill_integrations._arguments import NonNegativeInt, PositiveInt, Share, checked
from specprefill_integrations._progress_line import progress_line
from specprefill_integrations.calibration._fitting import aligned, fit
from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._reading import (
    LabeledUnits,
    all_heads,
    read_cases,
    without_lookahead,
)
from specprefill_integrations.calibration._score_calibration import (
    Coverage,
    ProbabilityBin,
    calibrate_scores,
    measure_coverage,
    measure_reliability,
)
from specprefill_integrations.calibration._validation import (
    Scores,
    evidence_recall,
    held_out_scores,
    match_can_be_validated,
)
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_names import short_name
from specprefill_integrations.scoring._profiles import ReadoutProfile, shape_of
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._published import PublishedReadout

_KEEP_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
_LOOKAHEAD_TOKENS = 7
_SHOWN_TARGET = 0.9

# A single case leaves none to calibrate on when it is held out.
_LEAST_REAL = 2

# Least gain in recall for which generated tokens, which cost decode steps, are kept.
_LOOKAHEAD_GAIN = 0.03

Track = Callable[..., Iterable[Any]]
"""Progress bar: `track(items, description=...)` yields the items."""


def _untracked(items: Iterable[Any], description: str = "") -> Iterable[Any]:
    del description
    return items


RecallByKind = Mapping[str, Mapping[str, float]]
"""Evidence recall of each kind of case, by keep fraction."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Cases as a draft reads them."""

    draft: DraftModel
    """The draft."""

    readout: LinearReadout
    """Heads and passes that were read; not fitted yet."""

    units: Sequence[LabeledUnits]
    """Features and labels of the cases' units; cases without evidence in a unit are left out."""

    scores: Sequence[Scores]
    """Scores of these units, with weights fitted to other cases."""

    validation: str
    """The way in which cases were held out, in words."""

    prior: ReadoutProfile | None = None
    """The profile from whose weights the fit starts."""

    @property
    def kinds(self) -> dict[str, int]:
        """Number of cases of each kind."""
        return dict(sorted(Counter(case.kind for case in self.units).items()))

    @property
    def recall(self) -> RecallByKind:
        """Evidence recall of the readout on cases that it was not fitted to."""
        return _recall(self.units, self.scores)

    @property
    def prior_recall(self) -> RecallByKind:
        """Evidence recall of the prior on the same cases; empty without one.

        The prior may have been fitted to some of them. Its match is left out if its layer was not
        read.
        """
        prior = _linear_readout(self.prior)
        if prior is None:
            return {}
        before = aligned(prior, self.readout)
        scores = [case.scores(before) for case in self.units]
        return _recall(self.units, scores)

    @cached_property
    def coverage(self) -> Mapping[str, Coverage]:
        """Figures of `target_recall=0.9` on held-out cases, by kind; empty if too few are real."""
        return measure_coverage(*self._real, _SHOWN_TARGET)

    @cached_property
    def reliability(self) -> Mapping[str, Sequence[ProbabilityBin]]:
        """Probabilities and shares of needed units by kind; empty if too few are real."""
        return measure_reliability(*self._real)

    @checked
    def compare(
        self, scorers: Mapping[str, SpanScorer], count: NonNegativeInt, track: Track = _untracked
    ) -> Iterator[tuple[str, RecallByKind]]:
        """Measure the evidence recall of the readout and of other scorers on the same cases.

        Args:
            scorers: The other scorers, by name.
            count: Number of cases, drawn evenly from all kinds.
            track: Progress bar.

        Yields:
            Name and recall; the readout first.
        """
        chosen = _drawn(self.units, count)
        if not chosen:
            return
        units = [self.units[i] for i in chosen]
        some = f"{len(chosen)} cases"
        yield f"readout, {some}", _recall(units, [self.scores[i] for i in chosen])
        for name, scorer in scorers.items():
            scores = [_scores(scorer, case) for case in track(units, description=name)]
            yield f"{name}, {some}", _recall(units, scores)

    def fit(self, sources: Sequence[str], measured: Mapping[str, Any]) -> ReadoutProfile:
        """Fit the readout to all cases.

        Args:
            sources: Origins of the cases, for the profile.
            measured: Recall figures, for the profile.
        """
        fitted_on = {
            "cases": len(self.units),
            "kinds": self.kinds,
            "sources": list(sources),
            "validation": self.validation,
        }
        prior = _linear_readout(self.prior)
        if self.prior is not None and prior is not None:
            before = self.prior.fitted_on
            fitted_on["prior"] = {name: before[name] for name in before if name in fitted_on}
        cases, scores = self._real
        return ReadoutProfile(
            draft=short_name(self.draft.name),
            shape=shape_of(self.draft.config),
            readout=fit(
                self.readout,
                self.units,
                prior=prior,
                with_match=match_can_be_validated(self.units),
            ),
            fitted_on=fitted_on,
            measured=measured,
            score_calibration=calibrate_scores(cases, scores) if cases else None,
        )

    @property
    def _real(self) -> tuple[list[LabeledUnits], list[Scores]]:
        """The real cases and their scores; nothing if they are too few to calibrate on."""
        chosen = [index for index, case in enumerate(self.units) if case.is_real]
        if len(chosen) < _LEAST_REAL:
            return [], []
        return [self.units[index] for index in chosen], [self.scores[index] for index in chosen]


@checked
def read_for_calibration(  # noqa: PLR0913 - mirrors the options
    draft: DraftModel,
    cases: Sequence[LabeledCase],
    *,
    last_depth: Share = 0.65,
    window_tokens: PositiveInt = 1024,
    lookahead: bool = False,
    prior: ReadoutProfile | None = None,
    own_kinds: Collection[str] = (),
    track: Track = _untracked,
) -> Calibration:
    """Read cases with a draft.

    Args:
        draft: The draft.
        cases: The cases; at least 4.
        last_depth: Share of the draft's layers to read.
        window_tokens: Context tokens to read at a time.
        lookahead: Also read generated tokens; they are dropped again if recall gains little.
        prior: A profile of this draft, from whose weights the fit starts and to which it stays
            close. Without effect if its readout is not a `LinearReadout`.
        own_kinds: Kinds of real cases. Scores are calibrated on them. If the prior has no match of
            values, one is fitted to them, provided that at least 100 of them remain whenever a kind
            is held out (a quarter of the cases, with fewer than three kinds).
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
    before = _linear_readout(prior)
    with progress_line(f"Reading {len(cases):,} cases"):
        tracked = track(cases, description="reading")
        units = list(read_cases(draft, readout, tracked, own_kinds=own_kinds, prior=before))
    scores, validation = held_out_scores(readout, units, before)
    if lookahead:
        narrow, narrow_units = without_lookahead(readout, units)
        narrow_scores, _ = held_out_scores(narrow, narrow_units, before)
        gain = _mean_recall(units, scores) - _mean_recall(narrow_units, narrow_scores)
        if gain < _LOOKAHEAD_GAIN:
            readout, units, scores = narrow, narrow_units, narrow_scores
    return Calibration(
        draft=draft,
        readout=readout,
        units=units,
        scores=scores,
        validation=validation,
        prior=prior,
    )


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


def _linear_readout(profile: ReadoutProfile | None) -> LinearReadout | None:
    readout = None if profile is None else profile.readout
    return readout if isinstance(readout, LinearReadout) else None


def _drawn(cases: Sequence[LabeledUnits], count: int) -> list[int]:
    """Draw cases, as many of each kind as possible; the same at every call."""
    drawn: Counter[str] = Counter()
    turns = []
    for index in np.random.default_rng(0).permutation(len(cases)).tolist():
        kind = cases[index].kind
        turns.append((drawn[kind], index))
        drawn[kind] += 1
    return sorted(index for _, index in sorted(turns)[:count])


def _scores(scorer: SpanScorer, case: LabeledUnits) -> Scores:
    asked = case.matcher.request
    return np.concatenate(scorer.score_spans(asked.query, asked.texts, asked.spans))


def _recall(units: Sequence[LabeledUnits], scores: Sequence[Scores]) -> RecallByKind:
    by_keep = {format(keep, "g"): evidence_recall(units, scores, keep) for keep in _KEEP_FRACTIONS}
    kinds = sorted({case.kind for case in units})
    return {
        kind: {keep: round(shares[kind], 4) for keep, shares in by_keep.items()} for kind in kinds
    }


def _mean_recall(units: Sequence[LabeledUnits], scores: Sequence[Scores]) -> float:
    shares = [list(own.values()) for own in _recall(units, scores).values()]
    return float(np.mean(shares))  # (kinds, keep fractions)
