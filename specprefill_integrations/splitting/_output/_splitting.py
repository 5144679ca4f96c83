"""Lines that programs write: each is kept with the lines that say what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._entries import Entry, add_entries
from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
from specprefill_integrations.splitting._output._heads import Head, Rank, find_heads
from specprefill_integrations.splitting._output._rows import Row, output_rows

# Depths within one indentation: below a title, a record, a line with a colon, a table's header.
_LEVELS = len(Rank) + 1


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSplitter(OutlineSplitter):
    """Splits the output of a program into lines and small blocks.

    Indented lines need the line above them that is indented less. The lines of a block need what
    heads it: a title between marks, the first lines of a record, a line that ends with a colon, the
    header of a table. Rules and carets belong to the line above.
    """

    max_unit_chars: PositiveInt = 200
    """Characters of a block up to which it is one unit; larger ones are opened."""

    def parse(self, text: str) -> Outline:
        """Find the lines of `text` and what heads them."""
        outline = Outline(text)
        rows = output_rows(text)
        add_entries(outline, _entries(rows, find_heads(rows)), self.max_unit_chars)
        return outline


@dataclass(slots=True)
class _OpenHead:
    """A head whose rows have not ended."""

    indent: int
    head: Head
    heads_next_block: bool


def _entries(rows: Sequence[Row], heads: Mapping[int, Head]) -> list[Entry]:
    """An entry for each row, or for the rows of a head, below what heads it."""
    entries: list[Entry] = []
    around: list[_OpenHead] = []
    index = 0
    while index < len(rows):
        row, head = rows[index], heads.get(index)
        indent = _indent(rows, index, head)
        _close(around, row, indent, head)
        depth = indent * _LEVELS + sum(above.indent == indent for above in around[-_LEVELS:])
        count = head.size if head else 1
        end = rows[index + count - 1].span.end
        entries.append(Entry(row.span.start, end, end, depth, stands_alone=head is None))
        if head:
            around.append(_OpenHead(indent, head, head.heads_next_block))
        index += count
    return entries


def _indent(rows: Sequence[Row], index: int, head: Head | None) -> int:
    """The indentation of a row; titles and headers of columns are no deeper than what is below."""
    indent = rows[index].indent
    if head and head.rank in {Rank.TITLE, Rank.TABLE} and index + 1 < len(rows):
        return min(indent, rows[index + 1].indent)
    return indent


def _close(around: list[_OpenHead], row: Row, indent: int, head: Head | None) -> None:
    """End the heads that are not about a row."""
    while around and around[-1].indent > indent:
        around.pop()
    while around and around[-1].indent == indent:
        last = around[-1]
        ends = row.opens_block and not last.head.beyond_block and last.head.rank > Rank.TITLE
        if ends and last.heads_next_block:
            last.heads_next_block = ends = False
        if not ends and not (head and head.rank <= last.head.rank):
            return
        around.pop()
