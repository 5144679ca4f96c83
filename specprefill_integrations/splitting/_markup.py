"""Sentences, items and blocks of reStructuredText, AsciiDoc, LaTeX, manual pages and the like.

Headings and blocks are read from the starts of lines, so broken markup works too.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._headings import OpenHeadings
from specprefill_integrations.splitting._lines import source_lines, without_blank_ends
from specprefill_integrations.splitting._markup_lines import FORMS, Form, markup_form
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._prose import sentences_in_flow
from specprefill_integrations.splitting._tables import is_rule
from specprefill_integrations.types import Span

# The line that opens a table, options below it, and a rule of LaTeX between rows.
_TABLE = re.compile(r"\|={3}|\\begin\{\w{0,9}tab|\.\. [\w-]{0,9}table::")
_OPTION = re.compile(r"\s{1,20}:[\w-]{1,40}:")
_RULE = re.compile(r"\s{0,20}\\(?:hline|midrule|endhead|endfirsthead)")

# Lines of a table that its rows may need.
_HEAD_LINES = 12


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class MarkupSplitter(OutlineSplitter):
    """Splits marked-up text into sentences, items and blocks.

    Every unit needs the headings above it. The contents of a long item need its first line, the
    pieces of a long block the line that opens it, those of a table also its header, and items the
    sentence above them that ends with a colon.
    """

    max_item_chars: PositiveInt = 400
    """Characters of an item up to which it is one unit."""

    form: Literal["rst", "asciidoc", "latex", "man", "org", "wiki", "bibtex"] | None = None
    """The markup; None: detected from the text."""

    def parse(self, text: str) -> Outline:
        """Find the headings and blocks of `text`."""
        form = FORMS[self.form or markup_form(text) or "rst"]
        reading = _Reading(text, form, self)
        reading.read()
        return reading.outline


class _Reading:
    """One pass over the lines of a text."""

    def __init__(self, text: str, form: Form, splitter: MarkupSplitter) -> None:
        """Start without headings."""
        self.outline = Outline(text)
        self._form = form
        self._most = splitter.max_unit_chars
        self._most_of_item = min(splitter.max_item_chars, self._most)
        self._spans = source_lines(text)
        self._lines = [text[a:b].rstrip() for a, b in self._spans]
        self._headings = OpenHeadings()
        self._ranks: dict[str, int] = {}  # of underlines, in the order of their first use
        self._lead: Needs = ()  # the sentence that ends with a colon, above items
        self._places: dict[str, list[int]] = defaultdict(list)
        for index, line in enumerate(self._lines):
            self._places[line.strip()].append(index)

    def read(self) -> None:
        """Read all lines."""
        index = 0
        while index < len(self._lines):
            index = self._read_at(index)

    def _read_at(self, index: int) -> int:
        """Add what starts at a line.

        Returns:
            The index of the line after it.
        """
        if not self._lines[index]:
            return index + 1
        lines = self._form.heading_lines(self._lines, index)
        if lines:
            self._add_heading(index, lines)
            return index + lines
        opening = self._after_notes(index)
        end = self._block_end(opening)
        if end > opening:
            head = self._span(index, self._head_end(opening, end))
            self.outline.add_headed(head, self._spans[end - 1].end, self._needs, self._most)
            return end
        if self._form.item.match(self._lines[index]):
            return self._add_item(index)
        return self._add_paragraph(index)

    @property
    def _needs(self) -> Needs:
        return (*self._headings.above, *self._lead)

    def _add_heading(self, index: int, lines: int) -> None:
        rank = self._form.rank(self._lines, index, self._ranks)
        span = self._span(index, index + lines)
        self._lead = ()
        if span.end - span.start > self._most:
            self.outline.add_lines(span, self._headings.above, self._most)
            return
        self._headings.close(rank)
        *_, added = self.outline.add(
            without_blank_ends(self.outline.text, span), self._headings.above
        )
        self._headings.open(rank, added)

    def _after_notes(self, index: int) -> int:
        """The index of the line that the notes at a line are about."""
        last = len(self._lines) - 1
        while index < last and self._form.note.match(self._lines[index]) and self._lines[index + 1]:
            index += 1
        return index

    def _block_end(self, index: int) -> int:
        """The index after a block that a line opens; the same index if it opens none."""
        closing = self._form.closing(self._lines[index])
        if closing is None:
            return index
        if closing:
            places = self._places.get(closing, [])
            at = bisect_left(places, index + 1)
            return places[at] + 1 if at < len(places) else index
        return self._indented_end(index)

    def _head_end(self, opening: int, end: int) -> int:
        """The index after the lines that the rest of a block needs; of a table also its header."""
        if not _TABLE.search(self._lines[opening]):
            return opening + 1
        last = min(end, opening + _HEAD_LINES)
        after = opening + 1
        while after < last and _OPTION.match(self._lines[after]):
            after += 1
        for index in range(after + 1, last):
            if _ends_header(self._lines[index - 1], self._lines[index]):
                return index + 1
        return after

    def _indented_end(self, index: int) -> int:
        """The index after the lines below a line that are blank or more indented."""
        depth = _indent(self._lines[index])
        end = after = index + 1
        while after < len(self._lines):
            line = self._lines[after]
            if line and _indent(line) <= depth:
                break
            after += 1
            end = after if line else end
        return end

    def _add_item(self, index: int) -> int:
        """Add an item as one unit, or its sentences below the first one."""
        end = index + 1
        depth = _indent(self._lines[index])
        while end < len(self._lines) and self._goes_on(end, depth):
            end += 1
        span = without_blank_ends(self.outline.text, self._span(index, end))
        if span.end - span.start <= self._most_of_item:
            self.outline.add(span, self._needs)
            return end
        first, *others = sentences_in_flow(self.outline.text, span, self._most)
        below = self.outline.add(first, self._needs)
        self.outline.add_all(others, below)
        return end

    def _goes_on(self, index: int, depth: int) -> bool:
        """True if a line belongs to the item above it."""
        line = self._lines[index]
        if self._form.items_end_at_marks:
            return bool(line) and not self._starts_anew(index)
        if not line:
            below = next((x for x in self._lines[index + 1 : index + 3] if x), "")
            return _indent(below) > depth and not self._form.item.match(below)
        return _indent(line) > depth or not (self._starts_anew(index) or not self._lines[index - 1])

    def _starts_anew(self, index: int) -> bool:
        """True if a line starts a heading, a block or an item."""
        line = self._lines[index]
        return bool(
            self._form.item.match(line)
            or self._form.breaks.match(line)
            or self._form.heading_lines(self._lines, index)
            or self._form.closing(line)
        )

    def _add_paragraph(self, index: int) -> int:
        """Add the sentences of a paragraph; one that ends with a colon heads what follows."""
        end = index + 1
        while end < len(self._lines) and self._lines[end] and not self._starts_anew(end):
            end += 1
        span = self._span(index, end)
        is_indented = self._lines[index][:1].isspace()
        above = self._needs if is_indented else self._headings.above
        self.outline.add_all(sentences_in_flow(self.outline.text, span, self._most), above)
        if self._lines[end - 1].endswith(":") and self.outline.spans:
            self._lead = (len(self.outline.spans) - 1,)
        elif not is_indented:
            self._lead = ()
        return end

    def _span(self, start: int, end: int) -> Span:
        return Span(self._spans[start].start, self._spans[end - 1].end)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _ends_header(above: str, line: str) -> bool:
    """True if a line separates the header of a table, the line above it, from the rows."""
    if not line:
        return above.startswith("|") and not is_rule(above)
    is_separator = _RULE.match(line) if "&" in above else is_rule(line)
    return bool(is_separator) and bool(above) and not is_rule(above)
