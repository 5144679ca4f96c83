"""Break-even length of compression, in seconds or in money, from two straight lines.

Reading time is taken to be linear in the length; attention that grows faster only makes compression
pay earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from specprefill_integrations._arguments import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    checked,
)
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.types import Budget

Quantity = Literal["seconds", "money"]
"""Quantity to save: time to first token, or the cost of provider and draft."""

_GAINS = {"seconds": "shortens the time to first token", "money": "saves money"}
_LOSSES = {"seconds": "takes longer than it saves", "money": "costs more than it saves"}


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Cost of a text with and without compression, as a function of its length.

    Raises:
        BudgetError: The budget sets neither `keep_fraction` nor `max_tokens`.
        ValueError: A cost is below 0 or not finite.
    """

    quantity: Quantity
    """Unit of the costs."""

    budget: Budget
    """Budget of a text; assumed to be used up."""

    target_per_token: NonNegativeFloat
    """Cost of a token read by the target model."""

    draft_per_token: NonNegativeFloat
    """Cost of a token read by the draft model."""

    per_text: NonNegativeFloat = 0.0
    """Cost of compressing a text that does not depend on its length, such as queueing."""

    def __post_init__(self) -> None:
        """Validate the budget."""
        check_budget(self.budget)

    @classmethod
    @checked
    def in_seconds(
        cls,
        *,
        budget: Budget,
        draft_tokens_per_second: PositiveFloat,
        target_tokens_per_second: PositiveFloat,
        overhead_seconds: NonNegativeFloat = 0.0,
    ) -> BreakEven:
        """Compare times to first token.

        Args:
            budget: Budget of a text.
            draft_tokens_per_second: Scoring speed, as measured by `specprefill bench`.
            target_tokens_per_second: Reading speed of the target model without its prompt cache;
                see `target_tokens_per_second`.
            overhead_seconds: Time of compressing a text that does not depend on its length, with
                the draft's queue.

        Raises:
            ValueError: A speed is not positive.
        """
        return cls(
            quantity="seconds",
            budget=budget,
            target_per_token=1 / target_tokens_per_second,
            draft_per_token=1 / draft_tokens_per_second,
            per_text=overhead_seconds,
        )

    @classmethod
    @checked
    def in_money(
        cls,
        *,
        budget: Budget,
        prices: Prices,
        draft_tokens_per_second: PositiveFloat,
        overhead_seconds: NonNegativeFloat = 0.0,
        later_reads: NonNegativeInt = 0,
    ) -> BreakEven:
        """Compare costs of the provider and of the draft's machine.

        Args:
            budget: Budget of a text.
            prices: Prices of tokens and of the draft's machine.
            draft_tokens_per_second: Scoring speed, as measured by `specprefill bench`.
            overhead_seconds: Time of compressing a text that does not depend on its length.
            later_reads: Number of times that the text is sent again and read from the provider's
                prompt cache, as in the turns of an agent.

        Raises:
            ValueError: The speed is not positive.
        """
        reads = prices.input_per_million + later_reads * prices.cached_input
        draft_per_second = prices.draft_per_hour / 3600
        return cls(
            quantity="money",
            budget=budget,
            target_per_token=reads / 1_000_000,
            draft_per_token=draft_per_second / draft_tokens_per_second,
            per_text=draft_per_second * overhead_seconds,
        )

    def without_compression(self, tokens: int) -> float:
        """Cost of a text of this length without compression."""
        return float(self._without(tokens))

    def with_compression(self, tokens: int) -> float:
        """Cost of a text of this length with compression."""
        return float(self._without(tokens) - self._saved(tokens))

    @property
    def least_tokens(self) -> int | None:
        """Break-even length in tokens; None if compression never pays off.

        The saving is linear in the length both for a kept fraction and for a kept number of tokens;
        the larger of the two counts.
        """
        lengths = []
        for kept_per_token, kept in self._limits():
            slope = (1 - kept_per_token) * self._target - self._draft
            at_zero = kept * self._target + Fraction(self.per_text)
            if slope > 0:
                lengths.append(math.floor(at_zero / slope) + 1)
        return min(lengths, default=None)

    @property
    def verdict(self) -> str:
        """The break-even as a sentence."""
        least = self.least_tokens
        gain = _GAINS[self.quantity]
        if least is None:
            return f"Compression does not pay at any length: the draft {_LOSSES[self.quantity]}."
        if least == 1:
            return f"Compression {gain} at any length."
        return f"Compression pays from {least:,} tokens on: it {gain}."

    @property
    def _target(self) -> Fraction:
        return Fraction(self.target_per_token)

    @property
    def _draft(self) -> Fraction:
        return Fraction(self.draft_per_token)

    def _without(self, tokens: int) -> Fraction:
        return tokens * self._target

    def _saved(self, tokens: int) -> Fraction:
        """Compute the saving exactly, so that rounding does not move the break-even."""
        kept = min(tokens * share + number for share, number in self._limits())
        return (tokens - kept) * self._target - tokens * self._draft - Fraction(self.per_text)

    def _limits(self) -> list[tuple[Fraction, int]]:
        """List the limits on kept tokens as lines: share of the text, and number of tokens."""
        limits = [(Fraction(1), 0)]
        if self.budget.keep_fraction is not None:
            limits.append((Fraction(self.budget.keep_fraction), 0))
        if self.budget.max_tokens is not None:
            limits.append((Fraction(0), int(self.budget.max_tokens)))
        return limits


def check_budget(budget: Budget) -> None:
    """Check that a budget determines how many tokens of a text are kept.

    Args:
        budget: The budget.

    Raises:
        BudgetError: It sets neither `keep_fraction` nor `max_tokens`.
    """
    if budget.keep_fraction is None and budget.max_tokens is None:
        msg = "The budget needs keep_fraction= or max_tokens=."
        raise BudgetError(msg)


@checked
def least_tokens_that_pay(
    *,
    budget: Budget,
    draft_tokens_per_second: PositiveFloat,
    target_tokens_per_second: PositiveFloat,
    overhead_seconds: NonNegativeFloat = 0.0,
) -> int | None:
    """Compute the length above which compression shortens the time to first token.

    Args:
        budget: Budget of a text.
        draft_tokens_per_second: Scoring speed, as measured by `specprefill bench`.
        target_tokens_per_second: Reading speed of the target model without its prompt cache.
        overhead_seconds: Time of compressing a text that does not depend on its length.

    Returns:
        Length in tokens; None if compression never pays off.
    """
    return BreakEven.in_seconds(
        budget=budget,
        draft_tokens_per_second=draft_tokens_per_second,
        target_tokens_per_second=target_tokens_per_second,
        overhead_seconds=overhead_seconds,
    ).least_tokens
