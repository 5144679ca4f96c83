"""Rows of comma-, tab-, semicolon- and pipe-separated tables, linked to their header.

The `csv` module reads quoted fields line by line; the number of lines it consumes for a row gives
the end of the row.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from typing import Literal

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lines import nonblank_lines, source_lines
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._output._rows import shape
from specprefill_integrations.types import Span

_DASHES = re.compile(r"--|==|[|+:] *-|- *[|+:]")

_DELIMITERS = ("\t", ";", "|", ",")

# Rows examined to detect the format of a table.
_SNIFFED_ROWS = 50

# Minimum number of rows of a quoted table. Minimum share of rows with the same number of cells.
_LEAST_ROWS = 2
_LEAST_SHARE = 0.5

# A quoted field of more lines is taken for a missing closing quote.
_ROW_LINES = 100

# Lines above the header that say what the table shows.
_CAPTION_LINES = 2
_CAPTION_CHARS = 400


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class TableSplitter(OutlineSplitter):
    """Splits a table into rows; each needs the caption, the header row and the rule below it."""

    max_unit_chars: PositiveInt = 2_000
    """Characters of a unit; longer rows are split at sentences, clauses, then words."""

    form: Literal["delimited", "markdown"] | None = None
    """The format; None: detected from the text. Markdown has no quoted fields."""

    def parse(self, text: str) -> Outline:
        """Find the header and the rows of `text`."""
        outline = Outline(text)
        lines = nonblank_lines(text)
        delimiter = None if self._is_ruled(text, lines) else sniff_delimiter(text, lines)
        rows = list(_quoted_rows(text, lines, delimiter)) if delimiter else lines
        header = _header(text, rows, delimiter, self.form)
        needs: Needs = ()
        for index, row in enumerate(rows):
            if index in header:
                needs = self._add_header(outline, _without_line_end(text, row), needs)
            else:
                self._add_row(outline, _without_line_end(text, row), needs)
        return outline

    def _is_ruled(self, text: str, lines: Sequence[Span]) -> bool:
        """True if there is a rule below the header; such tables have no quoted fields."""
        if self.form:
            return self.form == "markdown"
        return any(is_rule(text[a:b]) for a, b in lines[:3])

    def _add_header(self, outline: Outline, row: Span, needs: Needs) -> Needs:
        if row.end - row.start <= self.max_unit_chars:
            return outline.add(row, needs)
        return outline.add_heading(row, needs, self.max_unit_chars)

    def _add_row(self, outline: Outline, row: Span, needs: Needs) -> None:
        if row.end - row.start <= self.max_unit_chars:
            outline.add(row, needs)
        else:
            content = trimmed(outline.text, row)
            outline.add_all(split_oversized(outline.text, content, self.max_unit_chars), needs)


def sniff_delimiter(text: str, lines: Sequence[Span]) -> str | None:
    """Detect the delimiter of a table; None if most rows have a single cell.

    Args:
        text: The original.
        lines: Its lines, without blank ones.
    """
    best = (_LEAST_SHARE, 1)
    found = None
    for delimiter in _DELIMITERS:
        counts = Counter(cell_counts(text, lines, delimiter))
        cells, rows = max(counts.items(), key=lambda item: item[1], default=(0, 0))
        fit = (rows / max(1, counts.total()), cells)
        if cells > 1 and fit >= best and (found is None or fit > best):
            best, found = fit, delimiter
    return found


def is_quoted_table(head: str) -> bool:
    """True if all complete rows have as many cells as the header, and a cell spans lines.

    Args:
        head: The beginning of a text; its last row may be cut off.
    """
    return '"' in head and any(_is_quoted_table(head, delimiter) for delimiter in _DELIMITERS)


def _is_quoted_table(head: str, delimiter: str) -> bool:
    rows: list[list[str]] = []
    with suppress(csv.Error):  # the last row, or no table
        rows.extend(
            row for row in csv.reader(StringIO(head, ""), delimiter=delimiter, strict=True) if row
        )
    is_even = len(rows) >= _LEAST_ROWS and {len(row) for row in rows} == {len(rows[0])}
    spans_lines = any("\n" in cell or "\r" in cell for row in rows for cell in row)
    return is_even and len(rows[0]) > 1 and spans_lines


def cell_counts(text: str, lines: Sequence[Span], delimiter: str) -> list[int]:
    """The number of cells in each of the first rows."""
    reader = csv.reader((text[a:b] for a, b in lines[:_SNIFFED_ROWS]), delimiter=delimiter)
    counts: list[int] = []
    try:
        counts.extend(len(row) for row in reader)
    except csv.Error:
        return []
    # The last row may go on in a line that was not read.
    return counts[:-1] if len(lines) > _SNIFFED_ROWS and len(counts) > 1 else counts


def is_rule(line: str) -> bool:
    """True if a line consists of dashes in columns, as below a header."""
    return not line.strip().strip("|+-=: ") and _DASHES.search(line) is not None


def _quoted_rows(text: str, lines: Sequence[Span], delimiter: str) -> Iterator[Span]:
    """The rows; a quoted field may span several lines."""
    index = 0
    while index < len(lines):
        start, end = lines[index]
        taken = _row_lines(text, lines, index, delimiter) if '"' in text[start:end] else 1
        index += taken
        yield Span(start, lines[index - 1].end)


def _row_lines(text: str, lines: Sequence[Span], index: int, delimiter: str) -> int:
    """The number of lines of a row; 1 if its quotes are not closed."""
    feed = [text[a:b] for a, b in lines[index : index + _ROW_LINES]]
    reader = csv.reader(feed, delimiter=delimiter)
    try:
        next(reader)
        if reader.line_num == len(feed) > 1:
            next(csv.reader(feed, delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return 1
    return reader.line_num


def _header(
    text: str, rows: Sequence[Span], delimiter: str | None, form: str | None
) -> Sequence[int]:
    """The rows of the header, and a short caption above them."""
    if form == "markdown":
        return range(2)
    header = _header_rows(text, rows, delimiter)
    above = [index for index in range(header.start) if not is_rule(text[slice(*rows[index])])]
    chars = sum(rows[index].end - rows[index].start for index in above)
    is_caption = len(above) <= _CAPTION_LINES and chars <= _CAPTION_CHARS
    return [*above, *header] if is_caption else header


def _header_rows(text: str, rows: Sequence[Span], delimiter: str | None) -> range:
    """The row above a rule and the rule, else the first row with the usual number of cells."""
    first = [text[a:b] for a, b in rows[:_SNIFFED_ROWS]]
    for index, (above, row) in enumerate(pairwise(first)):
        if is_rule(row) and not is_rule(above):
            return range(index, index + 2)
    if delimiter is None:
        return range(1)
    cells = [sum(cell_counts(row, source_lines(row), delimiter)) for row in first]
    [(usual, _)] = Counter(cells).most_common(1)
    return range(cells.index(usual), cells.index(usual) + 1)


def _without_line_end(text: str, row: Span) -> Span:
    """A row without its line break, but with empty cells at its ends."""
    return Span(row.start, row.start + len(text[row.start : row.end].rstrip("\r\n")))


def is_printed(rows: Sequence[str], delimiter: str) -> bool:
    """Return True if cells are padded, or there is no header: the first row begins as others do."""
    if delimiter == "|" and all(" | " in row for row in rows):
        return True
    first, *others = (shape(row.partition(delimiter)[0].strip()) for row in rows)
    alike = others.count(first)
    return bool(not first.isalpha() and 2 * alike > len(others))


def opens_a_bracket(row: str) -> bool:
    """Return True if the first cell ends within brackets, as in `a.ts(3,9): error`."""
    cell, comma, _ = row.partition(",")
    return bool(comma) and cell.rfind("(") > cell.rfind(")")
