"""A text by its lines, counted from 1, in pieces small enough to be shown one by one. Pure."""

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

# Longer lines, such as JSON without line breaks, come in several pieces.
_PIECE_CHARS = 300


@dataclass(frozen=True)
class NumberedText:
    """Knows which lines stand where, and what to call a part of the text."""

    text: str
    """The original."""

    @cached_property
    def lines(self) -> list[Span]:
        """All lines, each with what ends it."""
        return source_lines(self.text)

    @cached_property
    def pieces(self) -> list[Span]:
        """The lines again, long ones in parts; together they are the whole text."""
        return [piece for line in self.lines for piece in _pieces_of(self.text, line)]

    def pieces_of_lines(self, first: int, last: int) -> range:
        """The indices of the pieces of some lines.

        Args:
            first: Number of the first of them.
            last: Number of the last of them.
        """
        starts = self._piece_starts
        return range(
            bisect_left(starts, self.lines[first - 1].start),
            bisect_left(starts, self.lines[last - 1].end),
        )

    def pieces_with(self, words: str) -> list[int]:
        """The indices of the pieces in which some words begin, in any case, with any white space.

        Args:
            words: The words; at least one.
        """
        pattern = re.compile(r"\s+".join(map(re.escape, words.split())), re.IGNORECASE)
        starts = (m.start() for m in pattern.finditer(self.text))
        return list(dict.fromkeys(bisect_right(self._piece_starts, at) - 1 for at in starts))

    def lines_of(self, pieces: Iterable[int]) -> list[int]:
        """The numbers of the lines that some pieces belong to, ascending."""
        return sorted({self._lines_of_pieces[piece] for piece in pieces})

    def name_of(self, span: Span) -> str:
        """What a reader calls a part of the text, not empty: its lines, or that it is part of some.

        Args:
            span: The part, from a border between pieces to another one.
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
    """A line, cut where it may be cut; the white space between the pieces is part of them."""
    if line.end - line.start <= _PIECE_CHARS:
        return [line]
    found = split_oversized(text, trimmed(text, line), _PIECE_CHARS)
    borders = [line.start, *(piece.start for piece in found[1:]), line.end]
    return [Span(a, b) for a, b in pairwise(borders)]
