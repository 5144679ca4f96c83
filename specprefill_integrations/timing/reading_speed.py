"""How fast a model reads, by how long it took over texts of different lengths. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression
from typing import Literal

Unclear = Literal["too_few", "too_alike", "no_slower"]
"""Why measured times do not tell a speed: there are fewer than `LEAST_POINTS`, the longest text is
not twice as long as the shortest, or longer ones did not take longer for sure."""

LEAST_POINTS = 8
"""Fewer measured times are no basis: queues and networks make each of them uncertain."""

_LEAST_SPREAD = 2.0
"""So many times the shortest text must the longest be for a slope to mean anything."""

_STANDARD_ERRORS = 2.0
"""So many on each side of a slope: about 95 % of the slopes that the times allow for."""


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
    """What a text of no length takes, by the line; below 0 where the line is too straight."""

    points: int
    """Measured times."""

    residual_seconds: float
    """By how much they miss the line: root mean square."""

    @property
    def overhead_seconds(self) -> float:
        """What every text takes, however short: `fixed_seconds`, where that can be."""
        return max(0.0, self.fixed_seconds)


def reading_speed(times: Iterable[tuple[int, float]]) -> ReadingSpeed | Unclear:
    """Put a line through measured times.

    Args:
        times: Tokens that were read, and the seconds that it took.

    Returns:
        The speed, or why there is none to tell.
    """
    points = [(float(tokens), seconds) for tokens, seconds in times]
    if len(points) < LEAST_POINTS:
        return "too_few"
    lengths = [tokens for tokens, _ in points]
    if max(lengths) < _LEAST_SPREAD * max(1.0, min(lengths)):
        return "too_alike"
    slope, fixed = linear_regression(lengths, [seconds for _, seconds in points])
    squares = sum((seconds - fixed - slope * tokens) ** 2 for tokens, seconds in points)
    margin = _STANDARD_ERRORS * _standard_error(lengths, squares)
    if slope <= margin:
        return "no_slower"
    return ReadingSpeed(
        tokens_per_second=1 / slope,
        slowest=1 / (slope + margin),
        fastest=1 / (slope - margin),
        fixed_seconds=fixed,
        points=len(points),
        residual_seconds=math.sqrt(squares / len(points)),
    )


def _standard_error(lengths: Sequence[float], squares: float) -> float:
    """Of the slope of a line that misses its points by so many squared seconds in all."""
    mean = fmean(lengths)
    spread = sum((tokens - mean) ** 2 for tokens in lengths)
    return math.sqrt(squares / (len(lengths) - 2) / spread)
