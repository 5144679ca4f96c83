"""Plans of windows over long texts, and of batches of windows. Pure: counts tokens, sees no text.

Windows are as even as the texts allow, so that length does not set a window's scores apart. They
are cut between documents where possible, else between units.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

# Windows are planned slightly short, so that a cut can move to the end of a unit.
_FILL = 0.9

# Maximum padding of questions in a batch, as a share of the batch's tokens.
_QUESTION_PADDING = 1 / 8

# A cut between documents is preferred if the window keeps this share of an even one.
_EARLIEST = 0.6


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one document in a window."""

    document: int
    """Index of the document."""

    start: int
    """First token."""

    end: int
    """One past the last token."""


Window = tuple[Piece, ...]
"""The pieces of one prompt's context, in source order."""


def plan_windows(
    lengths: Sequence[int],
    breaks: Sequence[Sequence[int]],
    window_tokens: int,
    alone_tokens: int | None = None,
) -> list[Window]:
    """Cut documents into windows.

    Args:
        lengths: Tokens of each document, the separator after it included.
        breaks: For each document, the first tokens of its units, ascending.
        window_tokens: Maximum tokens of a window.
        alone_tokens: A document of at least as many tokens shares no window with others, so that
            its windows are the same whatever the others are. None: documents of any length share.

    Returns:
        Windows that hold every token exactly once, in order.
    """
    return [
        tuple(replace(one, document=one.document + first) for one in window)
        for first, end in _runs(lengths, alone_tokens)
        for window in _planned(lengths[first:end], breaks[first:end], window_tokens)
    ]


def _runs(lengths: Sequence[int], alone_tokens: int | None) -> Iterator[tuple[int, int]]:
    """Yield the documents that may share windows: first, and one past the last."""
    first = 0
    for number, length in enumerate(lengths):
        if alone_tokens is not None and length >= alone_tokens:
            yield first, number
            yield number, number + 1
            first = number + 1
    yield first, len(lengths)


def _planned(
    lengths: Sequence[int], breaks: Sequence[Sequence[int]], window_tokens: int
) -> list[Window]:
    """Cut documents that may share windows. See `plan_windows`."""
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


def plan_batches(
    lengths: Sequence[int], question_lengths: Sequence[int], batch_tokens: int
) -> list[list[int]]:
    """Group windows of similar length into batches.

    Args:
        lengths: Tokens of each window.
        question_lengths: Tokens of each window's question.
        batch_tokens: Maximum tokens of a batch's windows, padded to the longest of them. A window
            counts at least as much as its question.

    Returns:
        Batches of indices into `lengths`, each index once, longest windows first.
    """
    costs = [max(pair) for pair in zip(lengths, question_lengths, strict=True)]
    batches: list[list[int]] = []
    longest = longest_question = questions = 0
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        rows = len(batches[-1]) + 1 if batches else 0
        question = max(longest_question, question_lengths[index])
        padding = question * rows - questions - question_lengths[index]
        if (
            not batches
            or longest * rows > batch_tokens
            or padding > batch_tokens * _QUESTION_PADDING
        ):
            batches.append([])
            longest, question, questions = costs[index], question_lengths[index], 0
        batches[-1].append(index)
        longest_question = question
        questions += question_lengths[index]
    return batches


def _next_cut(
    position: int, total: int, starts: Sequence[int], units: Sequence[int], window_tokens: int
) -> int:
    """Return the end of the window that begins at `position`."""
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
    """Return the cut nearest to `goal` within the bounds, or None."""
    low, high = bisect_left(cuts, earliest), bisect_right(cuts, latest)
    at = bisect_left(cuts, goal, low, high)
    near = cuts[max(low, at - 1) : min(high, at + 1)]
    return min(near, key=lambda cut: abs(cut - goal), default=None)


def _pieces(begin: int, end: int, starts: Sequence[int], lengths: Sequence[int]) -> Window:
    """Return the documents' parts between two positions of their concatenation."""
    pieces = []
    document = bisect_right(starts, begin) - 1
    while document < len(starts) and starts[document] < end:
        first = max(begin - starts[document], 0)
        last = min(end - starts[document], lengths[document])
        if first < last:
            pieces.append(Piece(document, first, last))
        document += 1
    return tuple(pieces)
