"""How fast a model reads, by how long it took over texts of different lengths. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Literal

Unclear = Literal["too_few", "too_alike", "no_slower"]
"""Why measured times do not tell a speed: there are fewer than `LEAST_POINTS`, the longest text is
not twice as long as the shortest, or longer ones did not take longer for sure."""

LEAST_POINTS = 8
"""Fewer measured times are no basis: queues and networks make each of them uncertain."""

_LEAST_SPREAD = 2.0
"""So many times the shortest text must the longest be for a slope to mean anything."""

_MOST_POINTS = 500
"""Only the last ones count: each is compared with every other one."""

_STANDARD_ERRORS = 1.96
"""On each side of the slope: 95 % of the slopes that the times allow for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSpeed:
    """A straight line through measured times: so much for every text, and so much for each token.

    Where longer texts are read more slowly, token by token, it is the speed in between.
    """

    tokens_per_second: float
    """The speed; what every text takes, such as a network, is no part of it."""

    slowest: float
    """Tokens a second: about as slow as the times allow for."""

    fastest: float
    """Tokens a second: about as fast."""

    fixed_seconds: float
    """What a text of no length takes, by the line: below 0 where longer texts are read more slowly,
    token by token."""

    points: int
    """Measured times that count."""

    residual_seconds: float
    """By how much they miss the line: half of them by less."""

    @property
    def overhead_seconds(self) -> float:
        """What every text takes, however short: `fixed_seconds`, where that can be."""
        return max(0.0, self.fixed_seconds)


def reading_speed(times: Iterable[tuple[int, float]]) -> ReadingSpeed | Unclear:
    """Put a line through measured times.

    Its slope is the median of the slopes between any two of them (Theil and Sen), so that a model
    that had to be loaded first, or read its prompt from a cache, does not turn it; how sure it is,
    is judged by their order (Kendall).

    Args:
        times: Tokens that were read, and the seconds that it took; the last 500 of them count.

    Returns:
        The speed, or why there is none to tell.
    """
    points = list(times)[-_MOST_POINTS:]
    if len(points) < LEAST_POINTS:
        return "too_few"
    lengths = [tokens for tokens, _ in points]
    if max(lengths) < _LEAST_SPREAD * max(1, min(lengths)):
        return "too_alike"
    slopes = sorted(
        (later - sooner) / (longer - shorter)
        for (shorter, sooner), (longer, later) in combinations(points, 2)
        if longer != shorter
    )
    margin = _margin(len(points))
    least = slopes[max(0, math.floor((len(slopes) - margin) / 2))]
    most = slopes[min(len(slopes), math.ceil((len(slopes) + margin) / 2)) - 1]
    if least <= 0:
        return "no_slower"
    slope = median(slopes)
    fixed = median(seconds - slope * tokens for tokens, seconds in points)
    return ReadingSpeed(
        tokens_per_second=1 / slope,
        slowest=1 / most,
        fastest=1 / least,
        fixed_seconds=fixed,
        points=len(points),
        residual_seconds=median(abs(s - fixed - slope * tokens) for tokens, s in points),
    )


def _margin(points: int) -> float:
    """How many slopes more may rise than fall, or the other way, where there is no slope."""
    return _STANDARD_ERRORS * math.sqrt(points * (points - 1) * (2 * points + 5) / 18)
