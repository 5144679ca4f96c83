"""Definitions, imports and blocks of statements of source code, linked to the enclosing headers.

For unknown languages, or without the extra `code`, indentation gives the structure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._code._cutting import CodeCutter, Scope
from specprefill_integrations.splitting._code._ends import with_ends
from specprefill_integrations.splitting._code._guess_language import guess_language
from specprefill_integrations.splitting._code._regions import Lines
from specprefill_integrations.splitting._code._tree import as_ascii, parse
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSplitter(Splitter[CodeCutter]):
    """Splits source code into units that a reader would not break.

    A small function is one unit, with its decorators and the comment above it. For a large one, the
    signature is a unit and the body is split at statements. The line that opens a class is a unit
    that its members need.

    Raises:
        ValueError: `max_unit_chars` is less than 1.
    """

    language: str | None = None
    """The programming language, see `guess_language`; None: detected from the text."""

    max_unit_chars: PositiveInt = 1_200
    """Characters of a unit; a longer definition is opened. Consecutive statements are joined up to
    a third of this."""

    heads_stand_alone: ClassVar[bool] = True
    """A signature may be all that a question needs of a function."""

    def with_max_unit_chars(self, max_unit_chars: int) -> CodeSplitter:
        """Return this splitter with smaller units; itself if its units are no larger already."""
        if max_unit_chars >= self.max_unit_chars:
            return self
        return replace(self, max_unit_chars=max_unit_chars)

    def units(self, text: str, parsed: CodeCutter) -> list[Span]:  # noqa: ARG002
        """Return the units; together they cover everything but white space."""
        return list(parsed.units)

    def links(
        self, text: str, units: Sequence[Span], parsed: CodeCutter | None = None
    ) -> list[tuple[int, ...]]:
        """Return the enclosing headers of each unit, outermost first."""
        return _closed(_headers(units, (parsed or self.parse(text)).scopes))

    def joined(
        self, text: str, spans: Sequence[Span], parsed: CodeCutter | None = None
    ) -> tuple[Span, ...]:
        """Merge kept units; a string or bracket of which a part is kept gets its ends."""
        return with_ends(text, spans, (parsed or self.parse(text)).ends)

    def parse(self, text: str) -> CodeCutter:
        """Parse and split `text`."""
        source = as_ascii(text)
        cutter = CodeCutter(text, Lines(source), self.max_unit_chars)
        cutter.cut(parse(source, self.language or guess_language(text)))
        return cutter


def _headers(units: Sequence[Span], scopes: Iterable[Scope]) -> list[set[int]]:
    """For each unit, the headers of the scopes around its start."""
    starts = [unit.start for unit in units]
    waiting = sorted(scopes, key=lambda scope: (scope.start, -scope.end), reverse=True)
    around: list[tuple[int, int]] = []  # end of the scope, its header
    headers = []
    for index, start in enumerate(starts):
        while waiting and waiting[-1].start <= start:
            scope = waiting.pop()
            header = bisect_right(starts, scope.header) - 1
            around.append((scope.end, header))
        around = [(end, header) for end, header in around if end > start]
        headers.append({header for _, header in around if header >= 0} - {index})
    return headers


def _closed(needs: Sequence[set[int]]) -> list[tuple[int, ...]]:
    """The transitive closure of the needs of each unit."""
    closed = []
    for index, needed in enumerate(needs):
        found: set[int] = set()
        waiting = set(needed)
        while waiting:
            found |= waiting
            waiting = set().union(*(needs[i] for i in waiting)) - found
        closed.append(tuple(sorted(found - {index})))
    return closed
