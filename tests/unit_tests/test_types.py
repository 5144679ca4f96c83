"""Budgets, and the result's own arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specprefill_integrations import Budget, Compression
from specprefill_integrations.errors import BudgetError

NOT_FRACTIONS = [
    0,
    0.0,
    -0.1,
    1.0001,
    2,
    math.nan,
    math.inf,
    -math.inf,
    True,
    "0.2",
    Decimal("0.2"),
]
NOT_TOKENS = [0, -1, 2.5, 3.0, math.nan, math.inf, True, False, "800", Fraction(5, 1)]


class TestBudget:
    @pytest.mark.parametrize("value", NOT_FRACTIONS)
    def test_a_keep_fraction_out_of_range_is_refused(self, value: Any) -> None:
        with pytest.raises(BudgetError, match="keep_fraction"):
            Budget(keep_fraction=value)

    @pytest.mark.parametrize("value", NOT_TOKENS)
    def test_max_tokens_out_of_range_is_refused(self, value: Any) -> None:
        with pytest.raises(BudgetError, match="max_tokens"):
            Budget(max_tokens=value)

    def test_a_budget_without_a_limit_is_refused(self) -> None:
        with pytest.raises(BudgetError, match=r"at least one of keep_fraction=, max_tokens=, "):
            Budget()

    def test_an_error_is_a_value_error_too(self) -> None:
        with pytest.raises(ValueError, match="got 7"):
            Budget(keep_fraction=7)

    def test_numpy_numbers_are_numbers(self) -> None:
        budget: Any = Budget(keep_fraction=np.float64(0.25), max_tokens=np.int64(50))
        assert budget.token_limit(100) == 25
        assert type(budget.token_limit(1_000)) is int

    @given(st.integers(0, 10**6), st.integers(1, 100))
    @example(100, 29)  # 0.29 * 100 is 28.999999999999996
    def test_a_percentage_is_exact(self, original: int, percent: int) -> None:
        limit = Budget(keep_fraction=percent / 100).token_limit(original)
        assert limit == min(original, max(1, percent * original // 100))

    @given(st.integers(0, 10**6), st.integers(1, 10**6), st.floats(1e-9, 1))
    def test_the_stricter_limit_holds(self, original: int, most: int, keep: float) -> None:
        limit = Budget(max_tokens=most, keep_fraction=keep).token_limit(original)
        assert limit == min(
            Budget(max_tokens=most).token_limit(original),
            Budget(keep_fraction=keep).token_limit(original),
        )

    @pytest.mark.parametrize("value", [-1, 1.5, True, "64", math.nan])
    def test_min_tokens_out_of_range_is_refused(self, value: Any) -> None:
        with pytest.raises(BudgetError, match="min_tokens must be a whole number, at least 0"):
            Budget(keep_fraction=0.5, min_tokens=value)

    def test_only_a_fraction_gives_way(self) -> None:
        assert Budget(keep_fraction=0.1).widest_limit(200) == 64
        assert Budget(keep_fraction=0.1).widest_limit(30) == 30
        assert Budget(keep_fraction=0.1).widest_limit(2_000) == 200
        assert Budget(keep_fraction=0.1, min_tokens=0).widest_limit(200) == 20
        assert Budget(keep_fraction=0.1, max_tokens=40).widest_limit(200) == 40
        assert Budget(max_tokens=40).widest_limit(200) == 40

    @given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1e-9, 1))
    def test_some_of_a_text_and_never_more_than_all(
        self, original: int, most: int, keep: float
    ) -> None:
        limit = Budget(max_tokens=most, keep_fraction=keep).token_limit(original)
        assert 1 <= limit <= min(original, most)
        assert limit == 1 or limit <= keep * original + 1e-6


class TestCompression:
    def test_keep_fraction_is_kept_of_original(self) -> None:
        result = Compression(
            text="b", kept=(), original_tokens=8, kept_tokens=2, elapsed_seconds=0.0
        )
        assert result.keep_fraction == 0.25

    def test_all_of_nothing_is_kept(self) -> None:
        result = Compression(
            text="", kept=(), original_tokens=0, kept_tokens=0, elapsed_seconds=0.0
        )
        assert result.keep_fraction == 1
