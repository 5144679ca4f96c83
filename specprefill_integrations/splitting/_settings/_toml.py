"""Entries of a TOML file: tables and keys, including values of several lines.

Reads only the starts of lines and the ends of values, so broken files work too. INI files work as
far as they look like TOML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from specprefill_integrations.splitting._entries import Entry, EntryReading
from specprefill_integrations.types import Span

_WORD = r"(?:[^\s\"'.=\[\]{}#,]{1,200}|\"(?:[^\"\\\r\n]|\\.){0,200}\"|'[^'\r\n]{0,200}')"
_NAME = rf"{_WORD}(?:[ \t]*\.[ \t]*{_WORD}){{0,50}}[ \t]*"
_LINE = re.compile(
    rf"\ufeff?[ \t]*(?:(?P<comment>#)|(?P<key>{_NAME}=)"
    rf"|(?P<brackets>\[\[?)[ \t]*(?P<table>{_NAME})\]\]?[ \t]*(?:[#\r\n]|\Z))"
)
_PART = re.compile(_WORD)

# The tokens of a value that determine its end.
_TOKEN = regex.compile(
    r"\"{3}(?:[^\"\\]++|\\.|\"{1,2}(?!\"))*+\"{3,5}|'{3}.*?'{3,5}"
    r"|\"(?:[^\"\\\r\n]++|\\[^\r\n])*+\"|'[^'\r\n]*+'|#[^\r\n]*+"
    r"|\\[^\r\n]|(?P<opens>[\[{])|(?P<closes>[\]}])|(?P<line_end>\r\n?|\n)",
    regex.DOTALL,
)

# The start of a nested array, which could be taken for a table.
_ELEMENT = re.compile(r"(?:[\"'+-]|\d|true\b|false\b|inf\b|nan\b)")

# Deeper tables are treated as siblings.
_DEEPEST = 20


def toml_entries(text: str) -> list[Entry]:
    """The entries of a TOML file, in order."""
    return _Reading(text).read()


class _Reading(EntryReading):
    """One pass over the lines of a file."""

    def __init__(self, text: str) -> None:
        """Start before the first line, outside of all tables."""
        super().__init__(text)
        self._tables: list[list[str]] = []  # names of the open tables, outermost first
        self._is_unnamed = False  # the last line was `[[...]]`: its first key names the element

    def _take_entry(self) -> None:
        """Add the entry at the current line."""
        line = self._lines[self._index]
        found = self._match(self._index)
        self._index += 1
        if found and found["comment"]:
            self._entries.add_comment(line, 0)
        elif found and found["table"]:
            self._open_table(_PART.findall(found["table"]))
            self._entries.add(line, len(self._tables) - 1, head_end=line.end)
            self._is_unnamed = found["brackets"] == "[["
        elif found:
            self._take_key(line, found.end())
        else:
            self._entries.add(line, len(self._tables))

    def _open_table(self, name: list[str]) -> None:
        """Close the tables that do not contain this one, and open it."""
        while self._tables and not _is_within(name, self._tables[-1]):
            self._tables.pop()
        del self._tables[_DEEPEST - 1 :]
        self._tables.append(name)

    def _take_key(self, line: Span, value_start: int) -> None:
        """Add a key with its value; the first key of an array element joins its `[[...]]` line."""
        end = self._value_end(value_start)
        while self._index < len(self._lines) and self._lines[self._index].start < end:
            self._index += 1
        last = self._lines[self._index - 1]
        if self._is_unnamed and last == line and not self._entries.has_comment:
            self._entries.extend(line.end, is_head=True)
        else:
            self._entries.add(Span(line.start, last.end), len(self._tables), head_end=line.end)
        self._is_unnamed = False

    def _value_end(self, start: int) -> int:
        """The end of the line that closes a value, or that the next entry follows."""
        open_brackets: list[str] = []
        for token in _TOKEN.finditer(self._text, start):
            if token["opens"]:
                open_brackets.append(token["opens"])
            elif token["closes"]:
                del open_brackets[-1:]
            elif token["line_end"] and self._ends_value(token.end(), open_brackets):
                return int(token.start())
        return len(self._text)

    def _ends_value(self, position: int, open_brackets: Sequence[str]) -> bool:
        """True if a value ends before a line, by its brackets or because one is missing."""
        if not open_brackets:
            return True
        found = _LINE.match(self._text, position)
        if found and found["table"]:
            return not _ELEMENT.match(found["table"])
        return bool(found and found["key"] and open_brackets[-1] == "[")

    def _match(self, index: int) -> re.Match[str] | None:
        """Match the start of a line."""
        return _LINE.match(self._text, *self._lines[index])


def _is_within(name: list[str], table: list[str]) -> bool:
    """True if a table is inside another one."""
    return len(name) > len(table) and name[: len(table)] == table
