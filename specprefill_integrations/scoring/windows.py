"""Long texts -> windows that the draft reads one at a time. Pure; counts tokens, sees no text.

Windows are as even as the texts allow, so that no window's scores stand out for its length, and
are cut between documents where possible, else between units.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

# Windows are planned a little short, so that a cut can wait for the end of a unit.
_FILL = 0.9

# A cut between documents is preferred if it leaves at least this share of an even window.
_EARLIEST = 0.6


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one document that stands in a window."""

    document: int
    """Which document, counted from 0."""

    start: int
    """First token."""

    end: int
    """One past the last token."""


Window = tuple[Piece, ...]
"""What the draft reads at a time, in source order."""


def plan_windows(
    lengths: Sequence[int], breaks: Sequence[Sequence[int]], window_tokens: int
) -> list[Window]:
    """Cut documents into windows.

    Args:
        lengths: Tokens of each document, what joins it to the next included.
        breaks: For each document, the tokens at which a unit starts, ascending.
        window_tokens: Tokens that a window may hold.

    Returns:
        Windows that together hold every token once, in order.
    """
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    total = starts.pop()
    units = sorted({s + b for s, found in zip(starts, breaks, strict=True) for b in found})
    windows: list[Window] = []
    position = 0
    while position < total:
        end = _next_cut(position, total, starts, units, window_tokens)
        windows.append(_pieces(position, end, starts, lengths))
        position = end
    return windows


def _next_cut(
    position: int, total: int, starts: Sequence[int], units: Sequence[int], window_tokens: int
) -> int:
    """Where the window that begins at `position` ends."""
    remaining = total - position
    if remaining <= window_tokens:
        count = math.ceil(remaining / window_tokens)
    else:
        count = math.ceil(remaining / (window_tokens * _FILL))
    if count <= 1:
        return total
    even = remaining / count
    latest = position + window_tokens
    goal = position + even
    return (
        _nearest(starts, goal, position + even * _EARLIEST, latest)
        or _nearest(units, goal, position + 1, latest)
        or latest
    )


def _nearest(cuts: Sequence[int], goal: float, earliest: float, latest: int) -> int | None:
    """The cut nearest to `goal` within the bounds, or None."""
    low, high = bisect_left(cuts, earliest), bisect_right(cuts, latest)
    at = bisect_left(cuts, goal, low, high)
    near = cuts[max(low, at - 1) : min(high, at + 1)]
    return min(near, key=lambda cut: abs(cut - goal), default=None)


def _pieces(begin: int, end: int, starts: Sequence[int], lengths: Sequence[int]) -> Window:
    """The documents' parts between two positions of the whole."""
    pieces = []
    document = bisect_right(starts, begin) - 1
    while document < len(starts) and starts[document] < end:
        first = max(begin - starts[document], 0)
        last = min(end - starts[document], lengths[document])
        if first < last:
            pieces.append(Piece(document, first, last))
        document += 1
    return tuple(pieces)
