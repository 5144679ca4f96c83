"""File headers and hunks of unified diffs; a hunk needs its file header."""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._lines import source_lines
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.types import Span

_FILE_START = re.compile(r"\ufeff?(?:diff -|diff --git |Index: |Only in |Binary files )")
_FILE_HEADER = re.compile(
    r"index |old mode|new mode|new file mode|deleted file mode|(?:dis)?similarity index|rename "
    r"|copy |Binary files|={60,}|--- |\+\+\+ "
)
_OLD_FILE = re.compile(r"\ufeff?--- \S")
_NEW_FILE = re.compile(r"\+\+\+ \S")
_HUNK = re.compile(
    r"\ufeff?(?<!@)@@+ -\d+(?:,(\d{1,9}))?(?: -\d+(?:,\d+)?)* \+\d+(?:,(\d{1,9}))? @@+"
)
_BODY = re.compile(r"[ +\-\\\r\n]")
_SIGNATURE = re.compile(r"-- \r?\n")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class DiffSplitter(OutlineSplitter):
    """Splits a diff into file headers and hunks; each hunk needs its file header.

    The pieces of an oversized hunk need its `@@` line.
    """

    max_unit_chars: PositiveInt = 1_000
    """Characters of a unit; longer hunks are split at lines."""

    def parse(self, text: str) -> Outline:
        """Find the files and hunks of `text`."""
        lines = source_lines(text, ends_at_returns=False)
        scan = _Scan(text, lines, self.max_unit_chars)
        while scan.index < len(scan.lines):
            scan.take_block()
        return scan.outline


class _Scan:
    """One pass over the lines of a diff."""

    def __init__(self, text: str, lines: list[Span], max_chars: int) -> None:
        """Start before the first line, without a file."""
        self.outline = Outline(text)
        self.lines = lines
        self.index = 0
        self._max_chars = max_chars
        self._file: Needs = ()

    def take_block(self) -> None:
        """Add the file header, hunk or other text at the current line."""
        first = self.index
        if self._is_file_start():
            self.index += 1
            while self._matches(_FILE_HEADER):
                self.index += 1
            self._file = self.outline.add_heading(self._since(first), (), self._max_chars)
        elif hunk := self._matches(_HUNK):
            self.index += 1
            self._skip_body(int(hunk[1] or 1), int(hunk[2] or 1))
            end = self._since(first).end
            self.outline.add_headed(self.lines[first], end, self._file, self._max_chars)
        else:
            while self.index < len(self.lines) and not self._starts_block():
                self.index += 1
            self.outline.add_lines(self._since(first), (), self._max_chars)

    def _skip_body(self, old: int, new: int) -> None:
        """Skip the lines of a hunk, by its line counts, else by their first characters."""
        while self._matches(_BODY):
            counted = old > 0 or new > 0
            if not counted and (self._is_file_start() or self._matches(_SIGNATURE)):
                return
            mark = self.outline.text[self.lines[self.index].start]
            old -= mark not in "+\\"
            new -= mark not in "-\\"
            self.index += 1

    def _starts_block(self) -> bool:
        return self._is_file_start() or bool(self._matches(_HUNK))

    def _is_file_start(self) -> bool:
        """True if a file header starts at the current line."""
        return bool(
            self._matches(_FILE_START) or (self._matches(_OLD_FILE) and self._matches(_NEW_FILE, 1))
        )

    def _matches(self, pattern: re.Pattern[str], ahead: int = 0) -> re.Match[str] | None:
        if self.index + ahead >= len(self.lines):
            return None
        return pattern.match(self.outline.text, *self.lines[self.index + ahead])

    def _since(self, first: int) -> Span:
        return Span(self.lines[first].start, self.lines[self.index - 1].end)
