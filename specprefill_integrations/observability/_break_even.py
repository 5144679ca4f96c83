"""From which length compression pays, in seconds or in money: two straight lines that cross.

Pure. A target that reads twice the text takes twice as long here: attention that grows faster than
that only makes compression pay earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from specprefill_integrations.errors import BudgetError
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.types import Budget

Quantity = Literal["seconds", "money"]
"""What is saved: waiting for the first token, or what the provider and the draft cost."""

_GAINS = {"seconds": "shortens the wait for the first token", "money": "saves money"}
_LOSSES = {"seconds": "takes longer than it saves", "money": "costs more than it saves"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """What a text costs with compression and without, by its length.

    Raises:
        BudgetError: The budget does not say how much is kept of a text: a share of what the draft
            attends to may be any share of its tokens.
        ValueError: A cost is below 0 or not finite.
    """

    quantity: Quantity
    """What the costs are."""

    budget: Budget
    """How much may be kept of a text; all that may be kept is counted as kept."""

    target_per_token: float
    """What it costs that the target reads a token."""

    draft_per_token: float
    """What it costs that the draft reads a token."""

    per_text: float = 0.0
    """What it costs to compress a text of any length: the queue, the question, and the rest."""

    def __post_init__(self) -> None:
        """Reject what has no answer."""
        check_budget(self.budget)
        for cost in (self.target_per_token, self.draft_per_token, self.per_text):
            if not (math.isfinite(cost) and cost >= 0):
                msg = f"A cost is a finite number, at least 0; got {cost!r}."
                raise ValueError(msg)

    @classmethod
    def in_seconds(
        cls,
        *,
        budget: Budget,
        draft_tokens_per_second: float,
        target_tokens_per_second: float,
        overhead_seconds: float = 0.0,
    ) -> BreakEven:
        """Of the time to the first token.

        Args:
            budget: How much may be kept of a text.
            draft_tokens_per_second: What `specprefill bench` prints as tokens per second.
            target_tokens_per_second: How fast the target reads what is not in its prompt cache;
                see `target_tokens_per_second`.
            overhead_seconds: What compressing a text of any length takes, the draft's queue
                included.

        Raises:
            ValueError: A speed is not above 0.
        """
        return cls(
            quantity="seconds",
            budget=budget,
            target_per_token=1 / _speed(target_tokens_per_second),
            draft_per_token=1 / _speed(draft_tokens_per_second),
            per_text=overhead_seconds,
        )

    @classmethod
    def in_money(
        cls,
        *,
        budget: Budget,
        prices: Prices,
        draft_tokens_per_second: float,
        overhead_seconds: float = 0.0,
        later_reads: int = 0,
    ) -> BreakEven:
        """Of what the provider charges for the text, and what the draft costs meanwhile.

        Args:
            budget: How much may be kept of a text.
            prices: What tokens and the draft's machine cost.
            draft_tokens_per_second: What `specprefill bench` prints as tokens per second.
            overhead_seconds: What compressing a text of any length takes.
            later_reads: How often the text is sent again, as an agent does with each turn, and
                comes from the provider's prompt cache then.

        Raises:
            ValueError: The speed is not above 0.
        """
        reads = prices.input_per_million + later_reads * prices.cached_input
        draft_per_second = prices.draft_per_hour / 3600
        return cls(
            quantity="money",
            budget=budget,
            target_per_token=reads / 1_000_000,
            draft_per_token=draft_per_second / _speed(draft_tokens_per_second),
            per_text=draft_per_second * overhead_seconds,
        )

    def without_compression(self, tokens: int) -> float:
        """What a text of so many tokens costs as it is."""
        return float(self._without(tokens))

    def with_compression(self, tokens: int) -> float:
        """What it costs where the draft reads it, and the target what is kept."""
        return float(self._without(tokens) - self._saved(tokens))

    @property
    def least_tokens(self) -> int | None:
        """The length from which on compression pays; None where it never does.

        What is saved by keeping a share of a text is a straight line over its length, and so is
        what is saved by keeping a number of tokens. The better one counts, and a line that rises
        above 0 stays there.
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
        """The same in a line of plain words."""
        least = self.least_tokens
        gain = _GAINS[self.quantity]
        if least is None:
            return f"Don't, at any length: the draft's reading {_LOSSES[self.quantity]}."
        if least == 1:
            return f"Compression {gain} at any length."
        return f"Below {least:,} tokens, don't; from there on, compression {gain}."

    @property
    def _target(self) -> Fraction:
        return Fraction(self.target_per_token)

    @property
    def _draft(self) -> Fraction:
        return Fraction(self.draft_per_token)

    def _without(self, tokens: int) -> Fraction:
        return tokens * self._target

    def _saved(self, tokens: int) -> Fraction:
        """Exact, so that the length at which nothing is saved yet is no matter of rounding."""
        kept = min(tokens * share + number for share, number in self._limits())
        return (tokens - kept) * self._target - tokens * self._draft - Fraction(self.per_text)

    def _limits(self) -> list[tuple[Fraction, int]]:
        """What may be kept, as straight lines: a share of the text, or a number of tokens."""
        limits = [(Fraction(1), 0)]
        if self.budget.keep_fraction is not None:
            limits.append((Fraction(self.budget.keep_fraction), 0))
        if self.budget.max_tokens is not None:
            limits.append((Fraction(0), int(self.budget.max_tokens)))
        return limits


def check_budget(budget: Budget) -> None:
    """Make sure that a budget says how much is kept of a text, whatever stands in it.

    Args:
        budget: The budget.

    Raises:
        BudgetError: It does not.
    """
    if budget.keep_fraction is None and budget.max_tokens is None:
        msg = "Give a Budget with keep_fraction= or max_tokens=: it says how much is kept."
        raise BudgetError(msg)


def least_tokens_that_pay(
    *,
    budget: Budget,
    draft_tokens_per_second: float,
    target_tokens_per_second: float,
    overhead_seconds: float = 0.0,
) -> int | None:
    """The length from which on compression shortens the wait for the first token.

    Args:
        budget: How much may be kept of a text.
        draft_tokens_per_second: What `specprefill bench` prints as tokens per second.
        target_tokens_per_second: How fast the target reads what is not in its prompt cache.
        overhead_seconds: What compressing a text of any length takes, the draft's queue included.

    Returns:
        None where compression never does: nothing is to be compressed then.
    """
    return BreakEven.in_seconds(
        budget=budget,
        draft_tokens_per_second=draft_tokens_per_second,
        target_tokens_per_second=target_tokens_per_second,
        overhead_seconds=overhead_seconds,
    ).least_tokens


def _speed(tokens_per_second: float) -> float:
    if not (math.isfinite(tokens_per_second) and tokens_per_second > 0):
        msg = f"A speed is a finite number of tokens a second, above 0; got {tokens_per_second!r}."
        raise ValueError(msg)
    return tokens_per_second
