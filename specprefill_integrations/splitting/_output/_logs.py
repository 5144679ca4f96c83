"""Entries of a log: a first line and the lines that belong to it, such as a stack trace."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lines import as_shown, nonblank_lines
from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
from specprefill_integrations.splitting._output._log_starts import entry_starts
from specprefill_integrations.types import Span

# Unindented lines that continue an entry in a log without timestamps.
_CONTINUES = re.compile(
    r"\s|Caused by:|Suppressed:|During handling of the above|The above exception was"
    r"|goroutine \d+ |created by |exit status \d|\.{3} \d+ more|--- End of|[\])}]+[,;]?\s*$"
)
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|  \+ Exception Group Traceback")
_CHAINED = re.compile(r"During handling of the above|The above exception was")
_EXIT = re.compile(r"exit status \d")
_GOROUTINE = re.compile(r"goroutine \d+ \[")

# Maximum characters of an entry's first line that its other pieces need.
_HEAD_CHARS = 200


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class LogSplitter(OutlineSplitter):
    """Splits a log into its entries.

    An entry starts at a line with a timestamp or a level, in the usual format of the log. If few
    lines have one, it starts at any unindented line outside of stack traces. The pieces of an
    oversized entry need its first line.
    """

    max_unit_chars: PositiveInt = 2_000
    """Characters of a unit; longer entries are split at lines."""

    heads_stand_alone: ClassVar[bool] = True
    """The first line of an entry may be all that a question needs."""

    def parse(self, text: str) -> Outline:
        """Find the entries of `text`."""
        outline = Outline(text)
        lines = nonblank_lines(text)
        shown = [as_shown(text[line.start : line.end]) for line in lines]
        starts = entry_starts(shown)
        if starts is None:
            starts = set(_outer_lines(shown, lines))
        first = 0
        for index in range(1, len(lines) + 1):
            if index == len(lines) or index in starts:
                if first < index:
                    self._add(outline, lines[first], lines[index - 1].end)
                first = index
        return outline

    def _add(self, outline: Outline, line: Span, end: int) -> None:
        """Add an entry that starts with `line`."""
        if end - line.start > self.max_unit_chars:
            most = min(self.max_unit_chars, _HEAD_CHARS)
            [line, *_] = split_oversized(outline.text, trimmed(outline.text, line), most)
        outline.add_headed(line, end, (), self.max_unit_chars)


def _outer_lines(shown: Sequence[str], lines: Sequence[Span]) -> Iterator[int]:
    """Indices of lines that start an entry, by their indentation and the form of stack traces."""
    inside: re.Pattern[str] | None = None
    previous_end = 0
    for index, (line, place) in enumerate(zip(shown, lines, strict=True)):
        after_a_blank_line = place.start > previous_end
        previous_end = place.end
        if inside is _GOROUTINE and not after_a_blank_line:
            if _EXIT.match(line):
                inside = None
            continue
        if _GOROUTINE.match(line):
            inside = _GOROUTINE
        elif _TRACEBACK.match(line):
            if inside is not _CHAINED:
                yield index
            inside = _TRACEBACK
        elif _CONTINUES.match(line):
            inside = _CHAINED if _CHAINED.match(line) else inside
        elif inside is _TRACEBACK:
            inside = None  # the line that names the exception
        else:
            inside = None
            yield index
