"""Statements of SQL, and the rows of long `INSERT` and `COPY` statements with what names them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import regex

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._finer import trimmed
from specprefill_integrations.splitting._lines import source_lines, without_blank_ends
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.types import Span

# The end of a match that splits no grapheme cluster.
_CUT = r"(?![\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}])"

# What determines where statements and rows end.
_TOKEN = regex.compile(
    r"'(?:[^'\\]++|\\.|'')*+(?:'|\Z)|\"[^\"]*+(?:\"|\Z)|`[^`]*+(?:`|\Z)"
    r"|--[^\r\n]*+|/\*.*?(?:\*/|\Z)"
    r"|(?P<dollar>\$[A-Za-z_]{0,30}\$).*?(?:(?P=dollar)|\Z)"
    rf"|(?P<opens>(?<!\p{{GCB=Prepend}})\()|(?P<closes>\))|(?P<ends>;{_CUT})",
    regex.DOTALL,
)
_TABLE = r"[`\"\[\w$.\]]{1,200}"
_INSERT = regex.compile(
    rf"(?:INSERT|REPLACE)\s+(?:\w+\s+){{0,3}}INTO\s+(?P<table>{_TABLE})[^()';]{{0,200}}"
    rf"(?P<columns>\([^()']{{0,5000}}\))?\s*VALUES\s*+{_CUT}",
    regex.IGNORECASE,
)
_COPY = regex.compile(
    rf"COPY\s+{_TABLE}\s*(?:\([^()]{{0,5000}}\))?\s*FROM\s+stdin[^;]{{0,200}};[ \t]*+{_CUT}",
    regex.IGNORECASE,
)
_CREATE = regex.compile(
    rf"CREATE\s+(?:\w+\s+){{0,3}}TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<table>{_TABLE})",
    regex.IGNORECASE,
)
_END_OF_COPY = regex.compile(r"^\\\.[ \t]*$", regex.MULTILINE)

# A table's definition of more characters is not needed by its rows.
_DEFINITION_CHARS = 600


_STATEMENT = regex.compile(
    r"[ \t]{0,20}(?:(?:INSERT|REPLACE)\s+INTO\s|CREATE\s+(?:\w+\s+){0,3}"
    r"(?:TABLE|INDEX|VIEW|DATABASE"
    r"|SCHEMA|SEQUENCE|TRIGGER|FUNCTION)\s|DROP\s+\w+\s|ALTER\s+TABLE\s|COPY\s.{1,400}\sFROM\s+stdin"
    r"|DELETE\s+FROM\s|UPDATE\s+\S{1,100}\s+SET\s|LOCK\s+TABLES\s|(?:BEGIN|COMMIT);|SELECT\s.{0,200}\sFROM\s)",
    regex.IGNORECASE,
)
_LEAST_STATEMENTS = 2
_FIRST_LINES = 8
_HEAD_CHARS = 20_000
_LINE_CHARS = 500


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSplitter(OutlineSplitter):
    """Splits SQL into statements with the comments above them, and long `INSERT`s into rows.

    A row needs the line with the table and its columns; without columns there, also the short
    definition of the table above.
    """

    heads_stand_alone: ClassVar[bool] = True
    """The definition of a table may be all that a question needs."""

    def parse(self, text: str) -> Outline:
        """Find the statements of `text`."""
        reading = _Reading(text, self.max_unit_chars)
        reading.read()
        return reading.outline


class _Reading:
    """One pass over the statements of a text."""

    def __init__(self, text: str, max_chars: int) -> None:
        """Start before the first statement."""
        self.outline = Outline(text)
        self._text = text
        self._most = max_chars
        self._definitions: dict[str, Needs] = {}

    def read(self) -> None:
        """Read all statements."""
        start = position = 0
        rows: list[Span] = []  # of the statement, from one bracket to the next
        depth = 0
        while True:
            token = _TOKEN.search(self._text, position)
            if token is None:
                break
            position = token.end()
            if token["opens"]:
                rows += [] if depth else [Span(token.start(), position)]
                depth += 1
            elif token["closes"] and depth:
                depth -= 1
                rows[-1] = rows[-1] if depth else Span(rows[-1].start, position)
            elif token["ends"]:
                position = self._add_statement(Span(start, position), rows)
                start, rows, depth = position, [], 0
        self._add_statement(Span(start, len(self._text)), rows)

    def _add_statement(self, span: Span, rows: list[Span]) -> int:
        """Add a statement.

        Returns:
            The end of what belongs to it.
        """
        content = trimmed(self._text, span)
        words = self._first_words(content)
        copy = _COPY.match(self._text, words, content.end)
        if copy:
            return self._add_copy(content, copy)
        insert = _INSERT.match(self._text, words, content.end)
        whole = without_blank_ends(self._text, span)
        created = _CREATE.match(self._text, words, content.end)
        if insert and whole.end - whole.start > self._most:
            self._add_insert(whole, insert, rows)
            return span.end
        first = len(self.outline.spans)
        head_end = self._text.find("\n", words, whole.end)
        head = Span(whole.start, head_end if head_end >= 0 else whole.end)
        self.outline.add_headed(head, whole.end, (), self._most)
        if created and whole.end - whole.start <= _DEFINITION_CHARS:
            added = tuple(range(first, len(self.outline.spans)))
            self._definitions[_name(created["table"])] = added
        return span.end

    def _add_insert(self, span: Span, insert: regex.Match[str], rows: list[Span]) -> None:
        """Add the rows of an `INSERT`."""
        table = self._definitions.get(_name(insert["table"]), ())
        needs = () if insert["columns"] else table
        needs = self.outline.add_heading(Span(span.start, insert.end()), needs, self._most)
        _, *others = [row.start for row in rows if row.start >= insert.end()] or [0]
        for a, b in pairwise([insert.end(), *others, span.end]):
            self.outline.add_lines(trimmed(self._text, Span(a, b)), needs, self._most)

    def _add_copy(self, content: Span, copy: regex.Match[str]) -> int:
        """Add the rows of a `COPY`, which go on up to a line with a backslash and a full stop."""
        closing = _END_OF_COPY.search(self._text, copy.end())
        end = closing.end() if closing else len(self._text)
        head = Span(content.start, copy.end())
        needs = self.outline.add_heading(head, (), self._most)
        for line in source_lines(self._text, Span(copy.end(), end)):
            self.outline.add_lines(line, needs, self._most)
        return end

    def _first_words(self, content: Span) -> int:
        """The start of a statement behind the comments above it."""
        position = content.start
        for token in _TOKEN.finditer(self._text, content.start, content.end):
            is_comment = token[0].startswith(("--", "/*"))
            if not is_comment or self._text[position : token.start()].strip():
                break
            position = token.end()
        return trimmed(self._text, Span(position, content.end)).start


def _name(table: str) -> str:
    """The name of a table without quotes and schema, to compare."""
    return table.translate({ord(mark): None for mark in '`"[]'}).rpartition(".")[2].casefold()


def looks_like_sql(head: str) -> bool:
    """True if the first line that is no comment starts a statement, and others do."""
    lines = [head[a:b] for a, b in source_lines(head[:_HEAD_CHARS])]
    words = [line for line in lines if not line.startswith(("--", "/*", "#", " ", "\t"))]
    starts = [bool(_STATEMENT.match(line[:_LINE_CHARS])) for line in words if line.strip()]
    ends = any(line.rstrip().endswith(";") for line in lines)
    return (
        ends
        and bool(starts)
        and sum(starts) >= min(_LEAST_STATEMENTS, len(lines) // 4 + 1)
        and any(starts[:8])
    )
