"""Laws of choosing units."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.pipeline._score_budgets import (
    masses,
    select_mass,
    select_probable,
)
from specprefill_integrations.pipeline._selection import (
    prepared,
    select_best,
    select_covering,
    select_fraction,
)
from specprefill_integrations.types import Span, Unit

LARGEST, SMALLEST = sys.float_info.max, math.ulp(0.0)

# Few different ones, so that scores repeat; or any finite number, the hardest ones often.
SCORES = (
    st.integers(0, 4).map(float)
    | st.sampled_from([LARGEST, -LARGEST, SMALLEST, -SMALLEST, 0.0, -0.0])
    | st.floats(allow_nan=False, allow_infinity=False)
)


@st.composite
def some_units(draw: st.DrawFn, min_tokens: int = 0) -> list[Unit]:
    """Units of a few documents."""
    documents = draw(
        st.lists(
            st.lists(st.tuples(st.integers(min_tokens, 9), SCORES), max_size=8),
            max_size=4,
        )
    )
    return [
        Unit(document, Span(2 * i, 2 * i + 1), tokens, score)
        for document, members in enumerate(documents)
        for i, (tokens, score) in enumerate(members)
    ]


@st.composite
def headed_units(draw: st.DrawFn, min_tokens: int = 0) -> list[Unit]:
    """The same, some of them below others of their document."""
    units = draw(some_units(min_tokens))
    headed: list[Unit] = []
    for index, unit in enumerate(units):
        above = [i for i in range(index) if units[i].document == unit.document]
        heading = draw(st.none() | st.sampled_from(above)) if above else None
        needs = () if heading is None else (*headed[heading].needs, heading)
        headed.append(replace(unit, needs=needs))
    heads = {i for unit in headed for i in unit.needs}
    return [replace(unit, only_heads=i in heads) for i, unit in enumerate(headed)]


limits = st.integers(0, 80)
gap_costs = st.integers(0, 4)


def cost(units: Sequence[Unit], kept: Collection[int], gap_tokens: int) -> int:
    """What the kept units cost, with one marker for each gap in the documents they stand in."""
    tokens = sum(units[i].tokens for i in kept)
    gaps = 0
    for _, members in groupby(range(len(units)), key=lambda i: units[i].document):
        runs = [is_kept for is_kept, _ in groupby(members, key=lambda i: i in kept)]
        gaps += runs.count(False) if True in runs else 0
    return tokens + gap_tokens * gaps


def best_first(units: Sequence[Unit]) -> list[int]:
    return sorted(range(len(units)), key=lambda i: (-units[i].score, i))


def with_cheap_gaps(units: Sequence[Unit], kept: set[int], gap_tokens: int) -> set[int]:
    """What is kept, and the gaps that cost no more than their markers, from the first on."""
    for _, group in groupby(range(len(units)), key=lambda i: units[i].document):
        members = list(group)
        if not kept.intersection(members):
            continue
        for is_kept, run in groupby(members, key=frozenset(kept).__contains__):
            wider = kept | {j for i in run for j in (i, *units[i].needs)}
            if not is_kept and cost(units, wider, gap_tokens) <= cost(units, kept, gap_tokens):
                kept = wider
    return kept


class TestSelectBest:
    @given(some_units(), limits, gap_costs)
    def test_stays_within_the_limit(self, units: list[Unit], limit: int, gap: int) -> None:
        assert cost(units, select_best(units, limit, gap), gap) <= limit

    @given(some_units(), limits, gap_costs)
    def test_equals_the_slow_reference(self, units: list[Unit], limit: int, gap: int) -> None:
        kept: set[int] = set()
        for index in best_first(units):
            if cost(units, kept | {index}, gap) > limit:
                break
            kept.add(index)
        assert select_best(units, limit, gap) == with_cheap_gaps(units, kept, gap)

    @given(some_units(), limits)
    def test_no_unit_is_passed_over_for_a_worse_one(self, units: list[Unit], limit: int) -> None:
        kept = select_best(units, limit, 0)
        dropped = [i for i in best_first(units) if i not in kept]
        assert all(
            units[i].score >= units[j].score for i in kept for j in dropped if units[i].tokens
        )
        rest = limit - cost(units, kept, 0)
        assert not dropped or units[dropped[0]].tokens > rest

    @given(some_units(), gap_costs)
    def test_all_of_it_fits_in_what_all_of_it_costs(self, units: list[Unit], gap: int) -> None:
        enough = sum(unit.tokens for unit in units) + 2 * gap * len(units)
        assert select_best(units, enough, gap) == frozenset(range(len(units)))

    def test_ties_go_to_the_first(self) -> None:
        units = [Unit(0, Span(i, i + 1), 2, 1.0) for i in range(3)]
        assert select_best(units, 3, 0) == {0}


class TestLargerLimits:
    @given(headed_units(), st.data(), limits, limits, gap_costs)
    def test_keep_all_that_smaller_ones_keep(
        self, units: list[Unit], data: st.DataObject, one: int, other: int, gap: int
    ) -> None:
        flags = data.draw(st.lists(st.booleans(), min_size=len(units), max_size=len(units)))
        units = [replace(u, is_protected=flag) for u, flag in zip(units, flags, strict=True)]
        smaller, larger = sorted((one, other))
        for select in (select_best, select_covering):
            assert select(units, smaller, gap) <= select(units, larger, gap)

    @given(headed_units(), st.lists(limits, min_size=1, max_size=4), gap_costs)
    def test_are_the_same_whatever_was_asked_before(
        self, units: list[Unit], asked: list[int], gap: int
    ) -> None:
        for select in (select_best, select_covering):
            within = prepared(select, units, gap)
            assert [*map(within, asked)] == [select(units, limit, gap) for limit in asked]


class TestHeadings:
    @given(headed_units(), limits, gap_costs)
    def test_equals_the_slow_reference(self, units: list[Unit], limit: int, gap: int) -> None:
        kept: set[int] = set()
        for index in best_first(units):
            wanted = kept | {index, *units[index].needs}
            if units[index].only_heads:
                continue
            if cost(units, wanted, gap) > limit:
                break
            kept = wanted
        assert select_best(units, limit, gap) == with_cheap_gaps(units, kept, gap)

    @given(headed_units(min_tokens=1), limits, gap_costs)
    def test_nothing_is_kept_without_its_headings_nor_a_heading_for_its_own_sake(
        self, units: list[Unit], limit: int, gap: int
    ) -> None:
        kept = select_best(units, limit, gap)
        assert all(set(units[i].needs) <= kept for i in kept)
        before = select_best(units, limit, 0)
        assert all(any(i in units[j].needs for j in before) for i in before if units[i].only_heads)
        assert cost(units, kept, gap) <= limit


class TestProtected:
    @given(some_units(min_tokens=1), st.data(), limits)
    def test_they_have_half_of_what_is_kept_but_for_one_unit(
        self, units: list[Unit], data: st.DataObject, limit: int
    ) -> None:
        flags = data.draw(st.lists(st.booleans(), min_size=len(units), max_size=len(units)))
        units = [replace(u, is_protected=flag) for u, flag in zip(units, flags, strict=True)]
        largest = max((unit.tokens for unit in units), default=0)
        for select in (select_best, select_covering):
            kept = select(units, limit, 0)
            held = sum(units[i].tokens for i in kept if units[i].is_protected)
            if any(unit.is_protected for i, unit in enumerate(units) if i not in kept):
                assert held >= (sum(units[i].tokens for i in kept) - largest) / 2

    def test_the_other_half_is_the_questions(self) -> None:
        units = [
            Unit(0, Span(2 * i, 2 * i + 1), 5, float(i), is_protected=i < 10) for i in range(20)
        ]
        assert select_best(units, 40, 0) == {6, 7, 8, 9, 16, 17, 18, 19}


class TestCovering:
    @given(headed_units(), limits, gap_costs)
    def test_stays_within_the_limit_and_keeps_headings(
        self, units: list[Unit], limit: int, gap: int
    ) -> None:
        kept = select_covering(units, limit, gap)
        assert cost(units, kept, gap) <= limit
        assert all(set(units[i].needs) <= kept for i in kept)

    @given(some_units(min_tokens=1), limits, gap_costs)
    def test_without_a_floor_it_is_the_best_first(
        self, units: list[Unit], limit: int, gap: int
    ) -> None:
        assert select_covering(units, limit, gap, floor=0) == select_best(units, limit, gap)

    @given(st.integers(2, 6))
    def test_every_document_speaks_before_one_speaks_twice(self, documents: int) -> None:
        """Even where all the highest scores stand in one of them."""
        units = [
            Unit(d, Span(2 * i, 2 * i + 1), 5, float(i == 0) + 10 * (d == 0))
            for d in range(documents)
            for i in range(2 * documents)
        ]
        limit = 2 * 5 * documents  # two units a document; half of it is spent on covering
        assert {units[i].document for i in select_best(units, limit, 0)} == {0}
        kept = select_covering(units, limit, 0)
        assert {units[i].document for i in kept} == set(range(documents))
        assert kept >= set(range(0, len(units), 2 * documents))  # the best unit of each

    def test_tens_of_thousands_of_documents_are_covered(self) -> None:
        units = [Unit(i // 2, Span(i, i + 1), 5, float(i % 7)) for i in range(30_000)]
        kept = select_covering(units, 30_000, 2)
        assert sum(units[i].tokens for i in kept) <= 30_000
        assert len({units[i].document for i in kept}) > 2_000

    def test_a_long_text_without_headings_is_covered_from_end_to_end(self) -> None:
        units = [Unit(0, Span(2 * i, 2 * i + 1), 5, float(i < 20)) for i in range(160)]
        kept = select_covering(units, 160, 0)
        assert {i // 10 for i in kept} == set(range(16))

    def test_sections_are_parts(self) -> None:
        """Four headings with eight units each, the scores all in the first."""
        units: list[Unit] = []
        for _ in range(4):
            heading = len(units)
            units.append(Unit(0, Span(2 * heading, 2 * heading + 1), 2, 0.0, only_heads=True))
            units.extend(
                Unit(0, Span(2 * i, 2 * i + 1), 5, float(heading == 0), needs=(heading,))
                for i in range(heading + 1, heading + 9)
            )
        kept = select_covering(units, 60, 0)
        assert {units[i].needs for i in kept if units[i].needs} == {(0,), (9,), (18,), (27,)}


class TestSelectMass:
    @given(some_units(), st.floats(0.01, 1))
    def test_holds_the_share_with_no_unit_too_many(self, units: list[Unit], share: float) -> None:
        held = masses([u.score for u in units], [u.tokens for u in units], are_logarithms=False)
        units = [replace(u, mass=m) for u, m in zip(units, held, strict=True)]
        kept = select_mass(units, share)
        ranked = best_first(units)[: len(kept)]
        assert kept == set(ranked)
        if units:
            assert sum(units[i].mass for i in kept) >= share - 1e-6
            assert sum(units[i].mass for i in ranked[:-1]) < share

    @given(
        st.lists(st.tuples(st.floats(-50, 50) | SCORES, st.integers(0, 9)), min_size=1, max_size=9),
        st.booleans(),
    )
    def test_masses_are_shares(self, found: list[tuple[float, int]], logarithms: bool) -> None:  # noqa: FBT001
        shares = masses([s for s, _ in found], [t for _, t in found], are_logarithms=logarithms)
        assert math.isclose(sum(shares), 1, rel_tol=1e-9)
        assert all(share >= 0 for share in shares)

    def test_a_logarithm_is_a_likelihood_and_a_density_is_held_by_every_token(self) -> None:
        assert masses([0.0, math.log(3)], [9, 1], are_logarithms=True) == [0.25, 0.75]
        assert masses([1.0, 3.0, -2.0], [9, 1, 5], are_logarithms=False) == [0.75, 0.25, 0.0]
        assert masses([0.0, 0.0], [3, 1], are_logarithms=False) == [0.75, 0.25]


class TestSelectFraction:
    @given(some_units(), st.integers(1, 100))
    def test_keeps_exactly_the_share_rounded_up(self, units: list[Unit], percent: int) -> None:
        count = math.ceil(Fraction(len(units) * percent, 100))
        assert select_fraction(units, percent / 100) == set(best_first(units)[:count])

    def test_nothing_of_nothing(self) -> None:
        assert select_fraction([], 0.5) == frozenset()

    def test_a_decimal_share_is_not_pushed_up_by_its_binary_tail(self) -> None:
        units = [Unit(0, Span(i, i + 1), 1, 1.0) for i in range(100)]
        assert len(select_fraction(units, 0.07)) == 7


@given(headed_units(), st.floats(0, 1), st.floats(0, 1))
def test_a_lower_probability_keeps_all_that_a_higher_one_keeps(
    units: list[Unit], one: float, other: float
) -> None:
    ranked = sorted({unit.score for unit in units})
    units = [
        replace(unit, probability=(1 + ranked.index(unit.score)) / (1 + len(ranked)))
        for unit in units
    ]
    few, many = (select_probable(units, max(one, other)), select_probable(units, min(one, other)))
    assert few <= many
    for index, unit in enumerate(units):
        if not unit.only_heads and (unit.probability or 0) >= min(one, other):
            assert {index, *unit.needs} <= many
    assert bool(few) == any(not unit.only_heads for unit in units)
