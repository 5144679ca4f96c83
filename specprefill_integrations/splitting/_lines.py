"""Lines of a text: the units of plain output, and helpers for all kinds read line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span

# Line ends of file formats. Those that only `str.splitlines` knows are part of a line: form feeds,
# U+2028 and others occur in strings, cells and messages.
_SOURCE_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_FEED_LINE = re.compile(r"[^\n]*\n|[^\n]+")

# Escape sequences of terminals: colors, moves of the cursor, titles and links.
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-9;:?<=>]{0,60}[ -/]{0,4}[@-~]|\][^\x07\x1b\r\n]{0,2000}(?:\x07|\x1b\\)"
    r"|[()][0-9A-Z]|[=>78M])"
)
_STRUCK_OVER = re.compile(r"[^\r\n]\x08")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class LineSplitter(Splitter[None]):
    """Splits a text into its lines, without blank ones."""

    max_unit_chars: PositiveInt = 600
    """Characters of a unit; longer lines are split at sentences, clauses, then words."""

    def parse(self, text: str) -> None:
        """Parse nothing: lines need no parse."""

    def units(self, text: str, parsed: None = None) -> list[Span]:  # noqa: ARG002
        """Split `text` into lines, which cover everything but white space."""
        return [
            piece
            for line in filled_lines(text)
            for piece in split_oversized(text, line, self.max_unit_chars)
        ]


def nonblank_lines(text: str) -> list[Span]:
    """The lines of a text that are not blank, with their line ends."""
    return [line for line in source_lines(text) if not text[line.start : line.end].isspace()]


def source_lines(
    text: str, span: Span | None = None, *, ends_at_returns: bool = True
) -> list[Span]:
    """The lines of a text or a part of it, with their line ends, including blank lines.

    Args:
        text: The original.
        span: The part; None: the whole text.
        ends_at_returns: True if a line also ends at a carriage return without a line feed.
    """
    start, end = span or (0, len(text))
    line = _SOURCE_LINE if ends_at_returns else _FEED_LINE
    return [Span(m.start(), m.end()) for m in line.finditer(text, start, end)]


def as_shown(text: str) -> str:
    """The text as a terminal shows it: no escape sequences, nothing that is written over."""
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    if "\x08" in text:
        text = _STRUCK_OVER.sub("", text)
    if "\r" not in text or "\n" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def filled_lines(text: str) -> list[Span]:
    """The lines that are not blank, without white space at their ends."""
    lines = (trimmed(text, line) for line in source_lines(text))
    return [line for line in lines if line.start < line.end]


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
