"""Tables in JSON: rows that are arrays, and the names of their columns elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from specprefill_integrations.splitting._json._nodes import Node

_ARRAYS = ("[", "(")

# Members that name columns. Others do if they have as many texts as each row has cells, and a few.
_COLUMNS = re.compile(r"(?i)col|field|head|name|key|schema|label|attribute")
_LONGEST_NAME_CHARS = 80
_LEAST_COLUMNS = 3

# Rows that are examined, and the fewest that make a table whose first row names its columns.
_EXAMINED_ROWS = 20
_LEAST_ROWS = 3

# A row whose columns are separate units needs no more of them than this.
_MOST_COLUMNS = 100

Places = tuple[int, ...]
"""Indices of units."""


class Columns(NamedTuple):
    """The units that say what the values of a table mean."""

    of_each: tuple[Places, ...]
    """The units that name each column; the same ones if the names are one unit."""

    is_row: bool = False
    """True for a row, False for all rows, or a cell."""

    @property
    def places(self) -> Places:
        """The units that name all columns; none if they are too many."""
        found = tuple(dict.fromkeys(place for one in self.of_each for place in one))
        return found if len(found) <= _MOST_COLUMNS else ()

    def names_row(self, node: Node) -> bool:
        """Return True for a row whose first cell is short enough to name it."""
        if not self.is_row or node.bracket not in _ARRAYS:
            return False
        start, end = node.children[0].unit
        return end - start <= _LONGEST_NAME_CHARS

    def below(self, node: Node) -> list[Columns]:
        """Return the columns of each value in a value of the table.

        Args:
            node: All rows, a row, or a cell.
        """
        if not self.is_row:
            is_cell = len(self.of_each) == 1
            return [self if is_cell else self._replace(is_row=True)] * len(node.children)
        if node.bracket in _ARRAYS and len(node.children) == len(self.of_each):
            return [Columns((one,)) for one in self.of_each]
        return [self] * len(node.children)


class Header(NamedTuple):
    """The names of the columns of some rows."""

    names: Node
    """The array of the names."""

    holder: Node
    """The member that holds it, or itself."""


def headers_in(record: Node) -> dict[Node, Header]:
    """The arrays of rows among the members of an object, with the names of their columns.

    These are an array beside the rows, or in an object beside them, of as many short texts (or
    objects with one) as each row has cells.
    """
    found: dict[int, Header] = {}
    told: set[int] = set()
    for holder in record.children:
        inner = holder.children if holder.bracket == "{" else [holder]
        for names in inner:
            count = len(names.children)
            is_told = names.name is not None and _COLUMNS.search(names.name) is not None
            is_new = count not in found and count >= _LEAST_COLUMNS
            if ((is_told and count not in told) or is_new) and _are_names(names):
                found[count] = Header(names, holder)
                told.update([count] if is_told else [])
    if not found:
        return {}
    widths = {one: _width(one.children) for one in record.children if one.bracket in _ARRAYS}
    headers = {rows: found[width] for rows, width in widths.items() if width in found}
    return {rows: header for rows, header in headers.items() if rows is not header.holder}


def header_row(rows: Node) -> Header | None:
    """The first row of a table, if it names the columns.

    Its cells are short texts, and at least one column has none below it.
    """
    if rows.bracket == "{" or len(rows.children) < _LEAST_ROWS:
        return None
    first, *others = rows.children[: _EXAMINED_ROWS + 1]
    width = _width(others)
    if width < 2 or not _are_names(first) or len(first.children) != width:  # noqa: PLR2004
        return None
    columns = zip(*(row.children for row in others), strict=False)
    if any(all(_is_scalar(cell) for cell in cells) for cells in columns):
        return Header(first, first)
    return None


def _are_names(array: Node) -> bool:
    return array.bracket in _ARRAYS and bool(array.children) and all(map(_is_name, array.children))


def _is_name(node: Node) -> bool:
    """True for a short text, and for an object with one."""
    texts = node.children if node.bracket == "{" else [node]
    return any(0 < one.inside_chars <= _LONGEST_NAME_CHARS for one in texts)


def _is_scalar(node: Node) -> bool:
    return node.inside is None and not node.children


def _width(rows: Sequence[Node]) -> int:
    """The number of cells of each row; 0 if they are no rows, or of different lengths."""
    cells = [_cells(row) for row in islice(rows, _EXAMINED_ROWS) if row.elements == 1]
    return cells[0] if cells and len(set(cells)) == 1 else 0


def _cells(row: Node) -> int:
    """The number of cells of an array, or of the one in an object; 0 for any other value."""
    if row.bracket == "{" and len(row.children) == 1:
        [row] = row.children
    return sum(cell.elements for cell in row.children) if row.bracket in _ARRAYS else 0
