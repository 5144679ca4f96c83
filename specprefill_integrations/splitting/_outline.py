"""Units of structured text with their needs, shared by the splitters of such kinds."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._lines import split_at_lines, without_blank_ends
from specprefill_integrations.splitting._lists import ListGroup
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span

Needs = tuple[int, ...]
"""Indices of units, ascending; includes what those units need themselves."""

# Of a heading that is cut into more pieces, other units need only the first ones.
_HEADING_PIECES = 32


class Outline:
    """A collector of the units of a text, in order."""

    def __init__(self, text: str) -> None:
        """Start without units."""
        self.text = text
        self.spans: list[Span] = []
        self.needs: list[Needs] = []
        self.lists: list[ListGroup] = []
        self.stand_alone: set[int] = set()
        """Starts of units that others need, and that may be kept without them."""

    def add(self, span: Span, needs: Needs = ()) -> Needs:
        """Add a unit, unless it is blank.

        Args:
            span: Its span, after all units so far.
            needs: Its needs.

        Returns:
            The needs of units below this one.
        """
        if not self.text[span.start : span.end].strip():
            return needs
        self.spans.append(span)
        self.needs.append(needs)
        return (*needs, len(self.spans) - 1)

    def add_all(self, spans: Sequence[Span], needs: Needs = ()) -> None:
        """Add units with the same needs."""
        for span in spans:
            self.add(span, needs)

    def add_lines(self, span: Span, needs: Needs, max_chars: int) -> None:
        """Add whole lines as one unit, or as several of at most `max_chars`."""
        self.add_all(split_at_lines(self.text, span, max_chars), needs)

    def add_heading(self, span: Span, needs: Needs, max_chars: int) -> Needs:
        """Add lines that other units need; each piece of long ones needs the first pieces.

        Returns:
            The needs of units below it.
        """
        pieces = split_at_lines(self.text, span, max_chars)
        for piece in pieces[:_HEADING_PIECES]:
            needs = self.add(piece, needs)
        self.add_all(pieces[_HEADING_PIECES:], needs)
        return needs

    def add_headed(self, head: Span, end: int, needs: Needs, max_chars: int) -> None:
        """Add lines as one unit, or if too long as a head and pieces that need it.

        Args:
            head: The part that the rest needs.
            end: End of the rest.
            needs: The needs of all of it.
            max_chars: Characters of a unit.
        """
        whole = without_blank_ends(self.text, Span(head.start, end))
        if whole.end - whole.start <= max_chars:
            self.add(whole, needs)
            return
        below = self.add_heading(head, needs, max_chars)
        self.add_lines(Span(head.end, end), below, max_chars)

    def add_split(self, splitter: Splitter[Any], span: Span, needs: Needs) -> None:
        """Add the units that another splitter finds in a part; all of them need `needs`."""
        part = self.text[span.start : span.end]
        found = splitter.split(part)
        first = len(self.spans)
        links = splitter.links(part, found.units, found.parsed)
        for unit, above in zip(found.units, links, strict=True):
            self.spans.append(Span(span.start + unit.start, span.start + unit.end))
            self.needs.append((*needs, *(first + index for index in above)))

    def links(self, units: Sequence[Span]) -> list[Needs]:
        """The needs of each of `units`, which may be finer or coarser than the outline.

        Args:
            units: Units of the same text, in ascending order.
        """
        owners, inside = self._owners(units)
        return [
            tuple(index for above in self.needs[owner] for index in inside.get(above, ()))
            if self.needs
            else ()
            for owner in owners
        ]

    def groups(self, units: Sequence[Span]) -> list[ListGroup]:
        """The lists as groups of `units`. See `links`."""
        _, inside = self._owners(units)
        return [
            ListGroup(inside[one.lead][0], members)
            for one in self.lists
            if one.lead in inside
            and (members := tuple(i for member in one.members for i in inside.get(member, ())))
        ]

    def _owners(self, units: Sequence[Span]) -> tuple[list[int], dict[int, list[int]]]:
        """The outline's unit that each of `units` is in, and those that are in each."""
        starts = [span.start for span in self.spans]
        owners = [max(0, bisect_right(starts, unit.start) - 1) for unit in units]
        inside: dict[int, list[int]] = {}
        for index, owner in enumerate(owners):
            inside.setdefault(owner, []).append(index)
        return owners, inside


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineSplitter(Splitter[Outline]):
    """Splits a text into the units of its outline.

    Raises:
        ValueError: `max_unit_chars` is less than 1.
    """

    max_unit_chars: PositiveInt = 600
    """Characters of a unit; longer ones are split at lines, sentences, clauses, then words."""

    def with_max_unit_chars(self, max_unit_chars: int) -> OutlineSplitter:
        """Return this splitter with smaller units; itself if its units are no larger already."""
        if max_unit_chars >= self.max_unit_chars:
            return self
        return replace(self, max_unit_chars=max_unit_chars)

    def only_heads(
        self,
        units: Sequence[Span],
        links: Sequence[tuple[int, ...]],
        parsed: Outline | None = None,
    ) -> set[int]:
        """Return the units that are kept only with others, such as headings."""
        heads = super(OutlineSplitter, self).only_heads(units, links, parsed)
        alone = parsed.stand_alone if parsed else ()
        return {index for index in heads if units[index].start not in alone}

    @abstractmethod
    def parse(self, text: str) -> Outline:
        """Find the units of `text` and their needs."""

    def units(self, text: str, parsed: Outline) -> list[Span]:  # noqa: ARG002
        """Return the units of the outline."""
        return list(parsed.spans)

    def links(
        self, text: str, units: Sequence[Span], parsed: Outline | None = None
    ) -> list[tuple[int, ...]]:
        """Return the needs of each unit, in ascending order."""
        return (parsed or self.parse(text)).links(units)

    def lists(
        self, text: str, units: Sequence[Span], parsed: Outline | None = None
    ) -> list[ListGroup]:
        """Return the lists of the outline."""
        return (parsed or self.parse(text)).groups(units)
