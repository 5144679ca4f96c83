"""Calls in money."""

from __future__ import annotations

import pytest

from specprefill_integrations.evaluation._cost import Cost, cost_of, total_cost
from specprefill_integrations.observability import TokenUsage, TtftRecord
from specprefill_integrations.observability._prices import Prices

PRICES = Prices(
    input_per_million=2.0,
    cached_input_per_million=0.5,
    output_per_million=8.0,
    draft_per_hour=3.6,
)


def call(usage: TokenUsage, draft_seconds: float = 0.0) -> TtftRecord:
    return TtftRecord(
        run_id="a", started=0.0, total_seconds=1.0, draft_seconds=draft_seconds, usage=usage
    )


TOLD = call(
    TokenUsage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000), 1000.0
)


def test_each_kind_of_token_has_its_price() -> None:
    found = cost_of(TOLD, PRICES)
    assert found.fresh_input == pytest.approx(1.2)
    assert found.cached_input == pytest.approx(0.2)
    assert found.output == pytest.approx(0.8)
    assert found.draft == pytest.approx(1.0)
    assert found.total == pytest.approx(3.2)
    assert found.unpriced_calls == 0


def test_what_no_provider_told_is_not_guessed() -> None:
    for usage in (TokenUsage(), TokenUsage(input_tokens=5), TokenUsage(output_tokens=5)):
        assert cost_of(call(usage, 1000.0), PRICES) == Cost(draft=1.0, unpriced_calls=1)


def test_calls_add_up() -> None:
    found = total_cost([TOLD, TOLD, call(TokenUsage())], PRICES)
    assert found.total == pytest.approx(6.4)
    assert found.unpriced_calls == 1
    assert total_cost([], PRICES) == Cost()
