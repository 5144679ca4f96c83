"""Fitting by estimated tokens, confirmed by a caller's counter, which may be slow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from specprefill_integrations.pipeline._budget_fitting import Fitted
from specprefill_integrations.pipeline._unit_costs import TokenEstimate
from specprefill_integrations.types import CountTokens

# A result is counted so often, in the usual case that one of these fits.
_ATTEMPTS = 3

# A result is good enough if it takes this part of the limit.
_CLOSE = 0.98

# A last estimate is a little higher than the result before it tells.
_SAFETY = 1.01

# An estimate that is to change changes at least by half of this.
_STEP = 0.9

# Estimates double until a result fits, which at the latest an empty one does.
_MOST_ATTEMPTS = 100


class ConfirmedFitting:
    """Counts fitted documents with a caller's counter, each different text once."""

    def __init__(self, count_tokens: CountTokens) -> None:
        """Start with nothing counted.

        Args:
            count_tokens: Counts the tokens that the caller pays for.
        """
        self._count_tokens = count_tokens
        self._known = {"": 0}
        self._counted = 0

    def counted(self, fitted: Sequence[Fitted]) -> list[Fitted]:
        """Return documents with the tokens that the caller's counter gives them."""
        unknown = [*dict.fromkeys(one.text for one in fitted if one.text not in self._known)]
        if unknown:
            self._counted += 1
            self._known.update(zip(unknown, self._count_tokens(unknown), strict=True))
        return [replace(one, tokens=self._known[one.text]) for one in fitted]

    def fit(
        self,
        fit: Callable[[TokenEstimate], list[Fitted]],
        estimate: TokenEstimate,
        token_limit: int,
        widest_limit: int,
    ) -> list[Fitted]:
        """Fit by estimates that are corrected by what the results really cost.

        Args:
            fit: Fits documents into the limits by estimated tokens.
            estimate: The first estimate.
            token_limit: The caller's tokens of all documents together.
            widest_limit: Tokens up to which the limit may be widened.

        Returns:
            Documents that together were counted to be within the limits.
        """
        best: list[Fitted] | None = None
        too_low, high_enough = 0.0, math.inf  # ratios of estimates
        fitted: list[Fitted] = []
        for attempt in range(_MOST_ATTEMPTS):
            estimated = fit(estimate)
            fitted = self.counted(estimated)
            tokens = _total(fitted)
            if tokens <= (widest_limit if _total(estimated) > token_limit else token_limit):
                high_enough = min(high_enough, estimate.ratio)
                best = fitted if best is None or tokens > _total(best) else best
            else:
                too_low = max(too_low, estimate.ratio)
            is_late = self._counted >= _ATTEMPTS or attempt >= 2 * _ATTEMPTS
            if best and (is_late or _total(best) >= _CLOSE * token_limit):
                return best
            measured = sum(estimate.measure([one.text for one in fitted]))
            due = tokens / measured if tokens and measured else estimate.ratio / 2
            if self._counted >= _ATTEMPTS - 1 and tokens > token_limit:
                due *= _SAFETY
            if is_late:
                due = 2 * estimate.ratio
            elif not too_low < due < high_enough:
                lower = too_low or _STEP * high_enough
                due = (lower + min(high_enough, lower / _STEP)) / 2
            estimate = replace(estimate, ratio=due)
        return [Fitted((), "", 0) for _ in fitted]


def _total(fitted: Sequence[Fitted]) -> int:
    return sum(document.tokens for document in fitted)
