"""A line through measured times, and what it does not say."""

from __future__ import annotations

from itertools import combinations
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.observability import ReadingSpeed, reading_speed

LENGTHS = range(1000, 9000, 1000)
# The same sum of errors up and down, and none of a slope.
ERRORS = (0.1, -0.1, -0.1, 0.1, 0.1, -0.1, -0.1, 0.1)


def times(per_second: float = 2000, fixed: float = 0.3, errors=(0.0,) * 8):
    pairs = zip(LENGTHS, errors, strict=True)
    return [(tokens, fixed + tokens / per_second + error) for tokens, error in pairs]


@given(st.floats(1, 1e6), st.floats(0, 100))
def test_times_on_a_line_tell_it(per_second: float, fixed: float) -> None:
    found = reading_speed(times(per_second, fixed))
    if isinstance(found, ReadingSpeed):
        assert found.tokens_per_second == pytest.approx(per_second, rel=1e-3)
        assert found.fixed_seconds == pytest.approx(fixed, rel=1e-3, abs=1e-6)
        assert found.slowest <= found.tokens_per_second <= found.fastest
    else:  # what is lost in rounding is no slope
        assert found == "no_slower"
        assert per_second > 1e4 * max(fixed, 1)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 10)), min_size=8, max_size=30))
def test_the_slope_is_the_median_of_all_slopes_between_two_points(points) -> None:
    found = reading_speed(points)
    if isinstance(found, ReadingSpeed):
        slopes = [(d - b) / (c - a) for (a, b), (c, d) in combinations(points, 2) if a != c]
        assert 1 / found.tokens_per_second == pytest.approx(median(slopes))
        fixed = median(seconds - median(slopes) * tokens for tokens, seconds in points)
        assert found.fixed_seconds == pytest.approx(fixed, abs=1e-9)


def test_it_says_how_sure_it_is() -> None:
    """In about 95 of 100 measurements, the speed lies where it is said to lie."""
    random = Random(0)  # noqa: S311 - nothing secret
    trials, hits = 300, 0
    for _ in range(trials):
        errors = [random.gauss(0, 0.2) for _ in LENGTHS]
        found = reading_speed(times(errors=errors))
        assert isinstance(found, ReadingSpeed)
        assert found.points == 8
        assert found.slowest <= found.tokens_per_second <= found.fastest
        hits += found.slowest <= 2000 <= found.fastest
    assert 0.92 * trials <= hits < trials


def test_it_says_how_far_off_times_are() -> None:
    errors = (0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1)
    found = reading_speed(times(errors=errors))
    assert isinstance(found, ReadingSpeed)
    assert found.residual_seconds == pytest.approx(0.1, abs=0.03)


def test_a_few_odd_times_do_not_matter() -> None:
    """A draft that was loaded first, and prompts that came from a cache."""
    odd = [(1000, 60.0), (8000, 0.04), (7000, 0.04)]
    found = reading_speed([*odd, *times(), *times()])
    assert isinstance(found, ReadingSpeed)
    assert found.tokens_per_second == pytest.approx(2000)
    assert found.fixed_seconds == pytest.approx(0.3)
    assert found.residual_seconds == pytest.approx(0)


def test_only_the_last_times_count() -> None:
    found = reading_speed([*times(per_second=1) * 10, *times() * 63])
    assert isinstance(found, ReadingSpeed)
    assert found.points == 500
    assert (found.slowest, found.fastest) == pytest.approx((2000, 2000))


def test_a_line_that_begins_below_zero_has_no_overhead() -> None:
    below = reading_speed([(tokens, seconds - 0.5) for tokens, seconds in times()])
    assert isinstance(below, ReadingSpeed)
    assert below.fixed_seconds == pytest.approx(-0.2)
    assert below.overhead_seconds == 0
    above = reading_speed(times())
    assert isinstance(above, ReadingSpeed)
    assert above.overhead_seconds == above.fixed_seconds > 0


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ([], "too_few"),
        (times()[1:], "too_few"),
        ([(tokens, tokens / 2000) for tokens in range(1000, 1900, 100)], "too_alike"),
        ([(0, 1.0)] * 8, "too_alike"),
        ([(tokens, 1.0) for tokens in LENGTHS], "no_slower"),
        ([(tokens, 10 - tokens / 1000) for tokens in LENGTHS], "no_slower"),
        (times(per_second=1e6, errors=ERRORS), "no_slower"),
    ],
    ids=["none", "few", "alike", "empty", "as_fast", "faster", "noise"],
)
def test_where_times_show_nothing_the_answer_is_why(measured, why: str) -> None:
    assert reading_speed(measured) == why
