"""A value of JSON, or of a notation close to it, with its place in a text."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations.types import Span

# A typical count of missing members.
_COUNT = ', "omitted": 12'


@dataclass(slots=True, eq=False)
class Node:
    """A value, with its key if it is a member and its comments if it has any."""

    lead_start: int
    """Start of the white space before it."""

    start: int
    """Start of its comment, key or value, whichever is first."""

    value_start: int
    """Start of its value."""

    end: int = 0
    """End of the value, or of a comment on the same line."""

    name: str | None = None
    """Its key, decoded."""

    bracket: str = ""
    """Its opening bracket: `{`, `[`, `(`, or a quote if a string has JSON in it. Empty for a value
    without members, and for a sequence of values without brackets."""

    children: Sequence[Node] = ()
    """Its members or elements; the value in a string that is JSON."""

    # Numbers, because Python collects garbage more often, the more objects a text has.
    inside_start: int = -1
    """End of the opening quote of a string."""

    inside_end: int = -1
    """Start of its closing quote."""

    open_end: int = 0
    """End of its opening bracket."""

    around: int = 0
    """Characters of the keys, brackets and counts around it if hardly anything else is kept."""

    unit_start: int = -1
    """Start of its unit if that is not `start`."""

    elements: int = 1
    """Number of elements that it stands for: more than one if it is a run of numbers."""

    level: int = 0
    """Number of strings that it is in: its brackets and keys are escaped as often."""

    ends_with: str = ""
    """Marks at its end besides the value: `//` for a comment, `,` for a separator before it."""

    is_closed: bool = True
    """False if its closing bracket is missing."""

    is_packed: bool = False
    """True if some of its elements are runs of numbers."""

    is_numeric: bool = False
    """True if it is a number, or an array of numbers."""

    member_names: frozenset[str] | None = None
    """The names of its members, filled at first use."""

    @property
    def unit(self) -> Span:
        """The unit that it is if it is not opened."""
        return Span(self.start if self.unit_start < 0 else self.unit_start, self.end)

    @property
    def inside(self) -> Span | None:
        """The part between the quotes of a string."""
        return None if self.inside_start < 0 else Span(self.inside_start, self.inside_end)

    @property
    def inside_chars(self) -> int:
        """Characters of a string as written, without its quotes; 0 for any other value."""
        return self.inside_end - self.inside_start

    def lead(self, text: str) -> str:
        """The white space before it."""
        return text[self.lead_start : self.start]

    def measure(self) -> None:
        """Fill in `around` for all values in it."""
        for node in self.walk():
            head = max(0, node.open_end - node.start) + len(_COUNT) * (len(node.children) > 1)
            for child in node.children:
                child.around = node.around + head + 1

    def names(self) -> frozenset[str]:
        """The names of its members; none of an array."""
        if self.member_names is None:
            names = (child.name for child in self.children)
            self.member_names = frozenset(name for name in names if name is not None)
        return self.member_names

    def walk(self) -> list[Node]:
        """Return it and all values in it."""
        found = [self]
        for node in found:
            found.extend(node.children)
        return found

    def move_to(self, places: array[int]) -> None:
        """Take over the places of a string from which its text was decoded."""
        for node in self.walk():
            node.lead_start, node.start = places[node.lead_start], places[node.start]
            node.value_start, node.end = places[node.value_start], places[node.end]
            node.open_end = places[node.open_end]
            if node.unit_start >= 0:
                node.unit_start = places[node.unit_start]
            if node.inside_start >= 0:
                node.inside_start = places[node.inside_start]
                node.inside_end = places[node.inside_end]
            node.level += 1
