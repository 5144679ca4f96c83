"""Scorers that need no model: what a draft has to beat.

Each is a `SpanScorer` that counts tokens as it is told, so that all share one budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import regex

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.pipeline._token_counting import CountTokens
from specprefill_integrations.scoring._lexical import UNSPACED_SCRIPTS
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.types import Span

try:
    import bm25s
except ImportError as error:
    # A broken installation must not look like a missing one.
    if error.name != "bm25s":
        raise
    raise MissingDependencyError(package="bm25s", extra="cli") from error

_WORD = regex.compile(rf"[{UNSPACED_SCRIPTS}]\p{{M}}*+|[^\W{UNSPACED_SCRIPTS}]++")


@dataclass(frozen=True, slots=True)
class Bm25Scorer(SpanScorer):
    """Scores a span by the words that it shares with the question; rare words count more.

    Every span is one document of the index, whichever text it is from. Based on BM25 as Lucene
    computes it (Kamphuis et al., ECIR 2020), with words as they are, English stop words left out.
    """

    count: CountTokens
    """Counts tokens for the budget."""

    k1: float = 1.2
    """How soon repeating a word stops to help."""

    b: float = 0.75
    """How much a long span is held back."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by words; 0 where none is shared. See `SpanScorer.score_spans`."""
        [asked] = _words([query or ""])
        units = _words(
            [text[s.start : s.end] for text, found in zip(texts, spans, strict=True) for s in found]
        )
        scores = iter(self._scores(asked, units))
        return [[next(scores) for _ in found] for found in spans]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `SpanScorer.count_tokens`."""
        return self.count(texts)

    def _scores(self, asked: list[str], units: list[list[str]]) -> list[float]:
        if not asked or not any(units):  # nothing to look for, or nowhere: bm25s refuses both
            return [0.0] * len(units)
        index = bm25s.BM25(method="lucene", k1=self.k1, b=self.b)
        index.index(units, show_progress=False)
        return [float(score) for score in index.get_scores(asked)]


@dataclass(frozen=True, slots=True)
class RandomScorer(SpanScorer):
    """Scores spans at random, and the same way every time.

    A span's score depends on the question, its own text and its place in it, on nothing else.
    """

    count: CountTokens
    """Counts tokens for the budget."""

    seed: int = 0
    """Another seed, other scores."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Draw a number from [0, 1) for each span. See `SpanScorer.score_spans`."""
        return [
            list(_drawn(f"{self.seed}\0{query or ''}\0{text}", found))
            for text, found in zip(texts, spans, strict=True)
        ]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `SpanScorer.count_tokens`."""
        return self.count(texts)


@dataclass(frozen=True, slots=True)
class HeadTailScorer(SpanScorer):
    """Scores both ends of each text highest: its first span, its last, its second, and so on.

    The question does not matter to it.
    """

    count: CountTokens
    """Counts tokens for the budget."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by how far from an end they stand. See `SpanScorer.score_spans`."""
        del query, texts
        return [list(_from_both_ends(len(found))) for found in spans]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `SpanScorer.count_tokens`."""
        return self.count(texts)


BASELINES: Mapping[str, Callable[[CountTokens], SpanScorer]] = {
    "bm25": Bm25Scorer,
    "random": RandomScorer,
    "head+tail": HeadTailScorer,
}
"""The scorers of this file, by the names that `specprefill evaluate` knows."""


def _words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text, lower-cased, without stop words."""
    cut = [" ".join(_WORD.findall(text)) for text in texts]
    words: list[list[str]] = bm25s.tokenize(
        cut,
        token_pattern=r"\S+",  # noqa: S106 - no password
        stopwords="en",
        return_ids=False,
        show_progress=False,
    )
    return words


def _drawn(content: str, spans: Sequence[Span]) -> Iterator[float]:
    """For each span a number that looks random and hangs on `content` and the span alone."""
    read = hashlib.blake2b(content.encode(), digest_size=6)
    for span in spans:
        drawn = read.copy()
        drawn.update(f"\0{span.start}\0{span.end}".encode())
        yield int.from_bytes(drawn.digest(), "big") / 2**48


def _from_both_ends(count: int) -> Iterator[float]:
    for place in range(count):
        yield 1 / (1 + min(2 * place, 2 * (count - 1 - place) + 1))
