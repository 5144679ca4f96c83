"""How much of a question's rare words a stretch of text holds: no model, any script.

A small draft may overlook a name, a number or a key that the question and the text share letter by
letter; words do not. Pure NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import regex
from numpy.typing import NDArray

UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Scripts without spaces between words, as members of a regular expression's set: there every
character counts as a word."""

_WORD = regex.compile(rf"(?V1)[{UNSPACED_SCRIPTS}]|[\w--[{UNSPACED_SCRIPTS}]]+")

# Words that begin alike count as one: "published" and "publisher". Names with digits or underscores
# do not: "read_line" is not "read_all", and shares the word "read" with it.
_PREFIX_CHARS = 5

# How common a word is, is counted in cells of the texts, whatever units they are cut into.
_CELL_CHARS = 200

_NO_LETTER = regex.compile(r"[_\d]+")

_STOP_WORDS = frozenset(
    regex.findall(
        r"\w+",
        "a an and any are as at be been by did do does for from had has have he her his how i "
        "in is it its many me much my of on or our she that the their them there they this to "
        "was we were what when where which who whom whose why will with you your ",
    )
)


def lexical_coverage(
    query: str, texts: Sequence[str], ranges: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float64]]:
    """What share of a question's words stretches of texts hold, weighted by rarity.

    A word weighs as in BM25: log(1 + (N - n + 1/2) / (n + 1/2)), n of N cells of 200 characters
    holding it. Words that stand in no text weigh nothing.

    Args:
        query: The question.
        texts: The texts.
        ranges: Of each text, first characters and ends. Shape of each: (ranges, 2).

    Returns:
        For each text one number in [0, 1] a range. Shape of each: (ranges,).
    """
    terms = _terms(query)
    found = [_positions(text, terms) for text in texts]
    cells = sum(len(text) // _CELL_CHARS + 1 for text in texts)
    weights = {term: _rarity(_cells_with(term, found), cells) for term in terms}
    total = sum(weights.values())
    if not total:
        return [np.zeros(len(asked)) for asked in ranges]
    return [
        _weighted(positions, weights, asked) / total
        for positions, asked in zip(found, ranges, strict=True)
    ]


def _terms(query: str) -> frozenset[str]:
    words = [match.group().casefold() for match in _WORD.finditer(query)]
    telling = [word for word in words if word not in _STOP_WORDS]
    return frozenset(term for word in telling or words for term in _terms_of(word))


def _terms_of(word: str) -> list[str]:
    """What a word, in lower case, is compared by."""
    if not _NO_LETTER.search(word):
        return [word[:_PREFIX_CHARS]]
    return [word, *(part[:_PREFIX_CHARS] for part in _NO_LETTER.split(word) if part)]


def _positions(text: str, terms: frozenset[str]) -> dict[str, NDArray[np.int64]]:
    """Where words start that are compared by a term, ascending."""
    found: dict[str, list[int]] = {}
    for match in _WORD.finditer(text):
        for term in _terms_of(match.group().casefold()):
            if term in terms:
                found.setdefault(term, []).append(match.start())
    return {term: np.array(at, dtype=np.int64) for term, at in found.items()}


def _weighted(
    positions: Mapping[str, NDArray[np.int64]],
    weights: Mapping[str, float],
    ranges: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The weights of the terms that stand in each range. Shape: (ranges,)."""
    weighted = np.zeros(len(ranges))
    for term, at in positions.items():
        first, end = np.searchsorted(at, ranges).T
        weighted += weights[term] * (first < end)
    return weighted


def _cells_with(term: str, found: Sequence[dict[str, NDArray[np.int64]]]) -> int:
    return sum(len(np.unique(at[term] // _CELL_CHARS)) for at in found if term in at)


def _rarity(holding: int, cells: int) -> float:
    if not holding:
        return 0.0
    return math.log(1 + (cells - holding + 0.5) / (holding + 0.5))
