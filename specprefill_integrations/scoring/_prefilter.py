"""Choice of what the draft reads: places that share words with the question come first.

A cascade as in retrieval (Wang, Lin and Metzler, SIGIR 2011): matching words costs next to nothing
beside a draft model, and what it ranks last is hardly ever needed. Only where the question is asked
in other words than the text's does it say little, so then everything is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._lexical import LexicalMatcher

LEAST_TOKENS = 512
"""Up to so many tokens are read whatever the share."""

# Texts are read in stretches of at least so many tokens, if possible from the start of a unit to
# that of another: the draft needs some context. With 16, recall of nq at 10 % was 0.85, not 0.88.
_STRETCH_TOKENS = 96
_LONGEST_STRETCH = 256

# At least this share of the question's words must be known, else all is read. With questions in
# another language than the texts, or about a task rather than a text, most are not.
_LEAST_KNOWN_SHARE = 0.5


def room_for(lengths: Sequence[int], share: float) -> int | None:
    """Return the number of tokens to be read; None for all.

    Args:
        lengths: Tokens of each text.
        share: Share of the tokens to be read; at least `LEAST_TOKENS`.
    """
    room = max(LEAST_TOKENS, int(share * sum(lengths)))
    return room if room < sum(lengths) else None


def says_enough(matcher: LexicalMatcher) -> bool:
    """Tell if the question shares enough words with the texts to choose by them."""
    return matcher.known_share() >= _LEAST_KNOWN_SHARE


def tokens_to_read(
    units: Sequence[NDArray[np.int64]],
    lengths: Sequence[int],
    scores: NDArray[np.float64],
    room: int,
) -> list[list[tuple[int, int]]]:
    """Choose the tokens that the draft reads: the stretches with the best units that fit.

    Args:
        units: For each text, first token and end of each unit, ascending, none within another.
            Shape of each: (units, 2).
        lengths: Tokens of each text.
        scores: `word_scores` of all units. Shape: (units,).
        room: Number of tokens to be read.

    Returns:
        For each text, first token and end of what is read, ascending.
    """
    found = [
        (score, number, start, end)
        for number, (own, length, part) in enumerate(
            zip(units, lengths, split_by_text(scores, units), strict=True)
        )
        for start, end, score in _stretches(own, length, part)
    ]
    chosen: list[list[tuple[int, int]]] = [[] for _ in lengths]
    for _, number, start, end in sorted(found, key=lambda one: -one[0]):
        if end - start <= room:
            room -= end - start
            chosen[number].append((start, end))
    return [_joined(sorted(one)) for one in chosen]


def split_by_text(values: NDArray[np.float64], units: Sequence[Sized]) -> list[NDArray[np.float64]]:
    """Split the values of all units into those of each text's."""
    return np.split(values, np.cumsum([len(own) for own in units])[:-1])


def _stretches(
    units: NDArray[np.int64], length: int, scores: NDArray[np.float64]
) -> Iterator[tuple[int, int, float]]:
    """Cut a text into stretches, each with the best score of a unit in it."""
    first = 0
    best = -np.inf
    for start, score in zip(units[:, 0].tolist(), scores.tolist(), strict=True):
        if start - first >= _STRETCH_TOKENS:
            yield from ((*part, best) for part in _cut(first, start))
            first, best = start, score
        best = max(best, score)
    yield from ((*part, best) for part in _cut(first, length))


def _cut(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a range of tokens evenly, so that no part is too long."""
    parts = -(-(end - start) // _LONGEST_STRETCH)  # none of an empty text
    edges = [start + (end - start) * number // parts for number in range(parts)]
    return pairwise([*edges, end])


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that touch; they are ascending."""
    found: list[tuple[int, int]] = []
    for start, end in ranges:
        if found and found[-1][1] == start:
            start = found.pop()[0]  # noqa: PLW2901 - the joined range's
        found.append((start, end))
    return found
