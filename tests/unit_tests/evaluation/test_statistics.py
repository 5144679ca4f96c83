"""Intervals and tests, against published values and against their definitions."""

from __future__ import annotations

import math
from itertools import product
from statistics import fmean

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from specprefill_integrations.evaluation._statistics import (
    MIN_BOOTSTRAP_PAIRS,
    bootstrap_interval,
    compare_pairs,
    mcnemar_p,
    tango_interval,
    wilson_interval,
)

Z = 1.959963984540054
SHARES = st.floats(0, 1)
COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).filter(sum)
BITS = st.lists(st.sampled_from([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]), min_size=1)
PAIRS = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=60)
SHARE_COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))

laws = settings(max_examples=30)


class TestTangoInterval:
    @pytest.mark.parametrize(
        ("won", "lost", "pairs", "low", "high"),
        [
            # M. W. Fagerland and others, Statistics in Medicine 33 (2014): Bentur's patients.
            (1, 7, 21, -0.517, -0.026),
            # Without a differing pair it is z^2 / (n + z^2) on both sides.
            (0, 0, 100, -0.03699, 0.03699),
            (0, 0, 1, -0.79345, 0.79345),
        ],
    )
    def test_known_values(self, won: int, lost: int, pairs: int, low: float, high: float) -> None:
        assert tango_interval(won, lost, pairs) == pytest.approx((low, high), abs=6e-4)

    @given(COUNTS)
    @laws
    def test_it_holds_the_difference_and_mirrors(self, counts: tuple[int, int, int]) -> None:
        won, lost, _ = counts
        pairs = sum(counts)
        low, high = tango_interval(won, lost, pairs)
        assert -1 <= low <= (won - lost) / pairs <= high <= 1
        mirrored = tango_interval(lost, won, pairs)
        assert mirrored == pytest.approx((-high, -low), abs=1e-6)

    @given(COUNTS)
    @laws
    def test_more_pairs_of_the_same_kind_are_narrower(self, counts: tuple[int, int, int]) -> None:
        won, lost, _ = counts
        pairs = sum(counts)
        assume(max(won, lost) < pairs)
        low, high = tango_interval(won, lost, pairs)
        lower, higher = tango_interval(4 * won, 4 * lost, 4 * pairs)
        assert higher - lower < high - low

    def test_it_holds_the_truth_as_often_as_it_says(self) -> None:
        """Over all outcomes of 30 pairs, weighted by how likely they are."""
        pairs, better, worse = 30, 0.15, 0.1
        held = 0.0
        for won, lost in product(range(pairs + 1), repeat=2):
            same = pairs - won - lost
            if same < 0:
                continue
            ways = math.comb(pairs, won) * math.comb(pairs - won, lost)
            likelihood = ways * better**won * worse**lost * (1 - better - worse) ** same
            if likelihood > 1e-7:
                low, high = tango_interval(won, lost, pairs)
                held += likelihood * (low <= better - worse <= high)
        assert 0.93 <= held <= 0.98


class TestBootstrapInterval:
    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
    @laws
    def test_it_holds_the_mean_and_repeats(self, differences: list[float]) -> None:
        low, high = bootstrap_interval(differences)
        assert -1 - 1e-9 <= low <= fmean(differences) <= high <= 1 + 1e-9
        assert bootstrap_interval(differences) == (low, high)

    def test_it_is_what_a_normal_distribution_says_where_there_are_many(self) -> None:
        differences = [math.sin(number) / 2 for number in range(400)]
        mean = fmean(differences)
        error = math.sqrt(fmean((d - mean) ** 2 for d in differences) / len(differences))
        low, high = bootstrap_interval(differences)
        assert low == pytest.approx(mean - Z * error, abs=0.002)
        assert high == pytest.approx(mean + Z * error, abs=0.002)

    def test_more_pairs_are_narrower(self) -> None:
        differences = [-0.3, 0.2, 0.1, 0.0, -0.1]
        low, high = bootstrap_interval(differences * 4)
        lower, higher = bootstrap_interval(differences * 16)
        assert higher - lower < 0.6 * (high - low)


class TestMcNemar:
    @pytest.mark.parametrize(
        ("won", "lost", "p"),
        [
            (0, 0, 1.0),
            (0, 1, 1.0),
            (5, 5, 1.0),
            (0, 6, 2 / 64),
            (1, 7, 0.0703125),
            (9, 1, 22 / 1024),
        ],
    )
    def test_known_values(self, won: int, lost: int, p: float) -> None:
        assert mcnemar_p(won, lost) == pytest.approx(p)

    @given(st.integers(0, 60), st.integers(0, 60))
    @laws
    def test_it_is_the_sum_of_the_binomial_tails(self, won: int, lost: int) -> None:
        differing = won + lost
        fewer = sum(math.comb(differing, count) for count in range(min(won, lost) + 1))
        assert mcnemar_p(won, lost) == pytest.approx(min(1.0, 2 * fewer / 2**differing))

    def test_thousands_of_pairs(self) -> None:
        assert mcnemar_p(4000, 4000) == 1
        assert 0 <= mcnemar_p(0, 4000) < 1e-300


