"""Which part of an original is shown where all of it is too much. Never above its tokens.

What is shown is the source's, byte for byte; only the first line and the lines between parts that
are far from each other are not, and say which lines these are.
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
from specprefill_integrations.pipeline._token_counting import CountTokens, count_each
from specprefill_integrations.splitting._rendering import merge_adjacent
from specprefill_integrations.types import Span

_Item = TypeVar("_Item")

# So many lines or parts are listed by number.
_MOST_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be shown of a text."""

    centers: Sequence[int]
    """The pieces that matter, most wanted first; then come those nearest to them."""

    name: str = ""
    """What to call the centers where some of them are not shown; where empty, none are listed."""

    advice: str = ""
    """What the reader can do to see more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcerptWriter:
    """Writes texts, or parts of them, within a number of tokens."""

    max_tokens: int
    """Tokens of what is written, all of it counted."""

    count_tokens: CountTokens
    """Counts them."""

    def fits(self, text: str) -> bool:
        """Whether a text may be shown whole."""
        return self._tokens(text) <= self.max_tokens

    def write(self, source: NumberedText, wanted: Wanted) -> str:
        """As much as fits of what is wanted and of what stands around it.

        Args:
            source: The text; not empty.
            wanted: What is to be shown of it; at least one piece.
        """
        order = list(_nearest_first(wanted.centers, len(source.pieces)))

        def render(count: int) -> str:
            return _render(source, wanted, sorted(order[:count]))

        return render(self._most(render, len(order))) or self.cut(render(1))

    def cut(self, text: str) -> str:
        """As much of the beginning of a text as fits."""
        return text[: self._most(lambda count: text[:count], len(text))]

    def _most(self, render: Callable[[int], str], most: int) -> int:
        """The largest count up to `most` for which `render(count)` was seen to fit; 0 does.

        Small ones are tried first: counting the tokens of a long text takes long.
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
    """All of `count` neighbors in a row: the centers, those next to them, those next to these."""
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
    """The first line, then the chosen pieces with what is missing named between them."""
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
    """What is shown, where else there is some of what was asked for, and what to do for more."""
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
