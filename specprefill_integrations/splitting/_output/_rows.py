"""Rows of a program's output: lines, each with the rules and carets below it, as they are shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from specprefill_integrations.splitting._lines import as_shown, source_lines
from specprefill_integrations.types import Span

KEY = re.compile(r"([^\W\d_][\w ./-]{0,30}):(?:\s|$)")
"""A key before its value, such as `Title: Prices`."""

_PATH = re.compile(r"[\w.~-]*(?:/[\w.@+-]*)+|[\w-]+\.[a-z]\w{0,4}")
_HASH = re.compile(r"(?=[a-f]*\d)[\da-f]{7,64}|[a-f]{7,8}")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_LETTERS = re.compile(r"[^\W\d_]+")

_CONTENT = re.compile(r"[^\W_]")
_RULE = re.compile(r"[-=~*#_+|:<>─━═┄┌┬┐├┼┤└┴┘│╞╪╡ ]{3,400}")
_RULE_OF_TITLE = re.compile(r"(?:-{3,}|={3,}|~{3,}|\*{3,}|#{3,}|_{3,}|─{3,}|━{3,}|═{3,})$")

# White space, and what draws the branches of a tree.
_INDENTATION = re.compile(r"(?:\s|[│├└─┬╰╭]|(?:\|   ){1,9}(?=[|`+\\])|[|`+\\]-{1,2} )*")
_TAB_COLUMNS = 8

# Characters of a line with the rules and carets that are joined to it.
_JOINED_CHARS = 400

# As many numbers that end at the same column are a column.
_ALIGNED_ROWS = 3

# So many lines begin with the same word if it is a prefix.
_PREFIXED_LINES = 8
_PREFIXED_SHARE = 0.9

# Escaped line breaks in a text that has no others, as in a `repr`.
_QUOTED = re.compile(r"\s*[brBR]{0,2}[\"']")
_ESCAPE_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line with content, and lines without any that belong to it."""

    span: Span
    """Its place, with line ends."""

    shown: str
    """The line as a terminal shows it, without white space at its ends."""

    indent: int
    """Columns of white space before it."""

    opens_block: bool
    """True if it is the first row, or follows a blank line or a rule between records."""

    rule: str = ""
    """The line of dashes or other marks below it, if any."""

    shape: str = field(init=False)
    """Its key or first word, without what differs between rows of its kind."""

    def __post_init__(self) -> None:
        """Find the shape."""
        object.__setattr__(self, "shape", shape(self.shown))

    @property
    def is_marked(self) -> bool:
        """True if it begins with a key, a path, a number or a mark, not with a word."""
        return not self.shape.isalpha()

    @property
    def has_columns(self) -> bool:
        """True if the rule below it has columns, as that of a table."""
        return bool(self.rule) and not _RULE_OF_TITLE.fullmatch(self.rule)

    @property
    def is_underlined(self) -> bool:
        """True if the rule below it has no columns, as that of a title."""
        return self.opens_block and bool(_RULE_OF_TITLE.fullmatch(self.rule))


def output_rows(text: str) -> list[Row]:
    """The rows of a text."""
    found: list[Row] = []
    opens_block = True
    waiting: Span | None = None  # lines without content, for the next row
    spans = list(_lines(text))
    lines = [as_shown(text[span.start : span.end]) for span in spans]
    prefix = shared_prefix(lines)
    for span, line in zip(spans, lines, strict=True):
        shown = line.lstrip().removeprefix(prefix) if prefix else line
        words = shown.strip()
        if not words:
            opens_block = True
        elif _CONTENT.search(words):
            joined = Span(waiting.start if waiting else span.start, span.end)
            indent = _INDENTATION.match(shown)
            columns = len((indent[0] if indent else "").expandtabs(_TAB_COLUMNS))
            found.append(Row(span=joined, shown=words, indent=columns, opens_block=opens_block))
            opens_block, waiting = False, None
        elif not opens_block and not waiting and span.end - found[-1].span.start <= _JOINED_CHARS:
            opens_block = _join(found, span, words)
        elif waiting and span.end - waiting.start > _JOINED_CHARS:
            found.append(Row(span=waiting, shown="", indent=0, opens_block=True))
            waiting = span
        else:
            waiting = Span(waiting.start if waiting else span.start, span.end)
    if waiting:
        found.append(Row(span=waiting, shown="", indent=0, opens_block=True))
    return _aligned(found)


def shared_prefix(lines: Sequence[str]) -> str:
    """The first word of nearly all lines, such as `==42==` or `npm`; empty if there is none."""
    first = Counter(line.split(None, 1)[0] for line in lines if not line.isspace() and line)
    [(word, count)] = first.most_common(1) or [("", 0)]
    is_shared = count >= max(_PREFIXED_LINES, _PREFIXED_SHARE * first.total())
    return word if is_shared and _CONTENT.search(word) and not KEY.match(word) else ""


def blocks(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """The first index of each block, and one past its last."""
    starts = [index for index, row in enumerate(rows) if row.opens_block]
    return pairwise([*starts, len(rows)])


def is_escaped(text: str) -> bool:
    """Return True if a text is quoted and its line breaks are escaped, as in a `repr`."""
    if not _QUOTED.match(text) or "\n" in text.strip():
        return False
    return text.count(r"\n") >= _ESCAPED_LINES


def _join(found: list[Row], span: Span, words: str) -> bool:
    """Join a line without content to the row above.

    Returns:
        True if it separates that row from the next.
    """
    row = found[-1]
    rule = words if _RULE.fullmatch(words) else ""
    joined = replace(row, span=Span(row.span.start, span.end), rule=row.rule or rule)
    found[-1] = joined
    if joined.has_columns and not row.rule and len(found) > 1 and found[-2].opens_block:
        return False  # the row is the header of a table, below its caption
    return bool(rule) and (not row.opens_block or bool(row.rule))


def _lines(text: str) -> Iterator[Span]:
    if not is_escaped(text):
        yield from source_lines(text)
        return
    start = 0
    for pair in _ESCAPE_PAIR.finditer(text):
        if pair[1] == "n":
            yield Span(start, pair.end())
            start = pair.end()
    yield Span(start, len(text))


def _aligned(rows: list[Row]) -> list[Row]:
    """Rows whose first words are aligned at their ends, such as sizes, are indented alike."""
    for first, end in list(blocks(rows)):
        ends = [row.indent + len(row.shown.partition(" ")[0]) for row in rows[first:end]]
        [(column, count)] = Counter(ends).most_common(1)
        if count < max(_ALIGNED_ROWS, len(ends) // 2):
            continue
        aligned = [first + index for index, found in enumerate(ends) if found == column]
        least = min(rows[index].indent for index in aligned)
        for index in aligned:
            rows[index] = replace(rows[index], indent=least)
    return rows


def shape(shown: str) -> str:
    """The key or first word of a line, without what differs between lines of its kind."""
    key = KEY.match(shown)
    if key:
        return f"{_NUMBERS.sub('0', key[1])}:"
    word = shown.split(None, 1)[0] if shown else ""
    if word.isalpha():
        return word.casefold()
    if _PATH.fullmatch(word):
        return "/"
    return "#" if _HASH.fullmatch(word) else _LETTERS.sub("a", _NUMBERS.sub("0", word))