class TestComparison:
    @given(pairs=BITS, binary=st.booleans())
    @laws
    def test_what_is_the_same_does_not_differ(
        self, pairs: list[tuple[float, float]], *, binary: bool
    ) -> None:
        scores = [score for score, _ in pairs] * 100
        found = compare_pairs(scores, scores, margin=0.05, binary=binary)
        assert found.difference == 0
        assert found.verdict == "not_worse"
        assert found.cases_needed is None
        assert found.mcnemar_p == (1 if binary else None)

    @given(PAIRS)
    @laws
    def test_the_interval_holds_the_mean(self, pairs: list[tuple[float, float]]) -> None:
        scores, reference = zip(*pairs, strict=True)
        found = compare_pairs(scores, reference, margin=0.1, binary=False)
        assert found.pairs == len(pairs)
        assert found.difference == pytest.approx(fmean(scores) - fmean(reference), abs=1e-9)
        assert found.interval[0] <= found.difference <= found.interval[1]

    @given(BITS, st.sampled_from([0.01, 0.05, 0.2]))
    @laws
    def test_the_verdict_is_what_the_interval_says(
        self, pairs: list[tuple[float, float]], margin: float
    ) -> None:
        scores, reference = zip(*pairs, strict=True)
        found = compare_pairs(scores, reference, margin=margin, binary=True)
        low, high = found.interval
        said = "not_worse" if low > -margin else "worse" if high < 0 else "not_shown"
        assert found.verdict == said

    @given(BITS, st.sampled_from([0.05, 0.2]))
    @laws
    def test_as_many_cases_as_it_asks_for_do_decide(
        self, pairs: list[tuple[float, float]], margin: float
    ) -> None:
        scores, reference = (list(side) for side in zip(*pairs, strict=True))
        found = compare_pairs(scores, reference, margin=margin, binary=True)
        assume(found.cases_needed is not None and found.cases_needed < 20_000)
        assert found.cases_needed > len(pairs)
        times = math.ceil(found.cases_needed / len(pairs))
        again = compare_pairs(scores * times, reference * times, margin=margin, binary=True)
        assert again.verdict != "not_shown"
        fewer = max(1, times // 2 - 1)
        before = compare_pairs(scores * fewer, reference * fewer, margin=margin, binary=True)
        assert before.verdict == "not_shown"

    def test_a_loss_is_called_one(self) -> None:
        reference = [1.0] * 40
        found = compare_pairs([0.0] * 10 + [1.0] * 30, reference, margin=0.05, binary=True)
        assert (found.verdict, found.cases_needed) == ("worse", None)
        assert found.difference == -0.25
        assert found.mcnemar_p == pytest.approx(2 / 2**10)

    def test_a_small_sure_loss_is_within_the_margin(self) -> None:
        reference = [0.52 + 0.001 * (number % 7) for number in range(60)]
        scores = [score - 0.02 for score in reference]
        found = compare_pairs(scores, reference, margin=0.05, binary=False)
        assert found.interval[1] < 0
        assert found.verdict == "not_worse"

    def test_few_pairs_show_nothing(self) -> None:
        alike = [0.3] * (MIN_BOOTSTRAP_PAIRS - 1)
        found = compare_pairs(alike, alike, margin=0.05, binary=False)
        assert (found.verdict, found.cases_needed) == ("not_shown", MIN_BOOTSTRAP_PAIRS)
        found = compare_pairs([1.0] * 30, [1.0] * 30, margin=0.05, binary=True)
        assert (found.verdict, found.cases_needed) == ("not_shown", 74)


class TestWilsonInterval:
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
    def test_known_values(self, hits: int, cases: int, low: float, high: float) -> None:
        assert wilson_interval(hits, cases) == pytest.approx((low, high), abs=6e-5)

    def test_no_case_gives_the_widest_interval(self) -> None:
        assert wilson_interval(0, 0) == (0.0, 1.0)

    @given(SHARE_COUNTS)
    def test_an_end_is_as_far_away_as_the_score_test_allows(self, count: tuple[int, int]) -> None:
        hits, cases = count
        for end in wilson_interval(hits, cases):
            distance = abs(hits / cases - end)
            assert distance == pytest.approx(Z * math.sqrt(end * (1 - end) / cases), abs=1e-6)

    @given(SHARE_COUNTS)
    def test_it_holds_the_share_and_mirrors(self, count: tuple[int, int]) -> None:
        hits, cases = count
        low, high = wilson_interval(hits, cases)
        assert 0 <= low <= hits / cases <= high <= 1
        mirrored = wilson_interval(cases - hits, cases)
        assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)

    def test_more_confidence_is_wider(self) -> None:
        low, high = wilson_interval(5, 10)
        lower, higher = wilson_interval(5, 10, confidence=0.99)
        assert lower < low < high < higher
