"""Prices: given, or of the installed table."""

from __future__ import annotations

import sys

import pytest

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.observability._prices import Prices


def test_a_cache_without_a_price_costs_the_same() -> None:
    assert Prices(input_per_million=2.0).cached_input == 2.0
    assert Prices(input_per_million=2.0, cached_input_per_million=0.0).cached_input == 0.0


@pytest.mark.parametrize("price", [-1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["input_per_million", "draft_per_hour"])
def test_what_is_no_price_is_refused(name: str, price: float) -> None:
    with pytest.raises(ValueError, match=name):
        Prices(**{"input_per_million": 1.0, name: price})


def test_the_table_knows_models_offline() -> None:
    pytest.importorskip("genai_prices")
    found = Prices.of_model("gpt-4o", provider="openai", draft_per_hour=0.5)
    # As listed since 2024-10-02.
    assert found == Prices(
        input_per_million=2.5,
        cached_input_per_million=1.25,
        output_per_million=10.0,
        draft_per_hour=0.5,
    )


def test_writing_to_a_cache_may_cost_more() -> None:
    pytest.importorskip("genai_prices")
    found = Prices.of_model("claude-sonnet-4-5", provider="anthropic")
    assert found.cache_write == pytest.approx(1.25 * found.input_per_million)
    assert found.cached_input == pytest.approx(0.1 * found.input_per_million)
    assert Prices(input_per_million=2.0).cache_write == 2.0


def test_longer_prompts_may_cost_more() -> None:
    pytest.importorskip("genai_prices")
    short = Prices.of_model("gemini-2.5-pro", prompt_tokens=10_000)
    long = Prices.of_model("gemini-2.5-pro", prompt_tokens=300_000)
    assert long.input_per_million > short.input_per_million > short.cached_input
    assert long.output_per_million > short.output_per_million


def test_an_unknown_model_is_named() -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(LookupError, match="'no-such-model'"):
        Prices.of_model("no-such-model")


def test_without_the_table_the_error_holds_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingDependencyError, match=r"integrations\[report\]'"):
        Prices.of_model("gpt-4o")
