"""Laws of choosing units."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.selection import select_best, select_fraction
from specprefill_integrations.types import Span, Unit


@st.composite
def some_units(draw: st.DrawFn, min_tokens: int = 0) -> list[Unit]:
    """Units of a few documents; scores repeat."""
    documents = draw(
        st.lists(
            st.lists(st.tuples(st.integers(min_tokens, 9), st.integers(0, 4)), max_size=8),
            max_size=4,
        )
    )
    return [
        Unit(document, Span(2 * i, 2 * i + 1), tokens, float(score))
        for document, members in enumerate(documents)
        for i, (tokens, score) in enumerate(members)
    ]


@st.composite
def headed_units(draw: st.DrawFn) -> list[Unit]:
    """The same, some of them below others of their document."""
    units = draw(some_units())
    headed: list[Unit] = []
    for index, unit in enumerate(units):
        above = [i for i in range(index) if units[i].document == unit.document]
        heading = draw(st.none() | st.sampled_from(above)) if above else None
        needs = () if heading is None else (*headed[heading].needs, heading)
        headed.append(replace(unit, needs=needs))
    return headed


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


class TestSelectBest:
    @given(some_units(), limits, gap_costs)
    def test_stays_within_the_limit(self, units: list[Unit], limit: int, gap: int) -> None:
        assert cost(units, select_best(units, limit, gap), gap) <= limit

    @given(some_units(), limits, gap_costs)
    def test_equals_the_slow_reference(self, units: list[Unit], limit: int, gap: int) -> None:
        kept: set[int] = set()
        for index in best_first(units):
            if cost(units, kept | {index}, gap) <= limit:
                kept.add(index)
        assert select_best(units, limit, gap) == kept

    @given(some_units(), limits, gap_costs)
    def test_keeps_the_best_unit_that_fits_alone(
        self, units: list[Unit], limit: int, gap: int
    ) -> None:
        alone = [i for i in best_first(units) if cost(units, {i}, gap) <= limit]
        assert set(alone[:1]) <= select_best(units, limit, gap)

    @given(some_units(), limits)
    def test_without_markers_the_rest_is_smaller_than_any_dropped_unit(
        self, units: list[Unit], limit: int
    ) -> None:
        kept = select_best(units, limit, 0)
        rest = limit - cost(units, kept, 0)
        assert all(units[i].tokens > rest for i in range(len(units)) if i not in kept)

    # A marker that costs more than the unit that closes its gap is given back, after others were
    # passed over; so with such short units a rest may stay that one of those would have filled.
    @given(some_units(min_tokens=4), limits, gap_costs)
    def test_with_markers_the_rest_is_smaller_than_a_dropped_unit_between_two_gaps(
        self, units: list[Unit], limit: int, gap: int
    ) -> None:
        kept = select_best(units, limit, gap)
        rest = limit - cost(units, kept, gap)
        assert all(units[i].tokens + 2 * gap > rest for i in range(len(units)) if i not in kept)

    @given(some_units(), gap_costs)
    def test_all_of_it_fits_in_what_all_of_it_costs(self, units: list[Unit], gap: int) -> None:
        enough = sum(unit.tokens for unit in units) + 2 * gap * len(units)
        assert select_best(units, enough, gap) == frozenset(range(len(units)))

    def test_ties_go_to_the_first(self) -> None:
        units = [Unit(0, Span(i, i + 1), 2, 1.0) for i in range(3)]
        assert select_best(units, 3, 0) == {0}


class TestHeadings:
    @given(headed_units(), limits, gap_costs)
    def test_equals_the_slow_reference(self, units: list[Unit], limit: int, gap: int) -> None:
        heads = {i for unit in units for i in unit.needs}
        kept: set[int] = set()
        for index in best_first(units):
            wanted = kept | {index, *units[index].needs}
            if index not in heads and cost(units, wanted, gap) <= limit:
                kept = wanted
        assert select_best(units, limit, gap) == kept

    @given(headed_units(), limits, gap_costs)
    def test_nothing_is_kept_without_its_headings_nor_a_heading_for_its_own_sake(
        self, units: list[Unit], limit: int, gap: int
    ) -> None:
        kept = select_best(units, limit, gap)
        heads = {i for unit in units for i in unit.needs}
        assert all(set(units[i].needs) <= kept for i in kept)
        assert all(any(i in units[j].needs for j in kept) for i in kept & heads)
        assert cost(units, kept, gap) <= limit


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
