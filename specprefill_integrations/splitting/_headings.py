"""Links from units to their headings: a title, markdown headings, lines that stand alone.

A heading covers everything up to the next heading of the same or a higher rank. Doubtful lines are
not headings: a wrong heading would cost tokens with every unit below it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import regex

from specprefill_integrations.types import Span

_MARKDOWN = regex.compile(r"(#{1,6})\s+\S")
_NUMBERED = regex.compile(
    r"(\d{1,3}(?:\.\d{1,3})*)\.?\s+\p{Lu}|(?:ARTICLE|SECTION|Article|Section)\s"
)
_ENDS_A_SENTENCE = regex.compile(r"[\p{Sentence_Terminal}:;,…][\p{Pe}\p{Pf}\"']*$")
_LONGEST_CHARS = 100
_LONGEST_PLAIN_CHARS = 60
_TITLE_RANK = 0
_LINE_RANK = 8
_PLAIN_RANK = 1_000  # of a line without number or capitals: below all others

# A single plain line may be a signature, an advertisement or an answer ("Yes").
_LEAST_PLAIN = 2
_IN_NO_HEADING = regex.compile(r"[,|@<>]|://")


class OpenHeadings:
    """The stack of headings above the current position in a text."""

    def __init__(self) -> None:
        """Start without headings."""
        self._open: list[tuple[int, int]] = []  # rank, index

    @property
    def above(self) -> tuple[int, ...]:
        """Indices of the headings, from the title down."""
        return tuple(index for _, index in self._open)

    def close(self, rank: int) -> None:
        """Remove headings of this rank or a lower one."""
        while self._open and self._open[-1][0] >= rank:
            self._open.pop()

    def open(self, rank: int, index: int) -> None:
        """Add a heading; headings of its rank and below must be closed first."""
        self._open.append((rank, index))


def heading_links(
    text: str, units: Sequence[Span], items: Collection[int] = ()
) -> list[tuple[int, ...]]:
    """Link each unit to its headings.

    Args:
        text: The text.
        units: Its units in ascending order.
        items: Units that are items of lists, numbered or not, and therefore no headings.

    Returns:
        For each unit, the indices of its headings, from the title down.
    """
    ranks = [None if index in items else _rank(text, units, index) for index in range(len(units))]
    if ranks.count(_PLAIN_RANK) < _LEAST_PLAIN:
        ranks = [None if rank == _PLAIN_RANK else rank for rank in ranks]
    headings = OpenHeadings()
    links = []
    for index, rank in enumerate(ranks):
        if rank is not None:
            headings.close(rank)
        links.append(headings.above)
        if rank is not None:
            headings.open(rank, index)
    return links


def _rank(text: str, units: Sequence[Span], index: int) -> int | None:
    """The rank of a heading, 0 for the title; None if the unit is not a heading."""
    start, end = units[index]
    heads_something = index + 1 < len(units)
    if not heads_something or end - start > _LONGEST_CHARS or not _stands_alone(text, start, end):
        return None
    line = text[start:end]
    markdown = _MARKDOWN.match(line)
    if markdown:
        return len(markdown[1])
    if _ENDS_A_SENTENCE.search(line) or not any(map(str.isalpha, line)):
        return None
    if index == 0:
        return _TITLE_RANK
    return _line_rank(text, line, units[index + 1]) if _follows_a_blank_line(text, start) else None


def _line_rank(text: str, line: str, below: Span) -> int | None:
    """The rank of a numbered, a capitalized or a plain heading."""
    numbered = _NUMBERED.match(line)
    if numbered:
        return _LINE_RANK + (numbered[1] or "").count(".")
    if line.isupper():
        return _LINE_RANK
    return _PLAIN_RANK if _is_above_a_paragraph(text, line, below) else None


def _is_above_a_paragraph(text: str, line: str, below: Span) -> bool:
    """True for a short line that begins with a large letter, above a blank line and a sentence."""
    return (
        len(line) <= _LONGEST_PLAIN_CHARS
        and line[0].isalpha()
        and not line[0].islower()
        and not _IN_NO_HEADING.search(line)
        and _follows_a_blank_line(text, below.start)
        and _ENDS_A_SENTENCE.search(text[below.start : below.end]) is not None
    )


def _stands_alone(text: str, start: int, end: int) -> bool:
    """True if nothing else is on the span's line."""
    if "\n" in text[start:end]:
        return False
    while start > 0 and text[start - 1] != "\n":
        start -= 1
        if not text[start].isspace():
            return False
    while end < len(text) and text[end] != "\n":
        if not text[end].isspace():
            return False
        end += 1
    return True


def _follows_a_blank_line(text: str, start: int) -> bool:
    breaks = 0
    while start > 0 and text[start - 1].isspace():
        start -= 1
        breaks += text[start] == "\n"
    return breaks > 1
