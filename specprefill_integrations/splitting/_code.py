"""Source code -> definitions, imports and blocks of statements, each with what it stands in.

Where a text is no code of a known language, or the extra `code` is not installed, indentation is
the structure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from specprefill_integrations.splitting._code_cutting import CodeCutter, Scope
from specprefill_integrations.splitting._code_regions import Lines
from specprefill_integrations.splitting._code_tree import as_ascii, parse
from specprefill_integrations.splitting._guess_language import guess_language
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSplitter(Splitter[CodeCutter]):
    """Cuts source code into units that a reader would keep whole.

    A small function is one unit with its decorators and the comment above it; of a large one the
    signature is a unit, and the body is cut at statements. The line that opens a class is a unit
    that its members need.

    Raises:
        ValueError: `max_unit_chars` is less than 1.
    """

    language: str | None = None
    """What the code is written in, as `guess_language` says it; guessed where not given."""

    max_unit_chars: int = 1_200
    """Characters of a unit; a longer definition is opened. Statements that follow each other are
    joined up to a third of it."""

    heads_stand_alone: ClassVar[bool] = True
    """A signature may be all that a question needs of a function."""

    def __post_init__(self) -> None:
        """Reject a size that no unit can have."""
        if self.max_unit_chars < 1:
            msg = f"max_unit_chars must be at least 1; got {self.max_unit_chars!r}."
            raise ValueError(msg)

    def with_max_unit_chars(self, max_unit_chars: int) -> CodeSplitter:
        """Return this splitter with smaller units; itself if its units are no larger already."""
        if max_unit_chars >= self.max_unit_chars:
            return self
        return replace(self, max_unit_chars=max_unit_chars)

    def units(self, text: str, parsed: CodeCutter) -> list[Span]:  # noqa: ARG002
        """Return the units: together everything but the white space of `text`."""
        return list(parsed.units)

    def links(
        self, text: str, units: Sequence[Span], parsed: CodeCutter | None = None
    ) -> list[tuple[int, ...]]:
        """Return the headers that each unit stands below, outermost first."""
        return _closed(_headers(units, (parsed or self.parse(text)).scopes))

    def parse(self, text: str) -> CodeCutter:
        """Parse `text` and cut it."""
        source = as_ascii(text)
        cutter = CodeCutter(text, Lines(source), self.max_unit_chars)
        cutter.cut(parse(source, self.language or guess_language(text)))
        return cutter


def _headers(units: Sequence[Span], scopes: Iterable[Scope]) -> list[set[int]]:
    """For each unit the headers of the scopes that it starts in."""
    starts = [unit.start for unit in units]
    waiting = sorted(scopes, key=lambda scope: (scope.start, -scope.end), reverse=True)
    around: list[tuple[int, int]] = []  # where the scope ends, its header
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
    """What each unit needs, with what those need."""
    closed = []
    for index, needed in enumerate(needs):
        found: set[int] = set()
        waiting = set(needed)
        while waiting:
            found |= waiting
            waiting = set().union(*(needs[i] for i in waiting)) - found
        closed.append(tuple(sorted(found - {index})))
    return closed
