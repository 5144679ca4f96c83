"""Matches between a question's words and units of texts, without a model, for any script.

A small draft may overlook a name, a number or a key that question and text share literally; word
matching does not. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._text_names import (
    STOP_WORDS,
    UNSPACED,
    UNSPACED_SCRIPTS,
    ends_a_sentence,
    title_end,
)
from specprefill_integrations.types import Span

_WORD = regex.compile(rf"(?V1)[{UNSPACED_SCRIPTS}]|[\w--[{UNSPACED_SCRIPTS}]]+")

# A character outside words is 0.
_IN_WORD, _ALONE = 1, 2

# Words with the same beginning count as one: "published" and "publisher". Names with digits or
# underscores do not: "read_line" and "read_all" share only the word "read".
_PREFIX_CHARS = 5

# Word frequency is counted in cells of this length, independent of units.
_CELL_CHARS = 200

_NO_LETTER = regex.compile(r"[_\d]+")

# A sentence is rarely longer; of a table without line breaks no more is needed.
_FEEDBACK_CHARS = 400

# BM25: saturation of repeated words, and strength of the length normalization.
_K1, _B = 1.2, 0.75

LEXICAL_FEATURES = (
    "coverage",
    "coverage_around",
    "bm25",
    "bm25_standardized",
    "text_coverage",
    "title_coverage",
    "is_title",
)
"""Columns of `lexical_features`; new ones are added at the end."""


class ScoredUnit(NamedTuple):
    """A unit of a request."""

    text: int
    """Number of its text."""

    span: Span
    """Its span in the text."""

    content: str
    """Its characters."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LexicalMatcher:
    """Matches the units of a request with its question's words, or with more words."""

    request: ScoreRequest
    """The question, the texts and the spans of their units."""

    own: Sequence[NDArray[np.int64]]
    """For each text, start and end characters of its units' tokens. Shape of each: (units, 2)."""

    around: Sequence[NDArray[np.int64]]
    """The same with their neighborhoods."""

    units: NDArray[np.int64] | None = None
    """The units that are scored, counted over all texts, ascending; None: all."""

    def only(self, units: NDArray[np.int64]) -> LexicalMatcher:
        """Return a matcher of some of all units; the others are compared with as before."""
        return replace(self, units=units)

    def known_share(self) -> float:
        """Compute the share of the question's words that occur in any text; 0 without words."""
        terms = _terms(self.request.query or "")
        words = [_Words.find(text, terms) for text in self.request.texts]
        occurs = np.any([_counts(one.positions) > 0 for one in words], axis=0)
        return float(occurs.mean()) if terms else 0.0

    def features(self, feedback: Sequence[int] = ()) -> NDArray[np.float64]:
        """Compute `lexical_features`.

        Args:
            feedback: Units whose words are added to the question's, counted over those scored.

        Returns:
            Shape: (units, features).
        """
        asked = self.request
        parts = [asked.query or "", *(self._text(unit)[:_FEEDBACK_CHARS] for unit in feedback)]
        found = lexical_features("\n".join(parts), asked.texts, self.own, self.around)
        return found if self.units is None else found[self.units]

    def feedback(self, scores: NDArray[np.float64], count: int) -> list[int]:
        """Choose the units whose words may lead to more of what the question needs.

        What a question asks about is often told in two texts, of which the second shares a name
        with the first, not with the question. In a single text, in records and in lines of output,
        words of the best units lead astray: so all of them must be sentences, and there must be
        several texts.

        Args:
            scores: Scores of the units that are scored. Shape: (units,).
            count: Number of units.

        Returns:
            The best units in descending order; none if they are not to be used.
        """
        if len(self.request.texts) < 2 or len(scores) <= count:  # noqa: PLR2004 - several
            return []
        best: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
        are_sentences = all(ends_a_sentence(self._text(unit)) for unit in best)
        return best if are_sentences else []

    def scored(self) -> list[ScoredUnit]:
        """Return the units that are scored."""
        found = [
            ScoredUnit(number, span, text[span.start : span.end])
            for number, (text, spans) in enumerate(
                zip(self.request.texts, self.request.spans, strict=True)
            )
            for span in spans
        ]
        return found if self.units is None else [found[unit] for unit in self.units]

    def _text(self, unit: int) -> str:
        """Return the text of a unit, counted over those scored."""
        unit = unit if self.units is None else int(self.units[unit])
        for text, spans in zip(self.request.texts, self.request.spans, strict=True):
            if unit < len(spans):
                return text[spans[unit].start : spans[unit].end]
            unit -= len(spans)
        msg = "there is no such unit"
        raise IndexError(msg)


