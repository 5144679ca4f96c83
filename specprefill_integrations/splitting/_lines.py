"""Lines of a text: the units of plain output, and helpers for all kinds read line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations.splitting._finer import cut_after, split_oversized, trimmed
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span

_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

# Line ends of file formats; form feeds and similar characters are part of a line.
_SOURCE_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSplitter(Splitter[None]):
    """Splits a text into its lines, without blank ones."""

    max_unit_chars: int = 600
    """Characters of a unit; longer lines are split at sentences, clauses, then words."""

    def parse(self, text: str) -> None:
        """Parse nothing: lines need no parse."""

    def units(self, text: str, parsed: None = None) -> list[Span]:  # noqa: ARG002
        """Split `text` into lines, which cover everything but white space."""
        return [
            piece
            for line in cut_after(text, Span(0, len(text)), _LINE_END)
            for piece in split_oversized(text, line, self.max_unit_chars)
        ]


def source_lines(text: str, span: Span | None = None) -> list[Span]:
    """The lines of a text or a part of it, with their line ends, including blank lines.

    Args:
        text: The original.
        span: The part; None: the whole text.
    """
    start, end = span or (0, len(text))
    return [Span(m.start(), m.end()) for m in _SOURCE_LINE.finditer(text, start, end)]


def without_blank_ends(text: str, span: Span) -> Span:
    """A span without blank lines at its start and white space at its end.

    Unlike `trimmed`, it keeps the indentation of the first line.
    """
    start, end = trimmed(text, span)
    line_start = 1 + max(text.rfind(mark, span.start, start) for mark in "\r\n")
    is_indented = line_start or span.start == 0 or text[span.start - 1] in "\r\n"
    if start == end or not is_indented:
        return Span(start, end)
    return Span(max(span.start, line_start), end)


def split_at_lines(text: str, span: Span, max_chars: int) -> list[Span]:
    """Split a part of a text into runs of whole lines of at most `max_chars`.

    Args:
        text: The original.
        span: The part to split.
        max_chars: Maximum characters of a piece; longer lines are split further.

    Returns:
        Disjoint spans in ascending order, with the indentation of their first lines.
    """
    pieces: list[Span] = []
    for source_line in source_lines(text, span):
        line = without_blank_ends(text, source_line)
        if line.start == line.end:
            continue
        if pieces and line.end - pieces[-1].start <= max_chars:
            pieces[-1] = Span(pieces[-1].start, line.end)
        elif line.end - line.start <= max_chars:
            pieces.append(line)
        else:
            pieces.extend(split_oversized(text, trimmed(text, line), max_chars))
    return pieces
