"""Lines of source code with the syntax nodes on them: what belongs together, and possible cuts.

A boundary between two nodes moves to the start of its line; nodes on the same line are not parted.
Text that a parser leaves out thus stays with its line.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import NamedTuple

from specprefill_integrations.splitting._code._languages import (
    CONTAINERS,
    FUNCTIONS,
    IMPORTS,
    LEADS,
    LEAVES,
    TAILS,
    WRAPPERS,
)
from specprefill_integrations.splitting._code._tree import SyntaxNode, without_errors
from specprefill_integrations.splitting._finer import trimmed
from specprefill_integrations.types import Span

_DEEPEST_WRAPPING = 8

_WORD = re.compile(r"[^\W_]{2,}")
_LINE_BREAK = re.compile(r"\n")

# Within so many characters, a line break is faster to find than to look up.
_NEAR_CHARS = 500


class Kind(Enum):
    """The role of some lines among their neighbors."""

    DEFINITION = auto()
    IMPORT = auto()
    STATEMENT = auto()

    LEAD = auto()
    """Belongs to the next lines: a comment, a decorator."""

    TAIL = auto()
    """Belongs to the previous lines: a closing bracket."""


class Bit(NamedTuple):
    """A node without the white space at its ends."""

    start: int
    end: int
    node: SyntaxNode

    @property
    def is_comment(self) -> bool:
        """True if the node is a comment."""
        return self.node.type.endswith("comment")


class Region(NamedTuple):
    """Whole lines, and the nodes on them."""

    start: int
    end: int
    bits: list[Bit]
    kind: Kind

    def joined(self, other: Region, kind: Kind) -> Region:
        """Join with the next region; reuses this region's list of nodes."""
        self.bits.extend(other.bits)
        return Region(self.start, other.end, self.bits, kind)


