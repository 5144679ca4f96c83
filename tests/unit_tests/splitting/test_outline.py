"""Units that were cut finer or coarser than the outline says."""

from __future__ import annotations

from specprefill_integrations.splitting._outline import Outline
from specprefill_integrations.types import Span

TEXT = "head\nfirst row\nsecond row\n"


def outline() -> Outline:
    found = Outline(TEXT)
    below = found.add(Span(0, 4))
    found.add_all([Span(5, 14), Span(15, 25)], below)
    return found


def test_all_parts_of_a_unit_need_all_parts_of_what_it_needs():
    finer = [Span(0, 2), Span(2, 4), Span(5, 10), Span(11, 14), Span(15, 25)]
    assert outline().links(finer) == [(), (), (0, 1), (0, 1), (0, 1)]


def test_a_unit_that_holds_several_is_where_it_starts():
    assert outline().links([Span(0, 14), Span(15, 25)]) == [(), (0,)]


def test_what_is_not_there_is_not_needed():
    assert outline().links([Span(5, 14), Span(15, 25)]) == [(), ()]


def test_a_blank_unit_is_none_and_hands_on_what_is_above_it():
    found = Outline("a \n b")
    below = found.add(Span(0, 1))
    assert found.add(Span(1, 3), below) == below
    assert found.spans == [Span(0, 1)]
