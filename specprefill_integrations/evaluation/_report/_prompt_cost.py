"""What the prompts of a measurement's arms cost, by prices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.evaluation._cost import Cost, total_cost
from specprefill_integrations.observability import TokenUsage, TtftRecord
from specprefill_integrations.observability._prices import Prices

PROMPTS = 1000
"""What costs are told for: those of a single prompt are small numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPrices:
    """What tokens cost, and in which currency."""

    prices: Prices
    """The numbers."""

    currency: str
    """As part of a sentence: `in US dollars`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCost:
    """What a thousand prompts of an arm cost, as those seen do. Answers are no part of it."""

    target: float
    """What the model's provider charges for reading them."""

    draft: float
    """What the draft's machine costs while it compresses them."""

    is_estimated: bool
    """Whether tokens are counted by the draft's tokenizer, because the model does not say them."""

    @property
    def total(self) -> float:
        """Both together."""
        return self.target + self.draft


def cost_of_prompts(records: Iterable[Mapping[str, Any]], prices: Prices) -> PromptCost | None:
    """What an arm's prompts cost.

    Args:
        records: What the log says of the arm's answers; those of its prompts that were sent again
            after a failure count once.
        prices: What tokens and the draft's machine cost.

    Returns:
        None where there is no record.
    """
    calls = list(records)
    if not calls:
        return None
    cost: Cost = total_cost(map(_call, calls), prices)
    each = PROMPTS / len(calls)
    return PromptCost(
        target=(cost.fresh_input + cost.cached_input) * each,
        draft=cost.draft * each,
        is_estimated=any(call["input_tokens"] is None for call in calls),
    )


def _call(record: Mapping[str, Any]) -> TtftRecord:
    tokens = record["input_tokens"]
    if tokens is None:
        # Counted before the call, and again before each that failed.
        tokens = round(record["sent_tokens"] / (1 + record["failures"]))
    return TtftRecord(
        run_id="",
        started=0.0,
        total_seconds=record["total_seconds"],
        draft_seconds=record["draft_seconds"],
        usage=TokenUsage(input_tokens=tokens, output_tokens=0),
    )
