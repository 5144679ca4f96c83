"""Units and what stands above each: what all kinds of structured text are split into.

Knows no kind of text.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from specprefill_integrations.splitting._lines import split_at_lines, without_blank_ends
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span

Needs = tuple[int, ...]
"""Indices of units, ascending; what each of them needs is among them."""


class Outline:
    """The units of a text while they are found, from the first to the last."""

    def __init__(self, text: str) -> None:
        """Start with none."""
        self.text = text
        self.spans: list[Span] = []
        self.needs: list[Needs] = []

    def add(self, span: Span, needs: Needs = ()) -> Needs:
        """Add a unit, unless it is blank.

        Args:
            span: Where it stands, after all units so far.
            needs: What it needs.

        Returns:
            What units need that stand below this one.
        """
        if not self.text[span.start : span.end].strip():
            return needs
        self.spans.append(span)
        self.needs.append(needs)
        return (*needs, len(self.spans) - 1)

    def add_all(self, spans: Sequence[Span], needs: Needs = ()) -> None:
        """Add units that need the same."""
        for span in spans:
            self.add(span, needs)

    def add_lines(self, span: Span, needs: Needs, max_chars: int) -> None:
        """Add a unit of whole lines, or several where it is longer than `max_chars`."""
        self.add_all(split_at_lines(self.text, span, max_chars), needs)

    def add_heading(self, span: Span, needs: Needs, max_chars: int) -> Needs:
        """Add lines that others need; of long ones each piece needs those before it.

        Returns:
            What units need that stand below it.
        """
        for piece in split_at_lines(self.text, span, max_chars):
            needs = self.add(piece, needs)
        return needs

    def add_headed(self, head: Span, end: int, needs: Needs, max_chars: int) -> None:
        """Add lines as one unit, or where they are too long the head and pieces that need it.

        Args:
            head: The part that the rest cannot do without.
            end: Where the rest ends.
            needs: What all of it needs.
            max_chars: Characters of a unit.
        """
        whole = without_blank_ends(self.text, Span(head.start, end))
        if whole.end - whole.start <= max_chars:
            self.add(whole, needs)
            return
        below = self.add_heading(head, needs, max_chars)
        self.add_lines(Span(head.end, end), below, max_chars)

    def add_split(self, splitter: Splitter[Any], span: Span, needs: Needs) -> None:
        """Add the units of a part, found by another splitter; all of them need `needs`."""
        part = self.text[span.start : span.end]
        found = splitter.split(part)
        first = len(self.spans)
        links = splitter.links(part, found.units, found.parsed)
        for unit, above in zip(found.units, links, strict=True):
            self.spans.append(Span(span.start + unit.start, span.start + unit.end))
            self.needs.append((*needs, *(first + index for index in above)))

    def links(self, units: Sequence[Span]) -> list[Needs]:
        """What each of `units` needs, which may be cut finer or coarser than the outline.

        Args:
            units: Units of the same text, in ascending order.
        """
        starts = [span.start for span in self.spans]
        owners = [max(0, bisect_right(starts, unit.start) - 1) for unit in units]
        inside: dict[int, list[int]] = {}
        for index, owner in enumerate(owners):
            inside.setdefault(owner, []).append(index)
        return [
            tuple(index for above in self.needs[owner] for index in inside.get(above, ()))
            if self.needs
            else ()
            for owner in owners
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineSplitter(Splitter[Outline]):
    """Cuts a text into the units of its outline.

    Raises:
        ValueError: `max_unit_chars` is less than 1.
    """

    max_unit_chars: int = 600
    """Characters of a unit; longer ones are cut at lines, sentences, clauses, then words."""

    def __post_init__(self) -> None:
        """Reject a limit that nothing meets."""
        if self.max_unit_chars < 1:
            msg = f"max_unit_chars must be at least 1; got {self.max_unit_chars!r}."
            raise ValueError(msg)

    def with_max_unit_chars(self, max_unit_chars: int) -> OutlineSplitter:
        """Return this splitter with smaller units; itself if its units are no larger already."""
        if max_unit_chars >= self.max_unit_chars:
            return self
        return replace(self, max_unit_chars=max_unit_chars)

    @abstractmethod
    def parse(self, text: str) -> Outline:
        """Find the units of `text` and the units that each of them needs."""

    def units(self, text: str, parsed: Outline) -> list[Span]:  # noqa: ARG002
        """Return the units of the outline."""
        return list(parsed.spans)

    def links(
        self, text: str, units: Sequence[Span], parsed: Outline | None = None
    ) -> list[tuple[int, ...]]:
        """Return the units that each unit needs, from the first to the last."""
        return (parsed or self.parse(text)).links(units)
