"""Intervals and tests for shares and for paired scores.

Right-or-wrong scores are compared by counts, all others by a paired bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean
from typing import Literal

import numpy as np

from specprefill_integrations.observability._reading_speed import scipy_stats

Verdict = Literal["not_worse", "worse", "not_shown"]
"""Result of a non-inferiority comparison: the interval starts above minus the margin (`not_worse`),
or ends below 0 (`worse`), or neither (`not_shown`)."""

_Interval = tuple[float, float]

# The interval expected with this many times the cases, if they turn out like those measured.
_IntervalWith = Callable[[float], _Interval]

CONFIDENCE = 0.95
"""Confidence level of all intervals."""

MIN_BOOTSTRAP_PAIRS = 20
"""Fewest pairs for a verdict by bootstrap."""

_RESAMPLES = 10_000
_RESAMPLES_AT_A_TIME = 500  # bounds memory
_SEED = 0

# Where a bisection stops, in differences of scores.
_PRECISION = 1e-9
_MAX_CASES_FACTOR = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Scores of one variant minus those of another, case by case."""

    pairs: int
    """Number of cases."""

    difference: float
    """Mean difference; see `is_relative`."""

    is_relative: bool = False
    """True if differences are shares of the other variant's score, such as -0.05 for 5 % less."""

    interval: tuple[float, float]
    """95 % confidence interval of the difference."""

    mcnemar_p: float | None
    """Two-sided p value of McNemar's exact test; None unless all scores are right or wrong."""

    verdict: Verdict
    """Verdict at the margin."""

    cases_needed: int | None
    """Estimated number of cases that would give a verdict; None if there is one already, or if no
    number would."""


def wilson_interval(hits: int, cases: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson score interval of a share of successes.

    Args:
        hits: Successes.
        cases: Trials.
        confidence: Confidence level, in (0, 1).

    Returns:
        Lower and upper end; (0, 1) without a trial.
    """
    if cases == 0:
        return 0.0, 1.0
    found = scipy_stats().binomtest(hits, cases).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def mcnemar_p(won: int, lost: int) -> float:
    """Two-sided p value of McNemar's exact test; 1 if no pair differs.

    Args:
        won: Pairs in which only the first succeeded.
        lost: Pairs in which only the second did.
    """
    differing = won + lost
    return float(scipy_stats().binomtest(won, differing).pvalue) if differing else 1.0


def bootstrap_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Percentile interval of the mean over resampled pairs; deterministic.

    Args:
        differences: One per pair; at least one.
    """
    mean = fmean(differences)
    if len(differences) == 1:
        return mean, mean
    found = scipy_stats().bootstrap(
        (np.asarray(differences, dtype=np.float64),),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=_RESAMPLES_AT_A_TIME,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(_SEED),
    )
    low, high = found.confidence_interval
    # Rounding can put the mean of nearly equal differences just outside.
    return min(float(low), mean), max(float(high), mean)


def tango_interval(won: float, lost: float, pairs: float) -> tuple[float, float]:
    """Score interval of the difference between two paired shares of successes.

    Unlike a bootstrap, it has a width even if no pair differs. Based on T. Tango, Equivalence test
    and confidence interval for the difference in proportions for the paired-sample design,
    Statistics in Medicine 17 (1998), pages 891-908.

    Args:
        won: Pairs in which only the first succeeded.
        lost: Pairs in which only the second did.
        pairs: All pairs, more than 0.
    """
    difference = (won - lost) / pairs
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    low = _edge(lambda end: _tango_distance(end, won, lost, pairs) < z, difference, -1.0)
    high = _edge(lambda end: -_tango_distance(end, won, lost, pairs) < z, difference, 1.0)
    return low, high


def compare_pairs(
    scores: Sequence[float], reference: Sequence[float], *, margin: float, binary: bool
) -> PairedComparison:
    """Compare scores with reference scores of the same cases.

    Args:
        scores: One per case; at least one.
        reference: As many, in the same order.
        margin: Largest loss that still counts as not worse, more than 0.
        binary: All scores are 0 or 1.
    """
    differences = [a - b for a, b in zip(scores, reference, strict=True)]
    pairs = len(differences)
    won, lost = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    interval_with = (
        _interval_by_counts(won, lost, pairs) if binary else _interval_by_resampling(differences)
    )
    least = 1.0 if binary else max(1.0, MIN_BOOTSTRAP_PAIRS / pairs)
    interval = interval_with(1.0)
    verdict = _verdict(interval, margin) if least == 1 else "not_shown"
    return PairedComparison(
        pairs=pairs,
        difference=fmean(differences),
        interval=interval,
        mcnemar_p=mcnemar_p(won, lost) if binary else None,
        verdict=verdict,
        cases_needed=(
            _cases_needed(pairs, interval_with, margin, least) if verdict == "not_shown" else None
        ),
    )


def compare_log_pairs(
    logarithms: Sequence[float], reference: Sequence[float], *, margin: float
) -> PairedComparison:
    """Compare the geometric means of scores of the same cases; differences are relative.

    Args:
        logarithms: Natural logarithm of the score of each case; at least one.
        reference: As many, in the same order.
        margin: Largest share of the reference's score that may be lost, in (0, 1).
    """
    found = compare_pairs(logarithms, reference, margin=-math.log1p(-margin), binary=False)
    low, high = map(math.expm1, found.interval)
    return replace(
        found, difference=math.expm1(found.difference), interval=(low, high), is_relative=True
    )


def _tango_distance(end: float, won: float, lost: float, pairs: float) -> float:
    """Standard deviations between the measured difference and a true one of `end`."""
    b = (2 * pairs - won + lost) * end - won - lost
    c = -lost * end * (1 - end)
    share_lost = (math.sqrt(max(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share_lost + end * (1 - end))
    distance = won - lost - pairs * end
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Last value between `inside` and `outside` for which a condition holds, by bisection."""
    if holds(outside):
        return outside
    while abs(outside - inside) > _PRECISION:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def _interval_by_counts(won: int, lost: int, pairs: int) -> _IntervalWith:
    return lambda factor: tango_interval(won * factor, lost * factor, pairs * factor)


def _interval_by_resampling(differences: Sequence[float]) -> _IntervalWith:
    low, high = bootstrap_interval(differences)
    mean = fmean(differences)

    def interval_with(factor: float) -> _Interval:
        shrink = math.sqrt(factor)
        return mean - (mean - low) / shrink, mean + (high - mean) / shrink

    return interval_with


def _verdict(interval: _Interval, margin: float) -> Verdict:
    low, high = interval
    if low > -margin:
        return "not_worse"
    return "worse" if high < 0 else "not_shown"


def _cases_needed(
    pairs: int, interval_with: _IntervalWith, margin: float, least: float
) -> int | None:
    """Fewest cases, at least `least` times those measured, that give a verdict."""

    def decides(factor: float) -> bool:
        return _verdict(interval_with(factor), margin) != "not_shown"

    if decides(least):
        return math.ceil(least * pairs)
    high = least
    while not decides(high):
        high *= 2
        if high > _MAX_CASES_FACTOR:
            return None
    low = high / 2
    while (high - low) * pairs > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return math.ceil(high * pairs)
