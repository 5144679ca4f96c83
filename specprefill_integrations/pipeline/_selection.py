"""Budget-constrained selection of units. Pure: no text, no model, no tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heapreplace
from typing import Annotated

from specprefill_integrations._arguments import Within, check
from specprefill_integrations.pipeline._kept_units import NestedSelections
from specprefill_integrations.types import Unit

Selector = Callable[[Sequence[Unit], int, int], frozenset[int]]
"""Selects units: takes `(units, token_limit, gap_tokens)`, returns the indices of kept units.

Units come in source order, document by document; `gap_tokens` is the cost of one gap marker.
"""

# Stretches of equal length that a call is divided into for coverage.
_STRETCHES = 16

# Share of the tokens that go to protected units as long as there are any.
_PROTECTED_SHARE = 0.5

# Share of the tokens that go to something of every part, for questions about a whole text.
_COVERING_SHARE = 0.5


def select_best(units: Sequence[Unit], token_limit: int, gap_tokens: int) -> frozenset[int]:
    """Select the highest scores, best first, up to the first unit that does not fit.

    No unit is passed over for a worse one, so a larger limit keeps all that a smaller one keeps.
    A unit is charged for the units that it needs and that are not kept yet; a heading is never
    kept for its own sake. A unit next to kept ones needs fewer gap markers and is charged
    accordingly; a gap that costs no more than its marker is kept too. Protected units take turns
    with the others, so that both get about half of the limit. Ties go to the earlier unit.

    Args:
        units: All units of a call in source order.
        token_limit: Tokens that the kept units and their gap markers may cost.
        gap_tokens: Tokens of one gap marker.

    Returns:
        Indices into `units`, including the units that selected ones need.
    """
    return NestedSelections(units, in_order(units), gap_tokens).within(token_limit)


def select_covering(
    units: Sequence[Unit], token_limit: int, gap_tokens: int, *, floor: float = _COVERING_SHARE
) -> frozenset[int]:
    """Select something of every part and the highest scores: for questions about a whole text.

    Two orders take turns, so that the first gets a share `floor` of the limit: the best unit of
    the least covered stretch (a sixteenth of the tokens) of the least covered section (units below
    the same headings) of the least covered document; and the order of `select_best`. Ties go to
    the part with the better unit. A larger limit keeps all that a smaller one keeps.

    Args:
        units: All units of a call in source order.
        token_limit: Tokens that the kept units and their gap markers may cost.
        gap_tokens: Tokens of one gap marker.
        floor: Share of the limit that is spent on coverage, in [0, 1].

    Returns:
        Indices into `units`, including the units that selected ones need.
    """
    check("floor", floor, Annotated[float, Within("in [0, 1]", 0, 1)])
    return NestedSelections(units, _covering_order(units, floor), gap_tokens).within(token_limit)


def prepared(
    selector: Selector, units: Sequence[Unit], gap_tokens: int
) -> Callable[[int], frozenset[int]]:
    """Return a function from a limit to what a selector selects within it.

    Our own selectors order the units once, whatever is asked afterwards.
    """
    order = _ORDERS.get(selector)
    if order is None:
        return lambda token_limit: selector(units, token_limit, gap_tokens)
    return NestedSelections(units, order(units), gap_tokens).within


def select_fraction(units: Sequence[Unit], keep_fraction: float) -> frozenset[int]:
    """Select the ceil(units * keep_fraction) highest scores, whatever they cost.

    The documents of a call are treated as one prompt. Based on SpecPrefill,
    arXiv:2502.02789, section 3 (chunk selection).

    Args:
        units: All units of a call in source order; chunks of equal length, as published.
        keep_fraction: Kept units / all units, in (0, 1].

    Returns:
        Indices into `units`.
    """
    # Rounded first: 0.07 * 100 is 7.000000000000001, and its ceiling would be 8.
    count = math.ceil(round(len(units) * keep_fraction, 9))
    best = sorted(range(len(units)), key=lambda i: (-units[i].score, i))
    return frozenset(best[:count])


def best_first(units: Sequence[Unit]) -> list[int]:
    """Return the indices of all units but headings, by score; ties in source order."""
    free = (i for i, unit in enumerate(units) if not unit.only_heads)
    return sorted(free, key=lambda i: (-units[i].score, i))


def in_order(units: Sequence[Unit], order: Sequence[int] | None = None) -> list[int]:
    """Return the order in which units are kept: protected ones take turns with all others.

    Args:
        units: All units of a call in source order.
        order: All units but headings, in the order without protection; None: best first.
    """
    ranked = best_first(units)
    protected = [index for index in ranked if units[index].is_protected]
    return _in_turn(units, protected, ranked if order is None else order, _PROTECTED_SHARE)


def _covering_order(units: Sequence[Unit], floor: float = _COVERING_SHARE) -> list[int]:
    """Return the order of `select_covering`."""
    ranked = best_first(units)
    return in_order(units, _in_turn(units, _covering(units, ranked), ranked, floor))


_ORDERS: dict[Selector, Callable[[Sequence[Unit]], list[int]]] = {
    select_best: in_order,
    select_covering: _covering_order,
}


def _in_turn(
    units: Sequence[Unit], first: Sequence[int], second: Sequence[int], share: float
) -> list[int]:
    """Merge two orders so that every start of the result is divided among them.

    It starts with the first of the second order. After that, the next unit comes from the order
    that has got less of its share, that unit included.

    Args:
        units: All units of a call.
        first: Units in an order.
        second: Units in another; some may be in both.
        share: Share of the tokens that go to `first`, in [0, 1].
    """
    if not first or share == 0:
        return list(second)
    merged = dict.fromkeys(second[:1])
    waiting, others = [*reversed(first)], [*reversed(second)]
    spent, spent_on_others = 0, sum(units[index].tokens for index in merged)
    while waiting and others:
        if waiting[-1] in merged:
            waiting.pop()
        elif others[-1] in merged:
            others.pop()
        elif (1 - share) * (spent + units[waiting[-1]].tokens) <= share * (
            spent_on_others + units[others[-1]].tokens
        ):
            merged[waiting[-1]] = None
            spent += units[waiting.pop()].tokens
        else:
            merged[others[-1]] = None
            spent_on_others += units[others.pop()].tokens
    return [*merged, *(i for i in (*waiting[::-1], *others[::-1]) if i not in merged)]


def _covering(units: Sequence[Unit], ranked: list[int]) -> list[int]:
    """Order units so that the next one always comes from the least covered part of a call."""
    whole = _as_part(units, ranked)
    order: list[int] = []
    while whole.waiting:
        path = whole.next_turn()
        index = path[-1].units.pop()
        order.append(index)
        for part in reversed(path):
            part.end_turn(units[index].tokens)
    return order


@dataclass(slots=True)
class _Part:
    """A part of a call that is to be covered: a document, a section or a stretch."""

    size: int
    """Tokens of all of its units."""

    waiting: int
    """Units that had no turn yet."""

    parts: list[tuple[float, int, _Part]] = field(default_factory=list)
    """Its parts with waiting units: a heap by kept share; ties by the better unit."""

    units: list[int] = field(default_factory=list)
    """If it has no parts: its waiting units, the best one last."""

    kept: int = 0
    """Tokens of its kept units."""

    def next_turn(self) -> list[_Part]:
        """Return this part and the least covered part at every level below."""
        return [self, *self.parts[0][-1].next_turn()] if self.parts else [self]

    def end_turn(self, tokens: int) -> None:
        """Record that a unit of the least covered part had its turn.

        Args:
            tokens: Tokens of the unit.
        """
        self.waiting -= 1
        self.kept += tokens
        if not self.parts:
            return
        _, order, part = self.parts[0]
        if part.waiting:
            heapreplace(self.parts, (part.kept / max(1, part.size), order, part))
        else:
            heappop(self.parts)


def _as_part(units: Sequence[Unit], ranked: list[int]) -> _Part:
    """Divide a call into documents, sections and stretches, the best first at every level."""
    longest = sum(unit.tokens for unit in units) / _STRETCHES
    stretch_of: dict[int, int] = {}
    tokens = 0
    for index, unit in enumerate(units):
        stretch_of[index] = int(tokens / longest) if longest else 0
        tokens += unit.tokens
    levels: list[Callable[[int], Hashable]] = [
        lambda index: units[index].document,
        lambda index: units[index].needs,
        lambda index: stretch_of[index],
    ]
    return _grouped(units, ranked, levels)


def _grouped(
    units: Sequence[Unit], indices: list[int], levels: Sequence[Callable[[int], Hashable]]
) -> _Part:
    """Group units, best first, by the first level, then by the next."""
    groups: dict[Hashable, list[int]] = {}
    for index in indices if levels else ():
        groups.setdefault(levels[0](index), []).append(index)
    parts = (_grouped(units, group, levels[1:]) for group in groups.values())
    return _Part(
        size=sum(units[i].tokens for i in indices),
        waiting=len(indices),
        parts=[(0.0, order, part) for order, part in enumerate(parts)],
        units=[] if levels else indices[::-1],
    )
