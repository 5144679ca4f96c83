"""Reading speed of a model, estimated from the times it took over texts of different lengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import MissingDependencyError

Unclear = Literal["too_few", "too_alike", "no_slower"]
"""Reason why times give no speed: fewer than `LEAST_POINTS`, a longest text less than twice as long
as the shortest, or a slope that may be 0."""

LEAST_POINTS = 8
"""Fewest measured times for an estimate."""

_LEAST_SPREAD = 2.0
_MOST_POINTS = 500  # each is compared with every other one
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSpeed:
    """Straight line through measured times: a constant per text, plus a time per token."""

    tokens_per_second: float
    """Reading speed, without the constant per text (such as the network)."""

    slowest: float
    """Lower end of the speed's 95 % interval, in tokens per second."""

    fastest: float
    """Upper end of the interval."""

    fixed_seconds: float
    """Constant of the line; below 0 if the time per token grows with the length."""

    points: int
    """Number of measured times used."""

    residual_seconds: float
    """Median distance of the times from the line."""

    @property
    def overhead_seconds(self) -> float:
        """Time that every text takes, however short: `fixed_seconds`, at least 0."""
        return max(0.0, self.fixed_seconds)


@checked
def reading_speed(times: Iterable[tuple[int, float]]) -> ReadingSpeed | Unclear:
    """Fit a straight line to measured times.

    The slope is the Theil-Sen estimate, which outliers (a model that had to be loaded first, a
    prompt read from a cache) do not move.

    Args:
        times: Tokens read and seconds taken; only the last 500 pairs are used.

    Returns:
        The speed, or the reason why the times do not give one.

    Raises:
        MissingDependencyError: scipy is not installed.
    """
    points = list(times)[-_MOST_POINTS:]
    if len(points) < LEAST_POINTS:
        return "too_few"
    lengths = [tokens for tokens, _ in points]
    if max(lengths) < _LEAST_SPREAD * max(1, min(lengths)):
        return "too_alike"
    stats = scipy_stats()
    import numpy as np  # noqa: PLC0415 - comes with scipy

    with np.errstate(invalid="ignore"):  # nearly all times tied: the interval is nan
        line = stats.theilslopes(
            [seconds for _, seconds in points], lengths, alpha=_CONFIDENCE, method="joint"
        )
    if not line.low_slope > 0:
        return "no_slower"
    slope, fixed = float(line.slope), float(line.intercept)
    return ReadingSpeed(
        tokens_per_second=1 / slope,
        slowest=1 / float(line.high_slope),
        fastest=1 / float(line.low_slope),
        fixed_seconds=fixed,
        points=len(points),
        residual_seconds=median(abs(s - fixed - slope * tokens) for tokens, s in points),
    )


def scipy_stats() -> Any:  # noqa: ANN401 - scipy has no types
    """Import `scipy.stats`.

    Raises:
        MissingDependencyError: scipy is not installed.
    """
    try:
        from scipy import stats  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        package = "scipy"
        raise MissingDependencyError(package, "statistics") from error
    return stats
