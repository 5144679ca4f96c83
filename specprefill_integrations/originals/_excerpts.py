"""Excerpts of an original within a token limit.

All parts shown are the source's, byte for byte. Only the first line and the lines between distant
parts are added; they name the line numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from specprefill_integrations.originals._numbered_text import NumberedText
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.splitting._rendering import merge_adjacent
from specprefill_integrations.types import CountTokens, Span

_Item = TypeVar("_Item")

# Lines or parts listed by number.
_MOST_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The part of a text to show."""

    centers: Sequence[int]
    """The pieces asked for, most important first; their neighbors follow."""

    name: str = ""
    """Name of the centers in the list of those not shown; empty for no list."""

    advice: str = ""
    """Advice on how to see more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcerptWriter:
    """Writes texts, or excerpts of them, within a token limit."""

    max_tokens: int
    """Maximum tokens of an answer, added lines included."""

    count_tokens: CountTokens
    """Token counter."""

    def fits(self, text: str) -> bool:
        """Return True if the whole text is within the limit."""
        return self._tokens(text) <= self.max_tokens

    def write(self, source: NumberedText, wanted: Wanted) -> str:
        """Write as many of the wanted pieces and their neighbors as fit.

        Args:
            source: The text; not empty.
            wanted: The part to show; at least one piece.
        """
        order = list(_nearest_first(wanted.centers, len(source.pieces)))

        def render(count: int) -> str:
            return _render(source, wanted, sorted(order[:count]))

        return render(self._most(render, len(order))) or self.cut(render(1))

    def cut(self, text: str) -> str:
        """Return the beginning of a text, as much as fits."""
        return text[: self._most(lambda count: text[:count], len(text))]

    def _most(self, render: Callable[[int], str], most: int) -> int:
        """Find the largest count up to `most` for which `render(count)` fits.

        Small counts are tried first: counting the tokens of long texts is slow.
        """
        high = 1
        while high < most and self.fits(render(high)):
            high *= 2
        counts = range(1, min(high, most) + 1)
        return bisect_right(counts, self.max_tokens, key=lambda n: self._tokens(render(n)))

    def _tokens(self, text: str) -> int:
        [tokens] = count_each(self.count_tokens, [encodable(text)])
        return tokens


def _nearest_first(centers: Sequence[int], count: int) -> Iterator[int]:
    """Yield the indices below `count` by their distance from the centers."""
    seen = set(centers)
    queue = deque(centers)
    while queue:
        index = queue.popleft()
        yield index
        for neighbor in (index - 1, index + 1):
            if 0 <= neighbor < count and neighbor not in seen:
                seen.add(neighbor)
                queue.append(neighbor)


def _render(source: NumberedText, wanted: Wanted, chosen: Sequence[int]) -> str:
    """Write the first line, then the chosen pieces with the gaps between them named."""
    if not chosen:
        return ""
    blocks = merge_adjacent(source.text, (source.pieces[piece] for piece in chosen))
    written = [source.text[block.start : block.end] for block in blocks]
    parts = [_first_line(source, wanted, chosen, blocks), written[0]]
    for (before, after), text in zip(pairwise(blocks), written[1:], strict=True):
        gap = source.name_of(Span(before.end, after.start))
        line_break = "" if parts[-1].endswith(("\n", "\r")) else "\n"
        parts += [f"{line_break}[... {gap} ...]\n", text]
    return "".join(parts)


def _first_line(
    source: NumberedText, wanted: Wanted, chosen: Sequence[int], blocks: Sequence[Span]
) -> str:
    """Write which lines are shown, which others match, and how to see more."""
    notes = [f"{_listed(blocks, source.name_of)} of {len(source.lines)}"]
    if wanted.name:
        elsewhere = source.lines_of({*wanted.centers}.difference(chosen))
        if elsewhere:
            plural = "s" if len(elsewhere) > 1 else ""
            notes.append(f"{wanted.name} also on line{plural} {_listed(elsewhere, str)}")
    if wanted.advice:
        notes.append(wanted.advice)
    return f"[{'; '.join(notes)}]\n"


def _listed(items: Sequence[_Item], name_of: Callable[[_Item], str]) -> str:
    more = len(items) - _MOST_LISTED
    listed = ", ".join(map(name_of, items[:_MOST_LISTED]))
    return f"{listed} and {more} more" if more > 0 else listed
