"""Lines that programs write: each is kept with the lines that say what it is about.

No list of programs: indentation, blank lines and lines of repeated shape show what heads what.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._entries import Entry, add_entries
from specprefill_integrations.splitting._lines import as_shown, source_lines
from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
from specprefill_integrations.types import Span

# A title between marks or in brackets: `=== host ===`, `--- stderr ---`, `[section]`.
_TITLE = re.compile(r"([=\-#*~_+>])\1+\s*[^\s=\-#*~_+>].*|\[[^\[\]]{1,80}\]$")

# A line that announces what follows, such as `Untracked files:`.
_LEAD_IN = re.compile(r".{0,199}[^\s:]:$")

# A key and a value, such as `Title: Prices`.
_KEY = re.compile(r"([^\W\d_][\w .-]{0,30}):(?:\s|$)")

_PATH = re.compile(r"[\w.~-]*(?:/[\w.@+-]*)+|[\w-]+\.[a-z]\w{0,4}")
_NUMBER = re.compile(r"\d+")
_HASH = re.compile(r"(?=[a-f]*\d)[\da-f]{7,64}|[a-f]{7,8}")
_LETTERS = re.compile(r"[^\W\d_]+")

# Columns of a table that is aligned by spaces.
_COLUMN = re.compile(r"\S(?:\s{2,}|\t)\S")
_TABLE_ROWS = 3

# As many blocks whose first lines have the same shape are records.
_RECORDS = 3

# A line of a record that is longer has a text, not what names the record.
_LONGEST_NAME = 200

_TAB_COLUMNS = 8

# The number or mark of a list item or clause.
_NUMBERING = re.compile(r"[-*+•]|\(?[\d.]+[.)]?|\(?\w[.)]")
_QUOTES_AND_STOPS = ",.;:!?\"'()“”‘’"
_ENDS_A_SENTENCE = re.compile(r"[.!?。！？।؟][\"'”’)\]]*$")

# Share of lines that begin alike with a path, a number or another mark; sentences do not.
_OUTPUT_SHARE = 0.5
_SENTENCE_SHARE = 0.5
_BEYOND_DOUBT = 0.9
_OUTPUT_LINES = 5

# Depths within one indentation: a title, what heads a block below it, and the lines of the block.
_LEVELS = 4


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that is not blank."""

    span: Span
    """Its place, with its line end."""

    shown: str
    """The line as a terminal shows it, without white space at its ends."""

    indent: int
    """Columns of white space before it."""

    opens_block: bool
    """True if it is the first line, or follows a blank line."""

    @property
    def shape(self) -> str:
        """The line's key or first word without what differs between lines of its kind."""
        key = _KEY.match(self.shown)
        if key:
            return f"{_NUMBER.sub('0', key[1])}:"
        word = self.shown.split(None, 1)[0] if self.shown else ""
        if _PATH.fullmatch(word):
            return "/"
        if _HASH.fullmatch(word):
            return "#"
        return _LETTERS.sub("a", _NUMBER.sub("0", word))


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSplitter(OutlineSplitter):
    """Splits the output of a program into lines and small blocks.

    Indented lines need the line above them that is indented less; the lines of a block need the
    line that heads it: a title between marks, a line that ends with a colon, the header of a table,
    or the first line of a record.
    """

    max_unit_chars: PositiveInt = 400
    """Characters of a block up to which it is one unit; larger ones are opened."""

    def parse(self, text: str) -> Outline:
        """Find the lines of `text` and what heads them."""
        outline = Outline(text)
        lines = list(_lines(text))
        add_entries(outline, _Reading(lines).entries(), self.max_unit_chars)
        return outline


