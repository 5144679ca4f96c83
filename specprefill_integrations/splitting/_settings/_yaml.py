"""Entries of a YAML file: documents, keys and list items, including values of several lines.

Reads only indentation, the starts of lines and the ends of values, so broken files work too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

from specprefill_integrations.splitting._entries import Entry, EntryReading
from specprefill_integrations.types import Span

# Template lines (`{{ ... }}`, `{% ... %}`) count as comments.
_LINE = re.compile(
    r"\ufeff?(?P<indent>[ \t]*)(?:(?P<comment>#|\{\{|\{%)"
    r"|(?P<separator>(?<![ \t])(?:---|\.\.\.)(?=\s|\Z))"
    r"|(?P<items>(?:[-?](?:[ \t]+|(?=[\r\n]|\Z)))*)"
    r"(?P<key>(?:\"(?:[^\"\\\r\n]|\\.){0,200}\"|'[^'\r\n]{0,200}'"
    r"|(?!['\"#&*!|>%@`\[\]{}])(?:[^:#\s]|:(?=\S)|(?<=\S)#|[ \t]){1,200}?):(?=\s|\Z))?)"
)
_VALUE = re.compile(r"[ \t]*(?:[&!]\S*[ \t]+)*(?P<mark>[|>\[{\"']?)")
_BLOCK_MARKS = frozenset("|>")

# The tokens of a bracketed or quoted value that determine its end.
_TOKEN = regex.compile(
    r"(?<=[\s\[{,:])(?:\"(?:[^\"\\]++|\\.)*+\"|'(?:[^']++|'')*+'|#[^\r\n]*+)"
    r"|(?P<opens>[\[{])|(?P<closes>[\]}])|(?P<line_end>[\r\n])",
    regex.DOTALL,
)
_CLOSES = re.compile(r"[ \t]*[\]}]")

# A bracket or quote that is still open after this many characters is never closed.
_BRACKETED_CHARS = 20_000


def yaml_entries(text: str) -> list[Entry]:
    """The entries of a YAML file, in order."""
    return _Reading(text).read()


class _Reading(EntryReading):
    """One pass over the lines of a file."""

    def __init__(self, text: str) -> None:
        """Start before the first line."""
        super().__init__(text)
        self._column = -1  # of the key or item that the next lines may continue

    def _take_entry(self) -> None:
        """Add the entry at the current line."""
        line = self._lines[self._index]
        found = self._match(self._index)
        indent = len(found["indent"])
        depth = 2 * indent + bool(found["items"])  # a list may stand as far left as its key
        self._index += 1
        if found["comment"]:
            self._entries.add_comment(line, depth)
        elif found["separator"]:
            self._entries.add(line, -1, head_end=line.end)
            self._take_value(found.end(), -1)
        elif found["key"] or found["items"]:
            self._entries.add(line, depth, head_end=line.end)
            column = found.start("key") - line.start if found["key"] else indent
            self._take_value(found.end(), column)
        elif indent > self._column >= 0 and not self._entries.has_comment:
            self._entries.extend(line.end)
        else:
            self._entries.add(line, depth)

    def _take_value(self, start: int, column: int) -> None:
        """Skip the lines of a value whose key or item starts in a column."""
        self._column = column
        value = _VALUE.match(self._text, start)
        if not value or not value["mark"]:
            return
        if value["mark"] in _BLOCK_MARKS:
            lines = list(self._deeper_lines(column))
        else:
            lines = self._bracketed_lines(value.start("mark"), column)
        if lines:
            self._index += len(lines)
            self._entries.extend(lines[-1].end)

    def _bracketed_lines(self, start: int, column: int) -> list[Span]:
        """The further lines of a bracketed or quoted value; none if it is never closed."""
        lines = []
        for line in self._deeper_lines(column, and_closing=True):
            if line.end - start > _BRACKETED_CHARS:
                break
            lines.append(line)
        end = self._bracketed_end(Span(start, lines[-1].end)) if lines else start
        return [line for line in lines if line.start < end]

    def _bracketed_end(self, span: Span) -> int:
        """The end of the line that closes a value; the value's start if none does."""
        depth = 0
        for token in _TOKEN.finditer(self._text, *span):
            depth += bool(token["opens"]) - bool(token["closes"])
            if token["line_end"] and depth <= 0:
                return int(token.start())
        return span.start if depth > 0 else span.end

    def _deeper_lines(self, column: int, *, and_closing: bool = False) -> Iterator[Span]:
        """The next lines with deeper indentation, optionally with a closing bracket below."""
        for index in range(self._index, len(self._lines)):
            found = self._match(index)
            if found["separator"] or len(found["indent"]) <= column:
                if and_closing and _CLOSES.match(self._text, *self._lines[index]):
                    yield self._lines[index]
                return
            yield self._lines[index]

    def _match(self, index: int) -> re.Match[str]:
        """Match the start of a line."""
        found = _LINE.match(self._text, *self._lines[index])
        assert found, "each part of the expression may be missing"
        return found
