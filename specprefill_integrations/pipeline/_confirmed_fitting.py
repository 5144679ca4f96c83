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

# A last estimate is higher than a result above the limit tells, by this and by as much as the
# result was above it, but at most by the other.
_SAFETY = 1.03
_MOST_SAFETY = 1.1

# An estimate is at most so many times what a result above the limit tells.
_MOST_STEP = 1.25

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
        late = 0
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
            late += self._counted >= _ATTEMPTS or attempt >= 2 * _ATTEMPTS
            if best and (late or _total(best) >= _CLOSE * token_limit):
                return best
            told = _told_by(fitted, estimate)
            if told.weights != estimate.weights:
                too_low, high_enough = 0.0, math.inf  # these ratios do not compare
            if best and tokens > token_limit:
                due = _SAFETY * told.ratio
            else:
                due = self._due(told, estimate, tokens / max(1, token_limit))
            if late:
                due = max(due, (_MOST_SAFETY if late == 1 else 2) * estimate.ratio)
            elif not too_low < due < high_enough:
                due = _between(too_low, high_enough, due)
            estimate = replace(told, ratio=due)
        return [Fitted((), "", 0) for _ in fitted]

    def _due(self, told: TokenEstimate, estimate: TokenEstimate, share: float) -> float:
        """Return the ratio for the next estimate.

        What a result cost more than estimated may stay, as gap markers do, when its text is made
        shorter.

        Args:
            told: The estimate that would have been right for the result.
            estimate: That by which it was made.
            share: The tokens of the result / the limit.
        """
        due = told.ratio
        if share <= 1:
            return due
        if told.weights == estimate.weights:
            room = 1 - (1 - 1 / share) * due / estimate.ratio  # the part of its text that may stay
            step = 1 / (share * room) if room > 0 else _MOST_STEP
            due *= min(max(1.0, step), _MOST_STEP)
        is_last = self._counted >= _ATTEMPTS - 1
        return due * min(_SAFETY * share, _MOST_SAFETY) if is_last else due


def _between(too_low: float, high_enough: float, due: float) -> float:
    """Return a ratio between two that are known, in the middle or close to the lower one."""
    lower = too_low or _STEP * high_enough
    upper = high_enough if due >= high_enough else min(high_enough, lower / _STEP)
    return (lower + upper) / 2


def _told_by(fitted: Sequence[Fitted], estimate: TokenEstimate) -> TokenEstimate:
    """Return the estimate that would have been right for each document that was counted."""
    sizes = estimate.measure([one.text for one in fitted])
    tokens, size = _total(fitted), sum(sizes)
    if not tokens or not size:
        return replace(estimate, ratio=estimate.ratio / 2)
    ratio = tokens / size
    own = [
        one.tokens / size if one.tokens and size else estimate.of(number).ratio
        for number, (one, size) in enumerate(zip(fitted, sizes, strict=True))
    ]
    weights = tuple(one / ratio for one in own) if len(own) > 1 else ()
    return TokenEstimate(estimate.measure, ratio, weights)


def _total(fitted: Sequence[Fitted]) -> int:
    return sum(document.tokens for document in fitted)
