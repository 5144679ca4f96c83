"""Entries of a settings file: lines that belong together, with their depth.

Shared by YAML and TOML.
"""

from __future__ import annotations

from typing import NamedTuple

from specprefill_integrations.types import Span

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
