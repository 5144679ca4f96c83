"""A text in numbered lines, long lines in several pieces. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lines import source_lines
from specprefill_integrations.types import Span

# Longer lines, such as minified JSON, are cut into pieces.
_PIECE_CHARS = 300


@dataclass(frozen=True)
class NumberedText:
    """Maps lines, pieces and character positions of a text onto each other.

    Lines are numbered from 1.
    """

    text: str
    """The original."""

    @cached_property
    def lines(self) -> list[Span]:
        """All lines, line ends included."""
        return source_lines(self.text)

    @cached_property
    def pieces(self) -> list[Span]:
        """All lines, long ones in several pieces; together they are the whole text."""
        return [piece for line in self.lines for piece in _pieces_of(self.text, line)]

    def pieces_of_lines(self, first: int, last: int) -> range:
        """Return the indices of the pieces of some lines.

        Args:
            first: Number of the first line.
            last: Number of the last line.
        """
        starts = self._piece_starts
        return range(
            bisect_left(starts, self.lines[first - 1].start),
            bisect_left(starts, self.lines[last - 1].end),
        )

    def pieces_with(self, words: str) -> list[int]:
        """Return the indices of the pieces in which a phrase begins.

        Args:
            words: The phrase, not blank; case and white space do not matter.
        """
        pattern = re.compile(r"\s+".join(map(re.escape, words.split())), re.IGNORECASE)
        starts = (m.start() for m in pattern.finditer(self.text))
        return list(dict.fromkeys(bisect_right(self._piece_starts, at) - 1 for at in starts))

    def lines_of(self, pieces: Iterable[int]) -> list[int]:
        """Return the numbers of the lines of some pieces, ascending."""
        return sorted({self._lines_of_pieces[piece] for piece in pieces})

    def name_of(self, span: Span) -> str:
        """Name a part of the text by its lines, such as "lines 3-7" or "part of line 2".

        Args:
            span: The part, not empty, from one border between pieces to another.
        """
        first, last = self._line_at(span.start), self._line_at(span.end - 1)
        name = f"line {first}" if first == last else f"lines {first}-{last}"
        is_whole = span == (self.lines[first - 1].start, self.lines[last - 1].end)
        return name if is_whole else f"part of {name}"

    def _line_at(self, position: int) -> int:
        return bisect_right(self._line_starts, position)

    @cached_property
    def _lines_of_pieces(self) -> list[int]:
        return [self._line_at(piece.start) for piece in self.pieces]

    @cached_property
    def _line_starts(self) -> list[int]:
        return [line.start for line in self.lines]

    @cached_property
    def _piece_starts(self) -> list[int]:
        return [piece.start for piece in self.pieces]


def _pieces_of(text: str, line: Span) -> list[Span]:
    """Cut a long line at sensible places; white space between pieces belongs to them."""
    if line.end - line.start <= _PIECE_CHARS:
        return [line]
    found = split_oversized(text, trimmed(text, line), _PIECE_CHARS)
    borders = [line.start, *(piece.start for piece in found[1:]), line.end]
    return [Span(a, b) for a, b in pairwise(borders)]
