"""The interval of a share, against values from elsewhere and against its own definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.evaluation._wilson import wilson_interval

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (5, 10, 0.23659, 0.76341),
        (1, 1, 0.20655, 1.0),
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_known_values(hits: int, cases: int, low: float, high: float) -> None:
    assert wilson_interval(hits, cases) == pytest.approx((low, high), abs=6e-5)


def test_no_case_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_an_end_is_as_far_away_as_the_score_test_allows(count: tuple[int, int]) -> None:
    hits, cases = count
    for end in wilson_interval(hits, cases):
        distance = abs(hits / cases - end)
        assert distance == pytest.approx(Z * math.sqrt(end * (1 - end) / cases), abs=1e-6)


@given(counts)
def test_it_holds_the_share_and_mirrors(count: tuple[int, int]) -> None:
    hits, cases = count
    low, high = wilson_interval(hits, cases)
    assert 0 <= low <= hits / cases <= high <= 1
    mirrored = wilson_interval(cases - hits, cases)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_more_confidence_is_wider() -> None:
    low, high = wilson_interval(5, 10)
    lower, higher = wilson_interval(5, 10, confidence=0.99)
    assert lower < low < high < higher
