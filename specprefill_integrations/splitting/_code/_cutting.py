"""Units of whole lines from a syntax tree, and the scopes that enclose them.

A small definition is one unit. For a large one, the signature becomes a unit and the body is split
at statements. Languages differ only in the tables of `_languages`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from specprefill_integrations.splitting._code._ends import Ends, ends_of
from specprefill_integrations.splitting._code._languages import BLOCKS, GUARDS
from specprefill_integrations.splitting._code._regions import Bit, Kind, Lines, Region
from specprefill_integrations.splitting._code._tree import SyntaxNode
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.types import Span

# Consecutive statements form a unit of up to `max_unit_chars` divided by this.
_BLOCK_SHARE = 3

# A block shorter than this continues after a blank line.
_TINY_CHARS = 60

# Longer comments and docstrings are not part of a signature.
_NOTE_CHARS = 300

# Deeper nesting is split by lines, regardless of its structure.
_DEEPEST = 40

_Opened = tuple[Region, list[Region]]


class Scope(NamedTuple):
    """A stretch of code that needs its header to be understood."""

    header: int
    """First character of the header that is not white space."""

    start: int
    """Start of the stretch, including a comment above the header."""

    end: int
    """End of the stretch."""


@dataclass(slots=True)
class CodeCutter:
    """Splits one text into `units` and `scopes`; `ends` are those of all that it cuts."""

    text: str
    lines: Lines
    max_unit_chars: int
    units: list[Span] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    ends: list[Ends] = field(default_factory=list)

    @property
    def _block_chars(self) -> int:
        return max(1, self.max_unit_chars // _BLOCK_SHARE)

    def cut(self, root: SyntaxNode) -> None:
        """Split the whole text."""
        rows = self.lines.rows(self.lines.bits(root.children))
        regions = self.lines.regions(rows, 0, len(self.text))
        if regions:
            self._cut_sequence(regions, 0)
        else:
            self._cut_flat(Region(0, len(self.text), [], Kind.STATEMENT))

    def _cut_sequence(self, regions: Iterable[Region], depth: int) -> None:
        """Split consecutive statements or members."""
        block: Region | None = None
        for region in self._attached(regions):
            together = self._as_one_block(block, region) if block else None
            if block and not together:
                self._cut_region(block, depth)
            block = together or region
        if block:
            self._cut_region(block, depth)

    def _attached(self, regions: Iterable[Region]) -> list[Region]:
        """Join regions with the comments above and the closing brackets below them."""
        found: list[Region] = []
        for region in regions:
            kind = self._attached_kind(found[-1], region) if found else None
            if kind:
                found[-1] = found[-1].joined(region, kind)
            else:
                found.append(region)
        return found

    def _attached_kind(self, before: Region, region: Region) -> Kind | None:
        """The role of two neighbors joined, or None if they do not belong together."""
        if region.kind is Kind.TAIL:
            together = self._length_between(before.start, region.end)
            fits = together <= self.max_unit_chars or self._length(before) > self.max_unit_chars
            return before.kind if fits else None
        if before.kind is not Kind.LEAD or self.lines.is_blank_between(before, region):
            return None
        is_near = region.kind in {Kind.LEAD, Kind.DEFINITION}
        return region.kind if is_near or self._length(before) <= _NOTE_CHARS else None

    def _as_one_block(self, block: Region, region: Region) -> Region | None:
        """Extend a block by the next statement; None if that starts a new block."""
        kinds = {block.kind, region.kind} - {Kind.LEAD}
        if Kind.DEFINITION in kinds or len(kinds) > 1:
            return None
        kind = kinds.pop() if kinds else Kind.LEAD
        together = self._length_between(block.start, region.end)
        if block.kind is region.kind is Kind.IMPORT:
            goes_on, most = True, self.max_unit_chars
        else:
            is_apart = self.lines.is_blank_between(block, region)
            goes_on, most = not is_apart or self._length(block) < _TINY_CHARS, self._block_chars
        return block.joined(region, kind) if goes_on and together <= most else None

    def _cut_region(self, region: Region, depth: int) -> None:
        """Make a region one unit, or split it."""
        fits = self._length(region) <= self.max_unit_chars
        if fits and not self.lines.holds_functions(region):
            self.units.append(self._unit(region.start, region.end))
            return
        opened = self._opened_at_body(region) or self._opened_at_parts(region)
        if opened and depth < _DEEPEST:
            self._cut_scope(*opened, depth)
        else:
            self._cut_flat(region)

    def _opened_at_body(self, region: Region) -> _Opened | None:
        """The signature of a definition, and the regions of its body."""
        body = self.lines.body(region)
        if body is None:
            return None
        bits = list(region.bits)
        node: SyntaxNode | None = None
        while node != body.node:
            at = next((i for i, bit in enumerate(bits) if bit.end >= body.end), None)
            if at is None:
                return None
            node = bits[at].node
            bits[at : at + 1] = self.lines.bits(node.children)
        rows = self.lines.rows(bits)
        count = next((i for i, row in enumerate(rows) if _is_within(row, body)), 0)
        if count == 0:
            return None
        while count > 1 and self.lines.kind(rows[count - 1]) is Kind.LEAD:
            count -= 1
        signature = [bit for row in rows[:count] for bit in row]
        header, *members = self.lines.regions([signature, *rows[count:]], region.start, region.end)
        return header, members

    def _opened_at_parts(self, region: Region) -> _Opened | None:
        """The first line of a statement, and the regions of its parts that span lines."""
        first, after = self.lines.first_row(region.bits)
        within: list[list[list[Bit]]] = []
        while first and not (within and self._is_short(first)):
            at = self.lines.largest_part(first)
            if at is None:
                break
            self._add_ends(first[at])
            first[at : at + 1] = self.lines.bits(first[at].node.children)
            first, others = self.lines.first_row(first)
            within.extend([others] if others else [])
        if not (first and within):
            return None
        inner = [row for rows in reversed(within) for row in rows]
        rows = [piece for row in (*inner, *after) for piece in self._without_block(row)]
        header, *members = self.lines.regions([first, *rows], region.start, region.end)
        while len(members) > 1 and members[0].kind is Kind.TAIL:
            header = header.joined(members.pop(0), header.kind)
        return header, members

    def _is_short(self, bits: Sequence[Bit]) -> bool:
        """True if nodes are short enough for a header, not counting comments."""
        start = next((bit.start for bit in bits if not bit.is_comment), bits[0].start)
        return bits[-1].end - start <= self._block_chars

    def _without_block(self, row: list[Bit]) -> list[list[Bit]]:
        """The statements of a block; other rows unchanged."""
        if len(row) == 1 and row[0].node.type in BLOCKS:
            return self.lines.rows(self.lines.bits(row[0].node.children)) or [row]
        return [row]

    def _cut_scope(self, header: Region, members: list[Region], depth: int) -> None:
        """Split an opened region into its header and its members."""
        start, end = header.start, members[-1].end
        comment, header = self._without_long_comment(header)
        if comment:
            self._cut_flat(comment)
        docstring = self._docstring(members[0])
        if docstring:
            header, members = self._with_docstring(header, members, docstring)
        if not any(bit.node.type in GUARDS for bit in header.bits):
            first = trimmed(self.text, Span(header.start, header.end)).start
            self.scopes.append(Scope(first, start, end))
        if self._length(header) <= self.max_unit_chars:
            self.units.append(self._unit(header.start, header.end))
        else:
            self._cut_flat(header)
        self._cut_sequence(members, depth + 1)

    def _without_long_comment(self, header: Region) -> tuple[Region | None, Region]:
        """A long comment above a header, if any, and the header."""
        bits = header.bits
        count = next((i for i, bit in enumerate(bits) if not bit.is_comment), 0)
        if count == 0 or bits[count - 1].end - bits[0].start <= _NOTE_CHARS:
            return None, header
        cut = self.lines.line_start(bits[count].start, header.start)
        if cut <= bits[count - 1].end - 1:
            return None, header
        comment = Region(header.start, cut, bits[:count], Kind.LEAD)
        return comment, header._replace(start=cut, bits=bits[count:])

    def _docstring(self, region: Region) -> Bit | None:
        """The docstring of a definition."""
        [bit, *others] = region.bits
        if bit.node.type == "expression_statement" and len(bit.node.children) == 1:
            [bit] = self.lines.bits(bit.node.children)
        return bit if bit.node.type == "string" and not others else None

    def _with_docstring(
        self, header: Region, members: list[Region], docstring: Bit
    ) -> tuple[Region, list[Region]]:
        """Add a short docstring, or the first line of a longer one, to a header."""
        region, *others = members
        if docstring.end - docstring.start <= _NOTE_CHARS and others:
            return header.joined(region, header.kind), others
        cut = self.lines.after_first_words(docstring.start, docstring.end)
        if cut is None:
            return header, members
        self._add_ends(docstring)
        rest = Region(cut, region.end, [docstring._replace(start=cut)], Kind.STATEMENT)
        return header.joined(region._replace(end=cut, bits=[]), header.kind), [rest, *others]

    def _cut_flat(self, region: Region) -> None:
        """Split at lines if possible, else between nodes, else within them."""
        lines, others, strings = self.lines.boundaries(region, self._block_chars)
        for bit in strings:
            self._add_ends(bit)
        start, last = region.start, trimmed(self.text, Span(region.start, region.end)).end
        while start < last:
            end = self._next_boundary(start, last, lines, others)
            unit = self._unit(start, end)
            if unit.end - unit.start <= self._block_chars:
                self.units.extend([unit] if unit.start < unit.end else [])
            else:
                whole = trimmed(self.text, unit)
                self.units.extend(split_oversized(self.text, whole, self._block_chars))
            start = end

    def _add_ends(self, bit: Bit) -> None:
        """Remember the ends of a node that becomes several units."""
        ends = ends_of(self.lines.source, bit.node)
        if ends:
            self.ends.append(ends)

    def _next_boundary(self, start: int, end: int, lines: list[int], others: list[int]) -> int:
        """The end of the unit that starts here: as far as allowed, at a line if possible."""
        unit = self._unit(start, end)
        if unit.end - unit.start <= self._block_chars:
            return end
        last = max(start, unit.start) + self._block_chars
        for boundaries in (lines, others):
            found = boundaries[bisect_right(boundaries, last) - 1] if boundaries else start
            if start < found <= last:
                return found
        following = (b[i] for b in (lines, others) if (i := bisect_right(b, last)) < len(b))
        return min(following, default=end)

    def _unit(self, start: int, end: int) -> Span:
        """The span of a region, from the start of its first line that is not blank."""
        first, last = trimmed(self.text, Span(start, end))
        if first == last:
            return Span(last, last)
        line = self.lines.line_start(first, start)
        is_whole = line > start or start == 0 or self.lines.source[start - 1] == "\n"
        return Span(line if is_whole else first, last)

    def _length(self, region: Region) -> int:
        return self._length_between(region.start, region.end)

    def _length_between(self, start: int, end: int) -> int:
        unit = self._unit(start, end)
        return unit.end - unit.start


def _is_within(row: Sequence[Bit], body: Bit) -> bool:
    """True if a row has more of a body than its opening bracket."""
    return row[0].start >= body.start and any(bit.node.is_named for bit in row)
