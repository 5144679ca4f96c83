"""Entries: lines that belong together, with their depth below other entries.

Shared by YAML, TOML and the output of programs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lines import nonblank_lines, without_blank_ends
from specprefill_integrations.splitting._outline import Needs, Outline
from specprefill_integrations.types import Span

# Maximum characters of a line, with its comment, that the entries below it need.
_HEAD_CHARS = 400

# A longer comment is about more than the next entry.
_NOTE_CHARS = 200


class Entry(NamedTuple):
    """Whole lines, such as a key with its value and the comment above it."""

    start: int
    """Start of its first line."""

    head_end: int
    """End of the line that deeper entries need; `start` if there is none."""

    end: int
    """End of its last line."""

    depth: int
    """Nesting depth; deeper entries that follow are below this one."""

    stands_alone: bool = False
    """True if it may be kept without any of the entries below it."""


class Entries:
    """A collector of the entries of a file, in order."""

    def __init__(self, text: str) -> None:
        """Start without entries."""
        self.found: list[Entry] = []
        self._text = text
        self._comment: Entry | None = None

    def add_comment(self, line: Span, depth: int) -> None:
        """Add a comment line, which may belong to the next entry."""
        if self._comment is None:
            self._comment = Entry(line.start, line.start, line.end, depth)
        else:
            depth = min(depth, self._comment.depth)
            self._comment = self._comment._replace(end=line.end, depth=depth)

    def add(self, lines: Span, depth: int, *, head_end: int | None = None) -> None:
        """Add an entry, together with a short comment above it that is not deeper.

        Args:
            lines: Its lines.
            depth: Its nesting depth.
            head_end: End of its first line, if deeper entries may need that line.
        """
        start = lines.start
        comment, self._comment = self._comment, None
        if comment:
            length = len(self._text[comment.start : comment.end].strip())
            if length <= _NOTE_CHARS and comment.depth <= depth:
                start = comment.start
            else:
                self.found.append(comment._replace(depth=max(comment.depth, depth)))
        self.found.append(Entry(start, head_end or start, lines.end, depth))

    def extend(self, end: int, *, is_head: bool = False) -> None:
        """Add lines to the last entry.

        Args:
            end: Their end.
            is_head: True if deeper entries need them too.
        """
        last = self.found[-1]
        self.found[-1] = last._replace(end=end, head_end=end if is_head else last.head_end)

    @property
    def has_comment(self) -> bool:
        """True if there is a comment above the next entry."""
        return self._comment is not None

    def finished(self) -> list[Entry]:
        """All entries; a comment after the last one is an entry too."""
        if self._comment:
            self.found.append(self._comment)
            self._comment = None
        return self.found


class EntryReading(ABC):
    """One pass over the lines of a file that are not blank."""

    def __init__(self, text: str) -> None:
        """Start before the first line."""
        self._text = text
        self._lines = nonblank_lines(text)
        self._index = 0
        self._entries = Entries(text)

    def read(self) -> list[Entry]:
        """Read all lines and return the entries, in order."""
        while self._index < len(self._lines):
            self._take_entry()
        return self._entries.finished()

    @abstractmethod
    def _take_entry(self) -> None:
        """Add the entry at the current line, and move behind its lines."""


def add_entries(outline: Outline, entries: Sequence[Entry], max_unit_chars: int) -> None:
    """Add entries to an outline; those below others need them.

    A small entry with all that is below it is one unit; a larger one is opened. The pieces of an
    oversized entry need its first line.

    Args:
        outline: The outline.
        entries: The entries in order.
        max_unit_chars: Characters of a unit.
    """
    ends = _block_ends(entries)
    around: list[tuple[int, Needs]] = []  # end of the block, needs of its entries
    index = 0
    while index < len(entries):
        while around and around[-1][0] <= index:
            around.pop()
        needs = around[-1][1] if around else ()
        entry, block_end = entries[index], ends[index]
        whole = without_blank_ends(outline.text, Span(entry.start, entries[block_end - 1].end))
        if whole.end - whole.start <= max_unit_chars:
            outline.add(whole, needs)
            index = block_end
        else:
            around.append((block_end, _add_entry(outline, entry, needs, max_unit_chars)))
            index += 1


def _add_entry(outline: Outline, entry: Entry, needs: Needs, max_unit_chars: int) -> Needs:
    """Add an entry without the entries below it.

    Returns:
        The needs of the units below it.
    """
    text, head = outline.text, Span(entry.start, entry.head_end)
    most = min(max_unit_chars, _HEAD_CHARS)
    if head.end - head.start > most:
        [first, *_] = split_oversized(text, trimmed(text, head), most)
        head = Span(head.start, first.end)
    if entry.stands_alone:
        outline.stand_alone.add(head.start)
    below = outline.add_heading(head, needs, max_unit_chars)
    outline.add_lines(Span(head.end, entry.end), below, max_unit_chars)
    return below


def _block_ends(entries: Sequence[Entry]) -> list[int]:
    """For each entry, the index of the next one that is not below it."""
    ends = [len(entries)] * len(entries)
    around: list[int] = []
    for index, entry in enumerate(entries):
        while around and entries[around[-1]].depth >= entry.depth:
            ends[around.pop()] = index
        around.append(index)
    return ends
