"""From which length compression pays: the closed form against trying every length."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.observability import BreakEven, least_tokens_that_pay
from specprefill_integrations.observability._prices import Prices

FIFTH = Budget(keep_fraction=0.2)
TRIED = 400

fractions = st.one_of(st.none(), st.floats(0.01, 1))
amounts = st.one_of(st.none(), st.integers(1, 100))
budgets = st.builds(
    lambda keep, most: Budget(keep_fraction=keep, max_tokens=most), fractions, amounts
)
# Few enough that lines often cross within the lengths that are tried, exactly on a length too.
costs = st.sampled_from([0.0, 0.125, 0.25, 0.3, 0.5, 1.0, 2.0, 10.0])
break_evens = st.builds(
    lambda keep, most, target, draft, per_text: BreakEven(
        quantity="seconds",
        budget=Budget(keep_fraction=keep, max_tokens=most),
        target_per_token=target,
        draft_per_token=draft,
        per_text=per_text,
    ),
    st.floats(0.01, 1),
    amounts,
    costs,
    costs,
    costs,
)


def saved(found: BreakEven, tokens: int) -> Fraction:
    """What compression saves on a text: exactly, since the figures are rounded."""
    limits = [Fraction(tokens)]
    if found.budget.keep_fraction is not None:
        limits.append(tokens * Fraction(found.budget.keep_fraction))
    if found.budget.max_tokens is not None:
        limits.append(Fraction(found.budget.max_tokens))
    costs = tokens * Fraction(found.draft_per_token) + Fraction(found.per_text)
    return (tokens - min(limits)) * Fraction(found.target_per_token) - costs


@given(break_evens)
def test_the_closed_form_is_what_trying_every_length_finds(found: BreakEven) -> None:
    pays = [n for n in range(TRIED) if saved(found, n) > 0]
    least = found.least_tokens
    if least is None or least >= TRIED:
        assert pays == []
    else:
        assert pays == list(range(least, TRIED))


@given(break_evens, st.integers(0, TRIED))
def test_costs_are_what_was_said(found: BreakEven, tokens: int) -> None:
    kept = min(tokens, found.budget.keep_fraction * tokens, found.budget.max_tokens or tokens)
    expected = tokens * found.draft_per_token + kept * found.target_per_token + found.per_text
    assert found.with_compression(tokens) == pytest.approx(expected)
    assert found.without_compression(tokens) == pytest.approx(tokens * found.target_per_token)
    # No budget keeps more than is counted here.
    assert found.budget.token_limit(tokens) <= max(1, kept + 1e-6)


def seconds(**changes) -> BreakEven:
    about = {
        "budget": FIFTH,
        "draft_tokens_per_second": 4000,
        "target_tokens_per_second": 1000,
        "overhead_seconds": 0.4948,
    }
    return BreakEven.in_seconds(**{**about, **changes})


def test_a_length_of_which_the_figures_are_known() -> None:
    # A token saves 0.8 ms of the target's time and takes 0.25 ms of the draft's.
    found = seconds()
    assert found.least_tokens == 900
    assert (
        found.verdict == "Compression pays from 900 tokens on: it shortens the time to first token."
    )
    assert found.with_compression(2000) == pytest.approx(0.4948 + 0.5 + 0.4)
    assert found.without_compression(2000) == pytest.approx(2.0)


def test_never_and_always() -> None:
    never = seconds(draft_tokens_per_second=1250)
    assert never.least_tokens is None
    assert never.verdict == (
        "Compression does not pay at any length: the draft takes longer than it saves."
    )
    always = seconds(overhead_seconds=0.0)
    assert always.least_tokens == 1
    assert always.verdict.endswith("at any length.")


def test_a_number_of_tokens_pays_where_a_share_never_does() -> None:
    slow = {"draft_tokens_per_second": 1100, "overhead_seconds": 0.0}
    assert seconds(**slow).least_tokens is None
    # Beyond 100 tokens each one saves 1 ms and takes 1/1.1 ms.
    most = Budget(max_tokens=100)
    assert seconds(**slow | {"overhead_seconds": 1e-5}, budget=most).least_tokens == 1101


def test_the_plain_function_says_the_same() -> None:
    assert (
        least_tokens_that_pay(
            budget=FIFTH,
            draft_tokens_per_second=4000,
            target_tokens_per_second=1000,
            overhead_seconds=0.4948,
        )
        == 900
    )


def test_money_counts_later_turns_and_the_machine() -> None:
    prices = Prices(
        input_per_million=1.0, cached_input_per_million=0.1, draft_per_hour=3.6
    )  # 0.001 a second
    about = {"budget": FIFTH, "prices": prices, "draft_tokens_per_second": 10_000}
    once = BreakEven.in_money(**about, overhead_seconds=1.0)
    assert once.without_compression(1_000_000) == pytest.approx(1.0)
    assert once.with_compression(1_000_000) == pytest.approx(0.2 + 0.1 + 0.001)
    assert once.least_tokens == pytest.approx(0.001 / 0.7e-6, abs=1)
    often = BreakEven.in_money(**about, later_reads=10)
    assert often.without_compression(1_000_000) == pytest.approx(2.0)
    assert often.verdict == "Compression saves money at any length."


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(BudgetError, match="keep_fraction= or max_tokens="):
        seconds(budget=Budget(attention_mass=0.9))
    for speed in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="tokens_per_second must be a number above 0"):
            seconds(draft_tokens_per_second=speed)
    with pytest.raises(ValueError, match="at least 0"):
        seconds(overhead_seconds=-0.1)
