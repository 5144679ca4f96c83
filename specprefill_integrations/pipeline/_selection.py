"""Scores and a budget -> which units are kept. Pure: no text, no model, no tokenizer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heapreplace

from specprefill_integrations.types import Unit

Selector = Callable[[Sequence[Unit], int, int], frozenset[int]]
"""`(units, token_limit, gap_tokens) -> indices of the units to keep`.

Units come in source order, document by document; `gap_tokens` is what one gap marker costs.
"""

# Into how many stretches a call is cut to be covered.
_STRETCHES = 16

# Shares of the mass add up to all of it but for this.
_ROUNDING = 1e-9

# So much of a limit goes to what rules protect; what is left, to what the question needs.
_PROTECTED_SHARE = 0.5


def select_best(units: Sequence[Unit], token_limit: int, gap_tokens: int) -> frozenset[int]:
    """Keep the highest scores that fit, best first; a unit that does not fit is passed over.

    A unit brings those that it needs along and is charged for those that are not kept yet; one
    that only heads others is never kept for its own sake. A unit next to kept ones needs fewer gap
    markers than one that stands alone, and is charged accordingly; what costs no more than the
    marker in its place is kept too. Protected units have the first half of the limit to
    themselves. Ties go to the unit that comes first.

    Args:
        units: All units of a call in source order.
        token_limit: Tokens that the kept units and their gap markers may cost.
        gap_tokens: Tokens of one gap marker.

    Returns:
        Indices into `units`; with every unit those that it needs.
    """
    chosen = KeptUnits(units, gap_tokens)
    chosen.add_protected(int(_PROTECTED_SHARE * token_limit))
    return _filled(chosen, token_limit)


def select_covering(
    units: Sequence[Unit], token_limit: int, gap_tokens: int, *, floor: float = 0.5
) -> frozenset[int]:
    """Keep something of every part, then the highest scores: for questions about the whole.

    As long as a share `floor` of the limit is not spent, the document of which the smallest share
    is kept so far has its turn; in it the section (what stands below the same headings), in that
    the stretch (a sixteenth of the call's tokens), and of that the best unit is kept. Among equals
    the one with the better unit goes first. What is left is spent as in `select_best`.

    Args:
        units: All units of a call in source order.
        token_limit: Tokens that the kept units and their gap markers may cost.
        gap_tokens: Tokens of one gap marker.
        floor: The share of the limit that is spent on covering, in [0, 1].

    Returns:
        Indices into `units`; with every unit those that it needs.
    """
    chosen = KeptUnits(units, gap_tokens)
    chosen.add_protected(int(_PROTECTED_SHARE * token_limit))
    whole = _as_part(units)
    floor_tokens = int(floor * token_limit)
    smallest = min((unit.tokens for unit in units), default=0)
    while whole.waiting and chosen.tokens + smallest <= floor_tokens:
        path = whole.next_turn()
        index = path[-1].units.pop()
        is_kept = chosen.try_to_add([index], floor_tokens)
        for part in reversed(path):
            part.end_turn(units[index].tokens if is_kept else 0)
    return _filled(chosen, token_limit)


def select_fraction(units: Sequence[Unit], keep_fraction: float) -> frozenset[int]:
    """Keep the ceil(units * keep_fraction) highest scores, whatever they cost.

    All units of a call count together, as if its documents were one prompt. Based on SpecPrefill,
    arXiv:2502.02789, section 3 (chunk selection).

    Args:
        units: All units of a call in source order: chunks of equal length, as published.
        keep_fraction: Kept units / all units, in (0, 1].

    Returns:
        Indices into `units`.
    """
    # Rounded first: 0.07 * 100 is 7.000000000000001, and its ceiling would be 8.
    count = math.ceil(round(len(units) * keep_fraction, 9))
    best = sorted(range(len(units)), key=lambda i: (-units[i].score, i))
    return frozenset(best[:count])


def select_mass(units: Sequence[Unit], attention_mass: float) -> frozenset[int]:
    """Keep the best units that together hold a share of the mass, and all protected ones.

    Based on AttnComp (arXiv:2509.17486), which keeps the documents that hold a share of attention.

    Args:
        units: All units of a call in source order.
        attention_mass: The share, in (0, 1].

    Returns:
        Indices into `units`; with every unit those that it needs.
    """
    kept = with_needs(units, (i for i, unit in enumerate(units) if unit.is_protected))
    held = math.fsum(units[index].mass for index in kept)
    for index in best_first(units):
        if held >= attention_mass - _ROUNDING:
            break
        added = with_needs(units, [index]) - kept
        held += math.fsum(units[i].mass for i in added)
        kept |= added
    return frozenset(kept)


def masses(scores: Sequence[float], tokens: Sequence[int], *, are_logarithms: bool) -> list[float]:
    """What share of all that is needed each unit holds.

    Args:
        scores: The units' scores.
        tokens: Their tokens.
        are_logarithms: Whether exp(score) is how likely a unit is needed; else scores are
            densities, of which negative ones hold nothing.

    Returns:
        Shares that sum to 1; even ones by tokens where no unit holds anything.
    """
    if are_logarithms:
        highest = max(scores, default=0.0)
        held = [math.exp(score - highest) for score in scores]
    else:
        held = [max(0.0, s) * t for s, t in zip(scores, tokens, strict=True)]
    if not sum(held):
        held = [float(max(1, t)) for t in tokens]
    total = math.fsum(held)
    return [share / total for share in held]


def with_masses(units: Sequence[Unit], *, are_logarithms: bool) -> list[Unit]:
    """Return the units with the share of the attention mass that each holds. See `masses`."""
    scores, tokens = [unit.score for unit in units], [unit.tokens for unit in units]
    shares = masses(scores, tokens, are_logarithms=are_logarithms)
    return [replace(unit, mass=share) for unit, share in zip(units, shares, strict=True)]


def with_needs(units: Sequence[Unit], indices: Iterable[int]) -> set[int]:
    """Some units, and what they need."""
    return {i for index in indices for i in (index, *units[index].needs)}


def best_first(units: Sequence[Unit]) -> list[int]:
    """All units that may be kept for their own sake, by score; ties in source order."""
    free = (i for i, unit in enumerate(units) if not unit.only_heads)
    return sorted(free, key=lambda i: (-units[i].score, i))


def _filled(chosen: KeptUnits, token_limit: int) -> frozenset[int]:
    """Spend what is left of a limit on the highest scores."""
    for index in best_first(chosen.units):
        chosen.try_to_add([index], token_limit)
    chosen.close_cheap_gaps()
    return frozenset(chosen.indices)


@dataclass(slots=True)
class _Part:
    """A stretch of a call that is to be covered, and what it is made of."""

    size: int
    """Tokens of all of its units."""

    waiting: int
    """How many of its units had no turn yet."""

    parts: list[tuple[float, int, _Part]] = field(default_factory=list)
    """What it is made of, as far as units wait there: a heap by the share of each that is kept, of
    equals those with better units first."""

    units: list[int] = field(default_factory=list)
    """Where it is not made of parts: its units that had no turn yet, the best one last."""

    kept: int = 0
    """Tokens of those of its units that are kept."""

    def next_turn(self) -> list[_Part]:
        """This part, and within it the least covered one at every level."""
        return [self, *self.parts[0][-1].next_turn()] if self.parts else [self]

    def end_turn(self, tokens: int) -> None:
        """Take note that a unit had its turn, in the part within it that was the least covered.

        Args:
            tokens: What it cost, where it is kept.
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


def _as_part(units: Sequence[Unit]) -> _Part:
    """A call as documents, sections and stretches; at every level the best come first."""
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
    return _grouped(units, best_first(units), levels)


def _grouped(
    units: Sequence[Unit], indices: list[int], levels: Sequence[Callable[[int], Hashable]]
) -> _Part:
    """Units, best first, as a part; grouped by the first level, and so on."""
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


class KeptUnits:
    """Units that are kept, and what more of them would cost."""

    def __init__(self, units: Sequence[Unit], gap_tokens: int, indices: Iterable[int] = ()) -> None:
        """Start with some.

        Args:
            units: All units of a call in source order.
            gap_tokens: Tokens of one gap marker.
            indices: Those that are kept already.
        """
        self.units = units
        self.indices: set[int] = set()
        self.tokens = 0
        self._gap_tokens = gap_tokens
        self._in_document: Counter[int] = Counter()
        for index in indices:
            self._add(index)

    def try_to_add(self, indices: Iterable[int], token_limit: int) -> bool:
        """Keep units and what they need, where that stays within the limit.

        Returns:
            Whether they are kept.
        """
        added = sorted(with_needs(self.units, indices) - self.indices)
        before = self.tokens
        for i in added:
            self._add(i)
        if self.tokens <= token_limit:
            return True
        for i in added:
            self._remove(i)
        self.tokens = before
        return False

    def cost_of(self, index: int) -> int:
        """What one more unit would cost, with what it needs; less than 0 where it saves tokens."""
        added = sorted(with_needs(self.units, [index]) - self.indices)
        before = self.tokens
        for i in added:
            self._add(i)
        cost = self.tokens - before
        for i in added:
            self._remove(i)
        self.tokens = before
        return cost

    def add_protected(self, token_limit: int) -> None:
        """Keep protected units, best first, as far as they fit."""
        for index in best_first(self.units):
            if self.units[index].is_protected:
                self.try_to_add([index], token_limit)

    def close_cheap_gaps(self) -> None:
        """Keep what costs no more than the markers that stand for it."""
        gap: list[int] = []
        for index, unit in enumerate(self.units):
            if gap and (index in self.indices or self.units[gap[0]].document != unit.document):
                self.try_to_add(gap, self.tokens)
                gap = []
            if index not in self.indices and self._in_document[unit.document]:
                gap.append(index)
        if gap:
            self.try_to_add(gap, self.tokens)

    def _add(self, index: int) -> None:
        """Keep a unit; it costs less than its own tokens where it closes a gap."""
        unit = self.units[index]
        self.tokens += unit.tokens + self._gap_tokens * self._gaps_added(index)
        self.indices.add(index)
        self._in_document[unit.document] += 1

    def _remove(self, index: int) -> None:
        self.indices.remove(index)
        self._in_document[self.units[index].document] -= 1

    def _gaps_added(self, index: int) -> int:
        """How many gap markers keeping a unit adds: -1 where it closes a gap, 0, 1 or 2.

        A gap is a run of dropped units in a document of which something is kept.
        """
        document = self.units[index].document
        was_a_gap = self._in_document[document] > 0
        return self._is_gap(index - 1, document) + self._is_gap(index + 1, document) - was_a_gap

    def _is_gap(self, index: int, document: int) -> bool:
        """Whether there is such a unit in the document, and it is not kept."""
        inside = 0 <= index < len(self.units) and self.units[index].document == document
        return inside and index not in self.indices
