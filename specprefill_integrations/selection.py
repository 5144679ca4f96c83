"""Scores and a budget -> which units are kept. Pure: no text, no model, no tokenizer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from specprefill_integrations.types import Unit

Selector = Callable[[Sequence[Unit], int, int], frozenset[int]]
"""`(units, token_limit, gap_tokens) -> indices of the units to keep`.

Units come in source order, document by document; `gap_tokens` is what one gap marker costs.
"""


def select_best(units: Sequence[Unit], token_limit: int, gap_tokens: int) -> frozenset[int]:
    """Keep the highest scores that fit, best first; a unit that does not fit is passed over.

    A unit brings those that it needs along and is charged for those that are not kept yet; what
    others need is never kept for its own sake. A unit next to kept ones needs fewer gap markers
    than one that stands alone, and is charged accordingly. Ties go to the unit that comes first.

    Args:
        units: All units of a call in source order.
        token_limit: Tokens that the kept units and their gap markers may cost.
        gap_tokens: Tokens of one gap marker.

    Returns:
        Indices into `units`; with every unit those that it needs.
    """
    needed = {index for unit in units for index in unit.needs}
    chosen = _Chosen(units, gap_tokens)
    spent = 0
    for index in sorted(range(len(units)), key=lambda i: (-units[i].score, i)):
        if index in needed:
            continue
        added = [i for i in (*units[index].needs, index) if i not in chosen.indices]
        cost = sum(chosen.add(i) for i in added)
        if spent + cost <= token_limit:
            spent += cost
        else:
            chosen.remove(added)
    return frozenset(chosen.indices)


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


class _Chosen:
    """Units that are kept, and what one more would cost."""

    def __init__(self, units: Sequence[Unit], gap_tokens: int) -> None:
        """Start with none."""
        self.indices: set[int] = set()
        self._units = units
        self._gap_tokens = gap_tokens
        self._in_document: Counter[int] = Counter()

    def add(self, index: int) -> int:
        """Keep a unit.

        Returns:
            What it costs beside the others, in tokens: less than itself where it closes a gap.
        """
        unit = self._units[index]
        cost = unit.tokens + self._gap_tokens * self._gaps_added(index)
        self.indices.add(index)
        self._in_document[unit.document] += 1
        return cost

    def remove(self, indices: Iterable[int]) -> None:
        """Drop units again."""
        for index in indices:
            self.indices.remove(index)
            self._in_document[self._units[index].document] -= 1

    def _gaps_added(self, index: int) -> int:
        """How many gap markers keeping a unit adds: -1 where it closes a gap, 0, 1 or 2.

        A gap is a run of dropped units in a document of which something is kept.
        """
        document = self._units[index].document
        was_a_gap = self._in_document[document] > 0
        return self._is_gap(index - 1, document) + self._is_gap(index + 1, document) - was_a_gap

    def _is_gap(self, index: int, document: int) -> bool:
        """Whether there is such a unit in the document, and it is not kept."""
        inside = 0 <= index < len(self._units) and self._units[index].document == document
        return inside and index not in self.indices
