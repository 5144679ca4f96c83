"""Entries of a settings file: lines that belong together, and how deep they stand.

Knows neither YAML nor TOML.
"""

from __future__ import annotations

from typing import NamedTuple

from specprefill_integrations.types import Span

# A longer comment is about more than what follows it.
_NOTE_CHARS = 200


class Entry(NamedTuple):
    """Whole lines, such as a key with its value and the comment above it."""

    start: int
    """Where its first line starts."""

    head_end: int
    """Where the line ends that what is below cannot do without; `start` if there is no such."""

    end: int
    """Where its last line ends."""

    depth: int
    """What follows and is deeper stands below it."""


class Entries:
    """The entries of a file while they are found, from the first to the last."""

    def __init__(self, text: str) -> None:
        """Start with none."""
        self.found: list[Entry] = []
        self._text = text
        self._comment: Entry | None = None

    def add_comment(self, line: Span, depth: int) -> None:
        """Add a line that may belong to what follows."""
        if self._comment is None:
            self._comment = Entry(line.start, line.start, line.end, depth)
        else:
            depth = min(depth, self._comment.depth)
            self._comment = self._comment._replace(end=line.end, depth=depth)

    def add(self, lines: Span, depth: int, *, head_end: int | None = None) -> None:
        """Add an entry, with the comment above it if that is short and no deeper.

        Args:
            lines: Its lines.
            depth: How deep it stands.
            head_end: Where its first line ends, if others may need that.
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
            end: Where they end.
            is_head: Whether what is below needs them too.
        """
        last = self.found[-1]
        self.found[-1] = last._replace(end=end, head_end=end if is_head else last.head_end)

    @property
    def has_comment(self) -> bool:
        """Whether there is a comment above the next entry."""
        return self._comment is not None

    def finished(self) -> list[Entry]:
        """All entries; a comment below the last one is an entry too."""
        if self._comment:
            self.found.append(self._comment)
            self._comment = None
        return self.found