def lexical_features(
    query: str,
    texts: Sequence[str],
    own: Sequence[NDArray[np.int64]],
    around: Sequence[NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Compute how units of texts match a question's words, weighted by rarity.

    The weight of a word is that of BM25: log(1 + (N - n + 1/2) / (n + 1/2)), if n of N places
    contain it. Words that occur nowhere have weight 0.

    - `coverage`: share of the question's words in the unit; places are cells of 200 characters.
    - `coverage_around`: the same for the unit with its neighborhood.
    - `bm25`: log(1 + BM25 of the unit); places are units.
    - `bm25_standardized`: BM25 minus its mean over all units, divided by its standard deviation.
    - `text_coverage`: share of the words in the unit's text; places are texts. 0 for a single text.
    - `title_coverage`: `coverage` of the text's title; 0 if it has none.
    - `is_title`: 1 for units in the text's title, else 0. A title is a short first line that is no
      sentence, with a blank line below it.

    Args:
        query: The question.
        texts: The texts.
        own: For each text, start and end characters of its units. Shape of each: (units, 2).
        around: The same with their neighborhoods.

    Returns:
        The features of all units, text after text. Shape: (units, features).
    """
    if not texts:
        return np.zeros((0, len(LEXICAL_FEATURES)))
    terms = _terms(query)
    words = [_Words.find(text, terms) for text in texts]
    cells = sum(len(text) // _CELL_CHARS + 1 for text in texts)
    holding = np.sum([_counts(_cells_with(one)) for one in words], axis=0)  # (terms,)
    rarity = _rarity(holding, cells)  # (terms,)
    inside = [one.count(edges) for one, edges in zip(words, own, strict=True)]
    coverage = [_share(found > 0, rarity) for found in inside]
    nearby = [
        _share(one.count(edges) > 0, rarity) for one, edges in zip(words, around, strict=True)
    ]
    bm25 = _bm25(np.concatenate(inside), np.concatenate(list(map(_Words.lengths, words, own))))
    ends = [title_end(text) for text in texts]
    titled = [
        _share(one.count(np.array([[0, end]])) > 0, rarity)
        for one, end in zip(words, ends, strict=True)
    ]
    is_title = [(edges[:, 1] <= end) & (end > 0) for edges, end in zip(own, ends, strict=True)]
    columns = [
        np.concatenate(coverage),
        np.concatenate(nearby),
        np.log1p(bm25),
        (bm25 - bm25.mean()) / (bm25.std() or 1) if len(bm25) else bm25,
        np.repeat(_text_coverage(words), list(map(len, own))),
        np.repeat(np.concatenate(titled), list(map(len, own))),
        np.concatenate(is_title),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text."""

    starts: NDArray[np.int64]
    """Start character of each word, ascending. Shape: (words,)."""

    positions: Sequence[NDArray[np.int64]]
    """Of each of the question's terms, the start characters of its words, ascending."""

    @classmethod
    def find(cls, text: str, terms: Sequence[str]) -> _Words:
        """Find the words of a text, and those of some terms."""
        starts, ends = _word_edges(text)
        words = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        wanted = set(terms)
        holding = {
            word: found
            for word in set(words)
            if (found := [term for term in _terms_of(word.casefold()) if term in wanted])
        }
        places: dict[str, list[int]] = {term: [] for term in terms}
        for place, word in enumerate(words):
            for term in holding.get(word, ()):
                places[term].append(place)
        return cls(starts, [starts[at] for at in places.values()])

    def count(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count each term in ranges of characters.

        Args:
            edges: Shape: (ranges, 2).

        Returns:
            Shape: (ranges, terms).
        """
        counts = [_within(at, edges) for at in self.positions]
        return np.stack(counts, axis=1) if counts else np.zeros((len(edges), 0), dtype=np.int64)

    def lengths(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the words in ranges of characters. Shapes as in `count`: (ranges,)."""
        return _within(self.starts, edges)


def _word_edges(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the start and end characters of a text's words. Shape of each: (words,).

    These are the matches of `_WORD`, which is asked once for each different character.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)  # (chars,)
    occurs = np.zeros(codes.max(initial=0) + 1, dtype=np.bool_)
    occurs[codes] = True
    kinds = np.zeros(len(occurs), dtype=np.uint8)
    for code in np.flatnonzero(occurs).tolist():
        if _WORD.match(chr(code)):
            kinds[code] = _ALONE if UNSPACED.match(chr(code)) else _IN_WORD
    kind = np.pad(kinds[codes], 1)  # (1 + chars + 1,)
    is_alone, is_in_word = kind == _ALONE, kind == _IN_WORD
    is_start = is_alone[1:-1] | (is_in_word[1:-1] & ~is_in_word[:-2])
    is_last = is_alone[1:-1] | (is_in_word[1:-1] & ~is_in_word[2:])
    return np.flatnonzero(is_start), np.flatnonzero(is_last) + 1


def _within(at: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the ascending places `at` in each range. Shape: (ranges,)."""
    first, end = np.searchsorted(at, edges).T
    counts: NDArray[np.int64] = np.maximum(end - first, 0)
    return counts


def _share(holds: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the share of all weights that each row holds; 0 if there is no weight.

    Args:
        holds: Shape: (rows, terms).
        weights: Shape: (terms,).

    Returns:
        Shape: (rows,).
    """
    shares: NDArray[np.float64] = holds @ weights / (weights.sum() or 1)
    return shares


def _bm25(counts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute BM25 of units.

    Args:
        counts: Counts of the question's terms in each unit. Shape: (units, terms).
        lengths: Words of each unit. Shape: (units,).

    Returns:
        Shape: (units,).
    """
    rarity = _rarity(np.count_nonzero(counts, axis=0), len(counts))  # (terms,)
    relative = lengths / max(1, lengths.mean()) if len(lengths) else lengths  # (units,)
    damping = _K1 * (1 - _B + _B * relative)[:, None]  # (units, 1)
    found: NDArray[np.float64] = (counts * (_K1 + 1) / (counts + damping)) @ rarity
    return found


def _text_coverage(words: Sequence[_Words]) -> NDArray[np.float64]:
    """Compute the share of the question's words in each of several texts. Shape: (texts,)."""
    holds = np.array([_counts(one.positions) for one in words]) > 0  # (texts, terms)
    if len(words) < 2:  # noqa: PLR2004 - one text is like no other
        return np.zeros(len(words))
    return _share(holds, _rarity(holds.sum(axis=0), len(words)))


def _terms(query: str) -> tuple[str, ...]:
    """Return the terms of a question that say something, each once; all if none does."""
    words = [match.group().casefold() for match in _WORD.finditer(query)]
    telling = [word for word in words if word not in STOP_WORDS]
    return tuple(dict.fromkeys(term for word in telling or words for term in _terms_of(word)))


def _terms_of(word: str) -> list[str]:
    """Return the terms by which a case-folded word is compared."""
    if not _NO_LETTER.search(word):
        return [word[:_PREFIX_CHARS]]
    return [word, *(part[:_PREFIX_CHARS] for part in _NO_LETTER.split(word) if part)]


def _cells_with(words: _Words) -> list[NDArray[np.int64]]:
    """Return the cells of the text with each term."""
    return [np.unique(at // _CELL_CHARS) for at in words.positions]


def _counts(found: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.array([len(at) for at in found], dtype=np.int64)


def _rarity(holding: NDArray[np.int64], places: int) -> NDArray[np.float64]:
    """Compute the weights of terms that so many of all places contain. Shape: (terms,)."""
    weights: NDArray[np.float64] = np.log(1 + (places - holding + 0.5) / (holding + 0.5))
    return np.where(holding > 0, weights, 0.0)
