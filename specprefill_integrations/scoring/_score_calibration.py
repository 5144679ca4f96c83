"""Calibration of scores: from scores to probabilities, and to the least one that must be kept."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, Within, checked
from specprefill_integrations.errors import BudgetError

LEVELS = 200
"""Steps of the targets: 0.005, 0.01, up to 1."""

_LOWEST = -sys.float_info.max
_LogShare = Annotated[float, Within("of at most 0", _LOWEST, 0)]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCalibration:
    """The meaning of scores, fitted to cases with known evidence by `specprefill calibrate`.

    Both figures depend on the log share of a unit: its score minus the logarithm of the sum of
    exp(score) over all units of the call.
    """

    intercept: Annotated[float, Within("that is finite", _LOWEST)]
    """Log-odds that a unit is needed that holds the whole sum."""

    slope: PositiveFloat
    """Log-odds gained with each unit of the log share."""

    least_log_shares: tuple[_LogShare, ...]
    """The least log share to keep for each target recall, in steps of 1 / 200 from 0.005 on: with
    that probability, all evidence of a case is in units that reach it. Never ascending. Targets
    beyond the last one need more cases."""

    cases: PositiveInt
    """Number of cases that it was fitted to."""

    def __post_init__(self) -> None:
        """Check the order.

        Raises:
            ValueError: The shares ascend, or there are more than 200.
        """
        least = list(self.least_log_shares)
        if least != sorted(least, reverse=True) or len(least) > LEVELS:
            msg = f"least_log_shares are at most {LEVELS} numbers that never ascend"
            raise ValueError(msg)

    def probabilities(self, scores: Sequence[float], all_scores: Sequence[float]) -> list[float]:
        """Return the probability that each unit is needed.

        Args:
            scores: Scores of units.
            all_scores: Scores of all units of the call as the scorer gave them.
        """
        highest = max(all_scores, default=0.0)
        total = highest + math.log(math.fsum(math.exp(one - highest) for one in all_scores) or 1.0)
        return [self._probability(score - total) for score in scores]

    def allows(self, target_recall: float) -> bool:
        """Return True if there were enough cases for a target, in (0, 1)."""
        return _level(target_recall) <= len(self.least_log_shares)

    def least_probability(self, target_recall: float) -> float:
        """Return the probability from which on units are kept for a target.

        Args:
            target_recall: Probability that all evidence is kept, in (0, 1).

        Raises:
            BudgetError: The cases were too few for this target.
        """
        if not self.allows(target_recall):
            most = len(self.least_log_shares) / LEVELS
            msg = (
                f"target_recall={target_recall:g} needs more cases than the {self.cases} that the "
                f"scores were calibrated on, which allow {most:g} at most: lower it, or give "
                "`specprefill calibrate --pairs` more."
            )
            raise BudgetError(msg)
        return self._probability(self.least_log_shares[_level(target_recall) - 1])

    def _probability(self, log_share: float) -> float:
        log_odds = self.intercept + self.slope * log_share
        # Of the two forms the one whose exponential is small.
        if log_odds >= 0:
            return 1 / (1 + math.exp(-log_odds))
        odds = math.exp(log_odds)
        return odds / (1 + odds)


def _level(target_recall: float) -> int:
    """Return the step of a target, from 1 on."""
    # The nudge keeps 0.07 at 14 of 200: binary fractions may be a hair above the decimal.
    return max(1, math.ceil(target_recall * LEVELS - 1e-9))