@dataclass(frozen=True)
class Lines:
    """Source code as the parser sees it."""

    source: str

    @cached_property
    def _breaks(self) -> list[int]:
        """The positions of all line breaks: a line may be very long and hold many nodes."""
        return [match.start() for match in _LINE_BREAK.finditer(self.source)]

    def bits(self, nodes: Iterable[SyntaxNode]) -> list[Bit]:
        """Nodes trimmed of white space, without error nodes and empty ones."""
        found = []
        for node in without_errors(nodes):
            start, end = trimmed(self.source, Span(node.start_byte, node.end_byte))
            if start < end:
                found.append(Bit(start, end, node))
        return found

    def rows(self, bits: Iterable[Bit]) -> list[list[Bit]]:
        """Nodes grouped by shared lines."""
        rows: list[list[Bit]] = []
        for bit in bits:
            if rows and not self.spans_lines(rows[-1][-1].end, bit.start):
                rows[-1].append(bit)
            else:
                rows.append([bit])
        return rows

    def spans_lines(self, start: int, end: int) -> bool:
        """True if there is a line break between two positions."""
        if end - start <= _NEAR_CHARS:
            return self.source.find("\n", start, end) >= 0
        return bisect_left(self._breaks, start) < bisect_left(self._breaks, end)

    def line_start(self, position: int, least: int) -> int:
        """The start of the line of a position, but not before `least`."""
        if position - least <= _NEAR_CHARS:
            return self.source.rfind("\n", least, position) + 1 or least
        before = bisect_left(self._breaks, position)
        return max(least, self._breaks[before - 1] + 1) if before else least

    def regions(self, rows: Sequence[list[Bit]], start: int, end: int) -> list[Region]:
        """Split the text between two positions at the first line of each row."""
        if not rows:
            return []
        starts = [start, *(self.line_start(row[0].start, start) for row in rows[1:])]
        ends = [*starts[1:], end]
        return [
            Region(a, b, row, self.kind(row)) for a, b, row in zip(starts, ends, rows, strict=True)
        ]

    def kind(self, bits: Sequence[Bit]) -> Kind:
        """The role of a row."""
        types = {bit.node.type for bit in bits if bit.node.is_named and not bit.is_comment}
        if types <= TAILS and not all(bit.is_comment for bit in bits):
            return Kind.TAIL
        if types <= LEADS:
            return Kind.LEAD
        if types <= IMPORTS:
            return Kind.IMPORT
        return Kind.DEFINITION if self._definition(bits) else Kind.STATEMENT

    def is_blank_between(self, before: Region, region: Region) -> bool:
        """True if there is a blank line between two neighbors."""
        return self.source.count("\n", before.bits[-1].end, region.bits[0].start) > 1

    def holds_functions(self, region: Region) -> bool:
        """True if a region is a class (or similar) with functions of several lines."""
        definition = self._definition(region.bits)
        waiting = [definition] if definition else []
        while waiting:
            node = waiting.pop()
            if node.type not in CONTAINERS:
                continue
            block = node.child_by_field_name("body") or node
            for bit in self.bits(block.children):
                member = definition_in(bit.node)
                if member and self.spans_lines(bit.start, bit.end):
                    if member.type in FUNCTIONS:
                        return True
                    waiting.append(member)
        return False

    def body(self, region: Region) -> Bit | None:
        """The body of the definition in a region."""
        definition = self._definition(region.bits)
        body = definition.child_by_field_name("body") if definition else None
        found = self.bits([body]) if body else []
        return found[0] if found and found[0].node.children else None

    def _definition(self, bits: Iterable[Bit]) -> SyntaxNode | None:
        """The first definition that spans lines."""
        for bit in bits:
            if self.spans_lines(bit.start, bit.end):
                found = definition_in(bit.node)
                if found:
                    return found
        return None

    def first_row(self, bits: Sequence[Bit]) -> tuple[list[Bit], list[list[Bit]]]:
        """The first row with its comments and decorators, and the other rows."""
        rows = self.rows(bits)
        count = 0
        while count < len(rows) - 1 and self.kind(rows[count]) is Kind.LEAD:
            count += 1
        return [bit for row in rows[: count + 1] for bit in row], rows[count + 1 :]

    def largest_part(self, bits: Sequence[Bit]) -> int | None:
        """Index of the longest node that has children and spans lines."""
        parts = [
            (bit.end - bit.start, -index)
            for index, bit in enumerate(bits)
            if not is_leaf(bit.node) and self.spans_lines(bit.start, bit.end)
        ]
        return -max(parts)[1] if parts else None

    def boundaries(self, region: Region, max_chars: int) -> tuple[list[int], list[int], list[Bit]]:
        """Possible cuts in a region, regardless of its structure.

        Returns:
            Starts of lines, and starts of nodes within lines; both ascending. Then the strings
            and comments that may be cut: those longer than `max_chars`.
        """
        lines, others, strings = [], [], []
        line = first = -1  # the start of a node's line, and its first character that is not blank
        waiting = region.bits[::-1]
        while waiting:
            start, end, node = waiting.pop()
            if line < 0 or self.spans_lines(line, start):
                line = self.line_start(start, region.start)
                first = trimmed(self.source, Span(line, start)).start
            if first < start or line <= region.start < start:
                others.append(start)
            else:
                lines.append(line)
            if end - start > max_chars and not is_leaf(node):
                waiting.extend(reversed(self.bits(node.children)))
            elif end - start > max_chars:
                lines.extend(self._line_starts(start, end))
                strings.append(Bit(start, end, node))
        return lines, others, strings

    def after_first_words(self, start: int, end: int) -> int | None:
        """The start of the line after the first one with a word in it."""
        words = _WORD.search(self.source, start, end)
        line_end = self.source.find("\n", words.start(), end) if words else -1
        return line_end + 1 or None

    def _line_starts(self, start: int, end: int) -> Iterable[int]:
        """The starts of all lines between two positions."""
        first, after = bisect_left(self._breaks, start), bisect_left(self._breaks, end)
        return [line_end + 1 for line_end in self._breaks[first:after]]


def definition_in(node: SyntaxNode) -> SyntaxNode | None:
    """The function, class or similar that a statement consists of."""
    current: SyntaxNode | None = node
    for _ in range(_DEEPEST_WRAPPING):
        if current is None or not current.is_named:
            return None
        if current.type in FUNCTIONS or current.type in CONTAINERS:
            return current
        if current.type not in WRAPPERS:
            return None
        current = _wrapped(current)
    return None


def _wrapped(node: SyntaxNode) -> SyntaxNode | None:
    """The node inside a wrapper."""
    names = WRAPPERS[node.type].split()
    if names:
        return next(filter(None, map(node.child_by_field_name, names)), None)
    named = [child for child in node.children if child.is_named]
    return named[-1] if named else None


def is_leaf(node: SyntaxNode) -> bool:
    """True if a node is not looked into, such as a string."""
    return not node.children or node.type.endswith(LEAVES)
