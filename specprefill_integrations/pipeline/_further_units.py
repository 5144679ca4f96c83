"""Units that may be kept in addition to a selection. Pure: no text, no model, no tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from specprefill_integrations.pipeline._kept_units import KeptUnits, with_needs
from specprefill_integrations.pipeline._selection import in_order


class FurtherUnits:
    """The units that are not kept yet, with their estimated costs, best first.

    A cost is estimated once, and again only after a unit next to it was kept.
    """

    def __init__(self, kept: KeptUnits, gap_tokens: int, slack: Sequence[int]) -> None:
        """Consider all units that are not kept.

        Args:
            kept: The kept units; `keep` adds to them.
            gap_tokens: Tokens of one gap marker.
            slack: For each document, tokens by which a unit may cost less than estimated.
        """
        self._kept = kept
        self._units = kept.units
        self._gap_tokens = gap_tokens
        self._slack = slack
        self._heads = {index for unit in self._units for index in unit.needs}
        self._costs: dict[int, int] = {}
        self._rejected: set[int] = set()
        self._waiting: list[int] | None = None

    def best_that_may_fit(self, left: int) -> int | None:
        """Return the best unit whose estimated cost may fit; None if there is none.

        Args:
            left: Tokens that are left; more than at the last call only after `reconsider`.
        """
        if self._waiting is None:
            # A unit can at best close a gap.
            most = [left + slack + self._gap_tokens for slack in self._slack]
            units = self._units
            ranked = in_order(units)
            self._waiting = [i for i in ranked if units[i].tokens <= most[units[i].document]]
        for index in self._waiting:
            unit = self._units[index]
            room = left + self._slack[unit.document]
            if index in self._rejected or index in self._kept.indices:
                continue
            if unit.tokens - self._gap_tokens <= room and self._cost_of(index) <= room:
                return index
        return None

    def reject(self, index: int) -> None:
        """Leave out a unit that turned out not to fit."""
        self._rejected.add(index)

    def keep(self, index: int) -> None:
        """Keep a unit and the units that it needs."""
        added = with_needs(self._units, [index]) - self._kept.indices
        is_first = not self._kept.has_of(self._units[index].document)
        self._kept.add(added)
        near = {i + step for i in added for step in (-1, 0, 1)}
        if is_first or near & self._heads:  # then the costs of many units change
            self._costs.clear()
        for i in near:
            self._costs.pop(i, None)

    def reconsider(self) -> None:
        """Consider again all units that did not fit."""
        self._rejected.clear()
        self._waiting = None

    def _cost_of(self, index: int) -> int:
        """Return the estimated cost of a unit with the units that it needs."""
        if index not in self._costs:
            self._costs[index] = self._kept.cost_of(index)
        return self._costs[index]
