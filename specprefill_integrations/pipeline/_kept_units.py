"""Kept units, what they cost and what further ones would. Pure: no text, no model, no tokenizer."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

from specprefill_integrations.types import Unit


def with_needs(units: Sequence[Unit], indices: Iterable[int]) -> set[int]:
    """Return indices, and those of the units that they need."""
    return {i for index in indices for i in (index, *units[index].needs)}


class KeptUnits:
    """Kept units, and the cost of further ones."""

    def __init__(self, units: Sequence[Unit], gap_tokens: int, indices: Iterable[int] = ()) -> None:
        """Start with some units.

        Args:
            units: All units of a call in source order.
            gap_tokens: Tokens of one gap marker.
            indices: Units that are kept already.
        """
        self.units = units
        self.indices: set[int] = set()
        self.tokens = 0
        self._gap_tokens = gap_tokens
        self._in_document: Counter[int] = Counter()
        self.add(indices)

    def add(self, indices: Iterable[int]) -> None:
        """Keep units, whatever they cost."""
        for index in indices:
            self._add(index)

    def has_of(self, document: int) -> bool:
        """Return True if a unit of a document is kept."""
        return self._in_document[document] > 0

    def try_to_add(self, indices: Iterable[int], token_limit: int) -> bool:
        """Keep units and the units that they need, if that stays within the limit.

        Returns:
            True if they are kept.
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
        """Return the cost of one more unit and its needs; below 0 if that saves tokens."""
        added = sorted(with_needs(self.units, [index]) - self.indices)
        before = self.tokens
        for i in added:
            self._add(i)
        cost = self.tokens - before
        for i in added:
            self._remove(i)
        self.tokens = before
        return cost

    def close_cheap_gaps(self) -> None:
        """Keep gaps that cost no more than their markers."""
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
        """Keep a unit; one that closes a gap costs less than its own tokens."""
        unit = self.units[index]
        self.tokens += unit.tokens + self._gap_tokens * self._gaps_added(index)
        self.indices.add(index)
        self._in_document[unit.document] += 1

    def _remove(self, index: int) -> None:
        self.indices.remove(index)
        self._in_document[self.units[index].document] -= 1

    def _gaps_added(self, index: int) -> int:
        """Return the number of gap markers that a unit adds: -1 if it closes a gap, 0, 1 or 2.

        A gap is a run of dropped units in a document with kept ones.
        """
        document = self.units[index].document
        was_a_gap = self._in_document[document] > 0
        return self._is_gap(index - 1, document) + self._is_gap(index + 1, document) - was_a_gap

    def _is_gap(self, index: int, document: int) -> bool:
        """Return True if there is such a unit in the document and it is dropped."""
        inside = 0 <= index < len(self.units) and self.units[index].document == document
        return inside and index not in self.indices


class NestedSelections:
    """The selections that keep the units of an order up to the first that does not fit.

    Units are added once, whatever limits are asked for afterwards.
    """

    def __init__(self, units: Sequence[Unit], order: Iterable[int], gap_tokens: int) -> None:
        """Start with nothing.

        Args:
            units: All units of a call in source order.
            order: The order in which they are kept, each with the units that it needs.
            gap_tokens: Tokens of one gap marker.
        """
        self._units = units
        self._gap_tokens = gap_tokens
        self._waiting = iter(order)
        self._kept = KeptUnits(units, gap_tokens)
        self._indices: list[int] = []  # as they were kept
        # After each unit of the order: the number of kept ones, and the highest cost so far.
        self._counts = [0]
        self._costs = [0]
        self._tokens = [0, *accumulate(unit.tokens for unit in units)]
        self._needs = [0, *accumulate(len(unit.needs) for unit in units)]
        members = groupby(range(len(units)), key=lambda index: units[index].document)
        self._documents = {number: list(indices) for number, indices in members}

    def within(self, token_limit: int) -> frozenset[int]:
        """Select up to the first unit that does not fit, and close cheap gaps."""
        while self._costs[-1] <= token_limit and self._add_next():
            pass
        place = max(1, bisect_right(self._costs, token_limit))
        return self._with_cheap_gaps(self._indices[: self._counts[place - 1]])

    def _add_next(self) -> bool:
        """Keep the next unit of the order; return False if there is none."""
        index = next(self._waiting, None)
        if index is None:
            return False
        added = sorted(with_needs(self._units, [index]) - self._kept.indices)
        self._kept.add(added)
        self._indices += added
        self._counts.append(len(self._indices))
        self._costs.append(max(self._costs[-1], self._kept.tokens))
        return True

    def _with_cheap_gaps(self, kept: Sequence[int]) -> frozenset[int]:
        """Add the gaps that cost no more than their markers; see `KeptUnits.close_cheap_gaps`."""
        found = set(kept)
        for gap in self._gaps(sorted(kept)):
            first, after = gap.start, gap.stop
            tokens = self._tokens[after] - self._tokens[first]
            # The units that it needs may close a gap each.
            markers = 1 + self._needs[after] - self._needs[first]
            if tokens > markers * self._gap_tokens:
                continue
            if any(i not in gap and i not in found for i in with_needs(self._units, gap)):
                chosen = KeptUnits(self._units, self._gap_tokens, kept)
                chosen.close_cheap_gaps()
                return frozenset(chosen.indices)
            if tokens <= self._gap_tokens:
                found.update(gap)
        return frozenset(found)

    def _gaps(self, kept: Sequence[int]) -> Iterator[range]:
        """Yield the gaps between kept units, and at the ends of documents with any."""
        for number, indices in groupby(kept, key=lambda index: self._units[index].document):
            members = self._documents[number]
            for before, after in pairwise((members[0] - 1, *indices, members[-1] + 1)):
                if after - before > 1:
                    yield range(before + 1, after)