class _Reading:
    """One pass over the lines of a text."""

    def __init__(self, lines: Sequence[_Line]) -> None:
        """Look for records."""
        self._lines = lines
        self._opening = _record_shapes(lines)
        self._entries: list[Entry] = []
        self._titled: dict[int, bool] = {}  # by indentation: is there a title above?
        self._headed: int | None = None  # the indentation of the lines of the open block

    def entries(self) -> list[Entry]:
        """Return an entry for each line, with its depth."""
        index = 0
        while index < len(self._lines):
            index += self._take(index)
        return self._entries

    def _take(self, index: int) -> int:
        """Add the entry at a line, and return its number of lines."""
        line = self._lines[index]
        if self._headed is not None and (line.indent < self._headed or self._ends_block(line)):
            self._headed = None
        is_title = bool(_TITLE.match(line.shown))
        if is_title:
            self._headed = None
            self._titled = {indent: True for indent in self._titled if indent < line.indent}
        count = 1 if is_title else self._head_lines(index)
        if count and self._headed == line.indent:
            self._headed = None
        level = 0 if is_title else int(self._is_titled(line)) + (self._headed == line.indent)
        last = self._lines[index + max(1, count) - 1]
        self._entries.append(
            Entry(line.span.start, last.span.end, last.span.end, line.indent * _LEVELS + level)
        )
        if is_title:
            self._titled[line.indent] = True
        elif count:
            self._headed = line.indent
        return max(1, count)

    def _is_titled(self, line: _Line) -> bool:
        return any(indent <= line.indent for indent in self._titled)

    def _ends_block(self, line: _Line) -> bool:
        return line.opens_block and line.indent == self._headed

    def _head_lines(self, index: int) -> int:
        """Return how many lines from here on head the lines below; 0 if this one heads none."""
        line = self._lines[index]
        following = self._block(index)
        if not following:
            return 0
        if line.opens_block and line.shape in self._opening:
            return 1
        if _LEAD_IN.fullmatch(line.shown):
            return 1
        return int(line.opens_block and _heads_a_table([line, *following]))

    def _block(self, index: int) -> Sequence[_Line]:
        """Return the first lines after a line up to the next block, of the same indentation."""
        indent = self._lines[index].indent
        found = []
        for line in self._lines[index + 1 : index + 1 + _TABLE_ROWS]:
            if line.opens_block or line.indent < indent:
                break
            found.append(line)
        return found


def looks_like_output(text: str) -> bool:
    """Return True if most lines begin with a path, a number or a mark as others do."""
    lines = list(_lines(text))
    shapes = Counter(line.shape for line in lines if _begins_with_a_mark(line))
    share = sum(n for n in shapes.values() if n >= _RECORDS) / max(1, len(lines))
    if len(lines) < _OUTPUT_LINES or share < _OUTPUT_SHARE:
        return False
    sentences = sum(bool(_ENDS_A_SENTENCE.search(line.shown)) for line in lines)
    return share >= _BEYOND_DOUBT or sentences < _SENTENCE_SHARE * len(lines)


def looks_like_records(text: str) -> bool:
    """Return True if most blocks between blank lines have the same first key, and further keys."""
    lines = list(_lines(text))
    shapes = _record_shapes(lines)
    blocks = records = 0
    for line, following in pairwise([*lines, None]):
        if line is None or not line.opens_block:
            continue
        blocks += 1
        is_keyed = line.shape.endswith(":") and line.shape in shapes
        records += is_keyed and bool(
            following and not following.opens_block and _KEY.match(following.shown)
        )
    return records >= _RECORDS and 2 * records > blocks


def _begins_with_a_mark(line: _Line) -> bool:
    word = line.shown.split(None, 1)[0]
    is_plain = word.strip(_QUOTES_AND_STOPS).isalpha() and not _HASH.fullmatch(word)
    return not (is_plain or _NUMBERING.fullmatch(word))


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines that are not blank."""
    opens_block = True
    for span in source_lines(text):
        shown = as_shown(text[span.start : span.end])
        words = shown.strip()
        if words:
            indented = shown[: len(shown) - len(shown.lstrip())].expandtabs(_TAB_COLUMNS)
            yield _Line(span, words, len(indented), opens_block)
        opens_block = not words


def _record_shapes(lines: Sequence[_Line]) -> set[str]:
    """Return the shapes of lines that open a block at least three times, and are rare within."""
    opening = Counter(line.shape for line in lines if line.opens_block)
    inside = Counter(line.shape for line in lines if not line.opens_block)
    return {
        shape
        for shape, count in opening.items()
        if count >= _RECORDS and inside[shape] * _RECORDS <= count
    }


def _heads_a_table(lines: Sequence[_Line]) -> bool:
    """Return True if the first of some lines is the header of columns aligned by spaces."""
    header, *rows = lines
    if len(rows) < _TABLE_ROWS - 1 or _NUMBER.fullmatch(header.shown.split(None, 1)[0]):
        return False
    is_named = header.shown.isupper() or len(_COLUMN.findall(header.shown)) > 1
    has_numbers = any(word.isdigit() for word in header.shown.split())
    return is_named and not has_numbers and all(_COLUMN.search(row.shown) for row in rows)
