"""The rows of a program's output that say what others are about.

No list of programs: blank lines, rules, columns and rows of repeated shape show what heads what.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from specprefill_integrations.splitting._lists import is_caption
from specprefill_integrations.splitting._output._rows import Row, blocks

# A title between marks or in brackets: `=== host ===`, `--- stderr ---`, `[section]`.
_TITLE = re.compile(
    r"(?:={2,}|-{3,}|\*{3,}|~{3,}|_{3,}|#{1,6} |>{3,})\s*[^\s=*~_#>-].*|\[[^\[\]]{1,80}\]$"
)

# A line that announces what follows, such as `Untracked files:` or a key of a dump above its value.
_LEAD_IN = re.compile(r".{0,199}(?:[^\s:]:|\]=>)$")

# Columns of a table that is aligned by spaces.
_COLUMN = re.compile(r"\S(?:\s{2,}|\t)\S")
_TABLE_ROWS = 3

# A longer row above a table is a text, not its caption.
_CAPTION_CHARS = 200

# As many blocks whose first rows have the same shape are records; fewer if they start with a key.
_RECORDS = 3
_KEYED_RECORDS = 2

# A longer row of a record is a text, not what names the record.
_NAME_CHARS = 120
_NAMES = 4

# Rows of a header, such as a commit with its author and date, above its indented text.
_HEADER_ROWS = 8
_HEADER_CHARS = 500

# Records without blank lines between them: different shapes of the rows within.
_SHAPES_WITHIN = 12


class Rank(IntEnum):
    """The order of heads: one of a lower number ends those of higher ones."""

    TITLE = 0
    RECORD = 1
    LEAD_IN = 2
    TABLE = 3


class Head(NamedTuple):
    """A row, or several, that the rows below need."""

    rank: Rank
    """Its rank."""

    size: int = 1
    """Its rows."""

    beyond_block: bool = False
    """True if it heads the rows after the next blank line, too."""

    heads_next_block: bool = False
    """True if it stands alone, above a blank line."""


def find_heads(rows: Sequence[Row]) -> dict[int, Head]:
    """The rows that head others of the same indentation, by index."""
    bounds = list(blocks(rows))
    records = _records(rows, bounds)
    heads: dict[int, Head] = {}
    for number, (first, end) in enumerate(bounds):
        is_deeper = end < len(rows) and rows[end].indent > rows[first].indent
        has_next = number + 1 < len(bounds) and rows[end].indent >= rows[first].indent
        for index in range(first, end):
            head = _head(rows, index, first, end, heads)
            may_name = not rows[index].has_columns and (head is None or head.rank > Rank.RECORD)
            if index in records and may_name:
                head = _record(rows, index, end, is_deeper=is_deeper)
            if head and (head.rank == Rank.TITLE or index + 1 < end or is_deeper):
                heads[index] = head
            elif head and has_next and index == first:
                heads[index] = head._replace(heads_next_block=True)
    for first, end in bounds:
        for index in range(first, min(end, first + 2)):
            if heads.get(index, Head(Rank.TITLE)).rank is Rank.TABLE:
                _add_caption(heads, rows, index)
    return heads


def _add_caption(heads: dict[int, Head], rows: Sequence[Row], header: int) -> None:
    """Let the row above the header of a table head it, if it looks like a caption."""
    above = header - 1
    if above < 0 or above in heads or not rows[above].opens_block or rows[above].rule:
        return
    shown, is_apart = rows[above].shown, rows[header].opens_block
    is_text = len(shown) <= _CAPTION_CHARS and not _COLUMN.search(shown)
    if (
        is_text
        and rows[above].indent >= rows[header].indent
        and (not is_apart or is_caption(shown))
    ):
        heads[above] = Head(Rank.LEAD_IN, heads_next_block=is_apart)


def _head(
    rows: Sequence[Row], index: int, first: int, end: int, heads: dict[int, Head]
) -> Head | None:
    """A title, the header of a table, or a line that ends with a colon."""
    row = rows[index]
    if _TITLE.match(row.shown) or row.is_underlined:
        return Head(Rank.TITLE)
    is_open = index == first or index - 1 in heads or rows[index - 1].indent < row.indent
    if row.has_columns or (is_open and _heads_columns(rows[index : min(end, index + _TABLE_ROWS)])):
        return Head(Rank.TABLE)
    return Head(Rank.LEAD_IN) if _LEAD_IN.fullmatch(row.shown) else None


def _heads_columns(rows: Sequence[Row]) -> bool:
    """Return True if the first of some rows names columns that are aligned by spaces."""
    header, *below = rows
    if len(below) < _TABLE_ROWS - 1:
        return False
    is_named = header.shown.isupper() or len(_COLUMN.findall(header.shown)) > 1
    has_numbers = any(word.isdigit() for word in header.shown.split())
    return is_named and not has_numbers and all(_COLUMN.search(row.shown) for row in below)


def _record(rows: Sequence[Row], index: int, end: int, *, is_deeper: bool) -> Head:
    """The rows that name a record: its first one, further short keys above a text, or a header."""
    beyond = rows[index].shape.endswith(":") or not rows[index].is_marked
    header = rows[index:end]
    if is_deeper and _is_header(header):
        return Head(Rank.RECORD, len(header), beyond)
    for count, row in enumerate(header[:_NAMES]):
        if count and not row.shape.endswith(":"):
            break
        if len(row.shown) > _NAME_CHARS:
            return Head(Rank.RECORD, max(1, count), beyond)
    return Head(Rank.RECORD, 1, beyond)


def _is_header(rows: Sequence[Row]) -> bool:
    chars = rows[-1].span.end - rows[0].span.start
    return (
        len(rows) <= _HEADER_ROWS
        and chars <= _HEADER_CHARS
        and all(row.indent == rows[0].indent for row in rows)
    )


def _records(rows: Sequence[Row], bounds: Sequence[tuple[int, int]]) -> set[int]:
    """The rows that open a record."""
    found = set(_openings_alike(rows, bounds))
    second = Counter(
        rows[first + 1].shape
        for first, end in bounds
        if end - first > 1 and rows[first + 1].is_marked
    )
    for first, end in bounds:
        below = rows[first + 1 : end]
        if not below:
            continue
        is_unlike = below[0].shape != rows[first].shape
        is_usual = 2 * second[below[0].shape] >= len(bounds) > _RECORDS
        shapes = {row.shape for row in below}
        is_alike = len(below) > 1 and len(shapes) == 1 and below[0].is_marked
        if is_unlike and (is_usual or is_alike):
            found.add(first)
        found.update(_recurring(rows, first, end))
    return found


def _openings_alike(rows: Sequence[Row], bounds: Sequence[tuple[int, int]]) -> Iterator[int]:
    """The first rows of blocks that begin alike, if rows within blocks rarely do."""
    opening = Counter(rows[first].shape for first, _ in bounds)
    inside = Counter(row.shape for row in rows if not row.opens_block)
    for first, _ in bounds:
        shape = rows[first].shape
        least = _KEYED_RECORDS if shape.endswith(":") else _RECORDS
        if opening[shape] >= least and inside[shape] * _RECORDS <= opening[shape]:
            yield first


def _recurring(rows: Sequence[Row], first: int, end: int) -> list[int]:
    """The rows of a block that begin as its first does, if never two in a row."""
    shape, indent = rows[first].shape, rows[first].indent
    starts = [i for i in range(first, end) if rows[i].shape == shape and rows[i].indent == indent]
    if len(starts) < _RECORDS or end - starts[-1] < 1 + (len(starts) > 1):
        return []
    if any(b - a == 1 for a, b in pairwise(starts)):
        return []
    after = Counter(rows[start + 1].shape for start in starts if start + 1 < end)
    within = {rows[i].shape for i in range(first, end)} - {shape}
    is_regular = 2 * after.most_common(1)[0][1] >= len(starts)
    return starts if is_regular and len(within) <= _SHAPES_WITHIN else []
