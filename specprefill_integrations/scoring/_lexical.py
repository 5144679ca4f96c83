"""Share of a question's rare words in ranges of a text, without a model, for any script.

A small draft may overlook a name, a number or a key that question and text share literally; word
matching does not. Pure NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import regex
from numpy.typing import NDArray

UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Scripts without spaces between words, as part of a regular expression's set: every character
counts as a word."""

_WORD = regex.compile(rf"(?V1)[{UNSPACED_SCRIPTS}]|[\w--[{UNSPACED_SCRIPTS}]]+")

# Words with the same beginning count as one: "published" and "publisher". Names with digits or
# underscores do not: "read_line" and "read_all" share only the word "read".
_PREFIX_CHARS = 5

# Word frequency is counted in cells of this length, independent of units.
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
    """Compute the share of a question's words in ranges of texts, weighted by rarity.

    The weight of a word is that of BM25: log(1 + (N - n + 1/2) / (n + 1/2)), if n of N cells of 200
    characters contain it. Words that occur in no text have weight 0.

    Args:
        query: The question.
        texts: The texts.
        ranges: For each text, start and end characters. Shape of each: (ranges, 2).

    Returns:
        For each text, numbers in [0, 1]. Shape of each: (ranges,).
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
    """Return the terms by which a case-folded word is compared."""
    if not _NO_LETTER.search(word):
        return [word[:_PREFIX_CHARS]]
    return [word, *(part[:_PREFIX_CHARS] for part in _NO_LETTER.split(word) if part)]


def _positions(text: str, terms: frozenset[str]) -> dict[str, NDArray[np.int64]]:
    """Return the start characters of each term's words, ascending. Shape of each: (words,)."""
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
    """Sum the weights of the terms in each range. Shape: (ranges,)."""
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
