"""Costs of a model's calls, from records and prices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from specprefill_integrations._arguments import checked
from specprefill_integrations.observability import TtftRecord
from specprefill_integrations.observability._prices import Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Costs of calls, in the currency of the prices."""

    fresh_input: float = 0.0
    """Prompt tokens that the model read."""

    cached_input: float = 0.0
    """Prompt tokens from the provider's prompt cache."""

    cache_write: float = 0.0
    """Prompt tokens that the model read and the provider wrote to its prompt cache."""

    output: float = 0.0
    """Tokens of the answers."""

    draft: float = 0.0
    """The draft's machine while it worked or was waited for."""

    unpriced_calls: int = 0
    """Calls whose provider reports no tokens: only their draft is priced."""

    @property
    def total(self) -> float:
        """Sum of all parts."""
        read = self.fresh_input + self.cached_input + self.cache_write
        return read + self.output + self.draft

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            fresh_input=self.fresh_input + other.fresh_input,
            cached_input=self.cached_input + other.cached_input,
            cache_write=self.cache_write + other.cache_write,
            output=self.output + other.output,
            draft=self.draft + other.draft,
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
        )


def cost_of(record: TtftRecord, prices: Prices) -> Cost:
    """The cost of one call.

    Args:
        record: The call.
        prices: Prices of tokens and of the draft's machine.
    """
    usage = record.usage
    draft = record.draft_seconds / 3600 * prices.draft_per_hour
    fresh_tokens = record.prefill_tokens
    if fresh_tokens is None or usage.output_tokens is None:
        return Cost(draft=draft, unpriced_calls=1)
    written_tokens = min(usage.cache_write_tokens or 0, fresh_tokens)
    return Cost(
        fresh_input=(fresh_tokens - written_tokens) * prices.input_per_million / 1_000_000,
        cached_input=(usage.cached_tokens or 0) * prices.cached_input / 1_000_000,
        cache_write=written_tokens * prices.cache_write / 1_000_000,
        output=usage.output_tokens * prices.output_per_million / 1_000_000,
        draft=draft,
    )


@checked
def total_cost(records: Iterable[TtftRecord], prices: Prices) -> Cost:
    """The cost of calls together.

    Args:
        records: The calls, such as `TtftLog.records`.
        prices: Prices of tokens and of the draft's machine.
    """
    return sum((cost_of(record, prices) for record in records), Cost())


@checked
def net_saving(records: Iterable[TtftRecord], prices: Prices) -> float:
    """The money that compression saved, net of the provider's prompt cache and the draft.

    It is negative where compression cost more than it saved, such as where it changed messages that
    were in the cache. See `PromptSaving`.

    Args:
        records: The calls, such as `TtftLog.records`.
        prices: Prices of tokens and of the draft's machine.
    """
    return sum(
        record.saving.money(prices) - record.draft_seconds / 3600 * prices.draft_per_hour
        for record in records
    )
