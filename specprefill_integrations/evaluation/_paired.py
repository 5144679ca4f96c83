"""How sure a difference between two ways is that were tried on the same cases. Pure.

Right-or-wrong scores are compared by counts, all others by a paired bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

import numpy as np

Verdict = Literal["not_worse", "worse", "not_shown"]
"""What a comparison shows: not worse by more than the margin (the interval ends above it), worse
(the interval ends below 0, and may end below the margin), or neither, so far."""

_Interval = tuple[float, float]

# What the interval would be with so many times the cases, if all came out as those seen did.
_IntervalWith = Callable[[float], _Interval]

CONFIDENCE = 0.95
"""How often such intervals hold the true difference."""

MIN_BOOTSTRAP_PAIRS = 20
"""With fewer pairs, resampling says too little about how pairs differ, and nothing is shown."""

_RESAMPLES = 10_000
# Resamples that are drawn together: bounds memory.
_RESAMPLES_AT_A_TIME = 500
_SEED = 0

# Where a bisection stops, in differences of scores.
_PRECISION = 1e-9
_MAX_CASES_FACTOR = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """The scores of one way minus those of another, case by case."""

    pairs: int
    """Cases."""

    difference: float
    """The mean."""

    interval: tuple[float, float]
    """Its 95 % interval."""

    mcnemar_p: float | None
    """How likely so uneven a split of the cases that only one of both got right would be if both
    were as good (McNemar's exact test); None where scores are not right or wrong."""

    verdict: Verdict
    """What that shows at the margin."""

    cases_needed: int | None
    """About how many cases would decide it if they came out as these did; None where it is
    decided, or where no number would."""


def compare_pairs(
    scores: Sequence[float], reference: Sequence[float], *, margin: float, binary: bool
) -> PairedComparison:
    """Compare scores with reference scores of the same cases.

    Args:
        scores: One a case, each in [0, 1]; at least one.
        reference: As many, in the same order.
        margin: By how much worse is not worse, in (0, 1).
        binary: Whether each score is 0 or 1.
    """
    differences = [a - b for a, b in zip(scores, reference, strict=True)]
    pairs = len(differences)
    won, lost = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    interval_with = (
        _interval_by_counts(won, lost, pairs) if binary else _interval_by_resampling(differences)
    )
    least = 1.0 if binary else max(1.0, MIN_BOOTSTRAP_PAIRS / pairs)
    verdict = _verdict(interval_with(1.0), margin) if least == 1 else "not_shown"
    return PairedComparison(
        pairs=pairs,
        difference=fmean(differences),
        interval=interval_with(1.0),
        mcnemar_p=mcnemar_p(won, lost) if binary else None,
        verdict=verdict,
        cases_needed=(
            _cases_needed(pairs, interval_with, margin, least) if verdict == "not_shown" else None
        ),
    )


def bootstrap_interval(differences: Sequence[float]) -> _Interval:
    """The percentile interval of the mean over resampled pairs. The same call, the same interval.

    Args:
        differences: One a pair; at least one.
    """
    values = np.asarray(differences, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    means = np.concatenate(
        [
            values[random.integers(len(values), size=(_RESAMPLES_AT_A_TIME, len(values)))].mean(1)
            for _ in range(_RESAMPLES // _RESAMPLES_AT_A_TIME)
        ]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = fmean(differences)
    # Where hardly any pair differs, resamples that all look alike would miss by a hair.
    return min(float(low), mean), max(float(high), mean)


def tango_interval(won: float, lost: float, pairs: float) -> _Interval:
    """The score interval of a difference between paired shares of successes.

    Unlike a bootstrap it is not of width 0 where no pair differs. Based on T. Tango, Equivalence
    test and confidence interval for the difference in proportions for the paired-sample design,
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


def mcnemar_p(won: int, lost: int) -> float:
    """The p value of McNemar's exact test, two-sided; 1 where no pair differs.

    Args:
        won: Pairs in which only the first succeeded.
        lost: Pairs in which only the second did.
    """
    differing = won + lost
    fewer = sum(math.comb(differing, count) for count in range(min(won, lost) + 1))
    return min(1.0, 2 * fewer / (1 << differing))


def _tango_distance(end: float, won: float, lost: float, pairs: float) -> float:
    """How many standard deviations the seen difference lies above a true one of `end`."""
    b = (2 * pairs - won + lost) * end - won - lost
    c = -lost * end * (1 - end)
    share_lost = (math.sqrt(max(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share_lost + end * (1 - end))
    distance = won - lost - pairs * end
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where, from `inside` to `outside`, something ceases to hold."""
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
    """The fewest cases, at least `least` times those seen, with which something is shown."""

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
