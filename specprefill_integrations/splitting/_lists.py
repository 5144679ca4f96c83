"""Lists in prose: items, the lines that introduce them, and nested lists.

A line that ends with a colon introduces the items or short lines below it, an item the items that
are indented below it, and a question the sentence after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import regex

from specprefill_integrations.types import Span

_NUMBER = r"(?:\d{1,3}|\p{L}|[ivx]{2,5}|[IVX]{2,5})"
# East Asian marks need no space after them.
_ITEM = regex.compile(
    rf"(?:[-*+•‣◦\u2013\u2014]|\(?{_NUMBER}[.)])[^\S\n]{{1,8}}\S"
    r"|(?:[(\uff08]?(?:\d{1,3}|[一二三四五六七八九十]{1,3})[)\uff09\u3001\uff0e]|[・\u2460-\u2473])\s{0,8}\S"
)
_DEFINITION = regex.compile(r":[^\S\n]{1,8}\S")
_INTRODUCES = regex.compile(r"[:\uff1a][\p{Pe}\p{Pf}\"'*_]{0,3}$")
_CAPTION = regex.compile(
    r"\p{L}{1,12}\.?[^\S\n]?\p{Lu}?\d{1,4}(?:[.-]\d{1,4}){0,3}[*_]{0,3}[^\S\n]{0,2}"
    r"(?:[.:|)\u2013\u2014\uff1a\u3002\u3000*_]|(?<=\s)-\s|$)"
)

# Indentations of lists without markers: lines below a colon, and the sentence after a question.
_WITHOUT_MARKERS, _ANSWER = -1, -2

# Deeper lists than anyone writes need no more than the outer ones.
_DEEPEST = 16

# A longer text is a paragraph, not the caption of a table.
_LONGEST_CAPTION_CHARS = 400

# A longer line below a colon is a paragraph, not an item without a marker.
_LONGEST_LINE_CHARS = 80


class ListGroup(NamedTuple):
    """The items of one list. They share in the relevance of what introduces them."""

    lead: int
    """The unit that introduces the list: a line that ends with a colon, an item or a heading."""

    members: tuple[int, ...]
    """Units of its items, with those of nested lists left out."""


def introduces(text: str, unit: Span) -> bool:
    """Return True if a unit ends with a colon, so that what follows belongs to it."""
    return _INTRODUCES.search(text, max(unit.start, unit.end - 4), unit.end) is not None


def is_caption(text: str) -> bool:
    """Return True for the caption of a table: a short text such as `Table 3: Prices of May`."""
    return len(text) <= _LONGEST_CAPTION_CHARS and _CAPTION.match(text) is not None


@dataclass(slots=True)
class ProseList:
    """A list in a text, as indices of units."""

    indent: int
    """Characters before its items; below 0 if these have no markers."""

    lead: int | None
    """The unit that introduces it."""

    members: list[int] = field(default_factory=list)
    """Units of its items."""

    items: list[int] = field(default_factory=list)
    """The first unit of each item."""

    is_tight: bool = False
    """True if two of its items are on consecutive lines."""


class ProseLists:
    """The lists of a text, and the units that each unit needs because of them."""

    def __init__(self, text: str, units: Sequence[Span]) -> None:
        """Find the lists.

        Args:
            text: The text.
            units: Its units in ascending order.
        """
        self.found: list[ProseList] = []
        self.needs: list[tuple[int, ...]] = []
        self._text = text
        self._units = units
        self._open: list[ProseList] = []
        for index in range(len(units)):
            self._read(index)
            leads = (one.lead for one in self._open[:_DEEPEST])
            self.needs.append(tuple(lead for lead in leads if lead is not None))

    def items(self) -> set[int]:
        """Return the first unit of each item, but not of a single one that nothing introduces."""
        return {
            item for one in self.found for item in one.items if one.lead is not None or one.is_tight
        }

    def _read(self, index: int) -> None:
        start, end = self._units[index]
        indent, breaks = self._before(index)
        is_below = index > 0 and 0 < breaks <= 1
        if indent is not None and _ITEM.match(self._text, start, end):
            self._add_item(index, indent, is_tight=is_below)
        elif indent is not None and is_below and _DEFINITION.match(self._text, start, end):
            self._add_definition(index)
        elif self._open and self._continues(indent, breaks):
            self._open[-1].members.append(index)
        else:
            self._open.clear()
            if (
                is_below
                and introduces(self._text, self._units[index - 1])
                and self._is_short_line(index)
            ):
                self._begin(_WITHOUT_MARKERS, index - 1, index)
            elif index and breaks <= 1 and self._asks(index - 1) and not self._asks(index):
                self._begin(_ANSWER, index - 1, index)

    def _add_item(self, index: int, indent: int, *, is_tight: bool) -> None:
        while self._open and self._open[-1].indent > indent:
            self._open.pop()
        if self._open and self._open[-1].indent == indent:
            one = self._open[-1]
            one.members.append(index)
            one.is_tight |= is_tight
            one.items.append(index)
            return
        if self._open and self._open[-1].indent < 0:
            self._open.pop()
        if self._open:
            self._begin(indent, self._open[-1].items[-1], index)
        else:
            is_introduced = index > 0 and self._heads_items(index - 1)
            self._begin(indent, index - 1 if is_introduced else None, index)

    def _add_definition(self, index: int) -> None:
        """Add a line below the term that it defines."""
        if self._open and self._open[-1].members[-1] == index - 1 and self._open[-1].indent < 0:
            self._open[-1].members.append(index)
            return
        self._open.clear()
        self._begin(_WITHOUT_MARKERS, index - 1, index)

    def _begin(self, indent: int, lead: int | None, index: int) -> None:
        self._open.append(ProseList(indent, lead, [index], [index]))
        self.found.append(self._open[-1])

    def _continues(self, indent: int | None, breaks: int) -> bool:
        """True for the rest of an item: on its line, or indented below it."""
        if self._open[-1].indent < 0:
            return self._open[-1].indent == _WITHOUT_MARKERS and breaks <= 1
        return indent is None or indent > self._open[-1].indent

    def _heads_items(self, index: int) -> bool:
        """True for a line that ends with a colon, or a short line that ends without a mark."""
        start, end = self._units[index]
        if introduces(self._text, self._units[index]):
            return True
        is_line = self._before(index)[0] is not None and self._is_short_line(index)
        return is_line and not self._text[start].islower() and self._text[end - 1].isalnum()

    def _asks(self, index: int) -> bool:
        return self._text[self._units[index].end - 1] in "?\uff1f"

    def _is_short_line(self, index: int) -> bool:
        start, end = self._units[index]
        if end - start > _LONGEST_LINE_CHARS or "\n" in self._text[start:end]:
            return False
        return index + 1 == len(self._units) or self._before(index + 1)[1] > 0

    def _before(self, index: int) -> tuple[int | None, int]:
        """Return a unit's indentation, None if it does not begin a line, and the breaks before."""
        before = self._units[index - 1].end if index else 0
        start = self._units[index].start
        line = self._text.rfind("\n", before, start)
        if line < 0 and index:
            return None, 0
        return start - (line + 1), self._text.count("\n", before, start)
