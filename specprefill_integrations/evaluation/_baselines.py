"""Baselines that need no model: scorers, and plain truncation.

Most count tokens with a given counter, so that they share one budget.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import regex

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._case_compressor import (
    KeptTexts,
    clocked,
    count_texts,
    token_limit,
)
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.scoring._text_names import UNSPACED_SCRIPTS
from specprefill_integrations.scoring._word_scorer import WordScorer
from specprefill_integrations.types import CountTokens, Span

_WORD = regex.compile(rf"[{UNSPACED_SCRIPTS}]\p{{M}}*+|[^\W{UNSPACED_SCRIPTS}]++")


@dataclass(frozen=True, slots=True)
class _CountingScorer(SpanScorer):
    """A scorer with a given token counter."""

    count: CountTokens
    """Counts tokens for the budget."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `SpanScorer.count_tokens`."""
        return self.count(texts)


@dataclass(frozen=True, slots=True)
class Bm25Scorer(_CountingScorer):
    """BM25: scores a span by the words it shares with the question; rare words count more.

    Each span is one document of the index, whichever text it is from. Based on BM25 as Lucene
    computes it (Kamphuis et al., ECIR 2020), without stemming, English stop words left out.
    """

    k1: float = 1.2
    """Saturation of repeated words."""

    b: float = 0.75
    """Strength of the length normalization."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by words; 0 if none is shared. See `SpanScorer.score_spans`."""
        [asked] = _words([query or ""])
        units = _words(
            [text[s.start : s.end] for text, found in zip(texts, spans, strict=True) for s in found]
        )
        scores = iter(self._scores(asked, units))
        return [[next(scores) for _ in found] for found in spans]

    def _scores(self, asked: list[str], units: list[list[str]]) -> list[float]:
        if not asked or not any(units):  # bm25s refuses an empty query and an empty index
            return [0.0] * len(units)
        index = _bm25s().BM25(method="lucene", k1=self.k1, b=self.b)
        index.index(units, show_progress=False)
        return [float(score) for score in index.get_scores(asked)]


@dataclass(frozen=True, slots=True)
class RandomScorer(_CountingScorer):
    """Random scores, the same on every call.

    A span's score depends only on the question, its text and its position in the text.
    """

    seed: int = 0
    """Another seed gives other scores."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Draw a number from [0, 1) for each span. See `SpanScorer.score_spans`."""
        return [
            list(_drawn(f"{self.seed}\0{query or ''}\0{text}", found))
            for text, found in zip(texts, spans, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class HeadTailScorer(_CountingScorer):
    """Scores both ends of each text highest: its first span, its last, its second, and so on.

    The question is ignored.
    """

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by their distance from an end. See `SpanScorer.score_spans`."""
        del query, texts
        return [list(_from_both_ends(len(found))) for found in spans]


@dataclass(frozen=True, slots=True)
class Truncation:
    """Keeps the texts from their start, in their order, until the budget is spent.

    The last kept text is cut anywhere, even within a word. The time is that of counting all tokens
    once, as in an app that cuts tokens instead of text.
    """

    count_tokens: CountTokens
    """Counts tokens for the budget."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """Settings: there are none."""
        return {}

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Cut the end; the question is ignored. See `CaseCompressor`."""
        del query
        limit = token_limit(self.count_tokens, texts, keep_fraction)
        kept = tuple(self._first(texts, limit))

        def counted() -> Sequence[str]:
            count_texts(self.count_tokens, texts)
            return kept

        return clocked(counted)

    def _first(self, texts: Sequence[str], limit: int) -> Iterator[str]:
        left: int | None = limit
        for text in texts:
            if left is None:
                yield ""
            elif (tokens := count_texts(self.count_tokens, [text])) <= left:
                yield text
                left -= tokens
            else:
                yield self._start_of(text, left)
                left = None

    def _start_of(self, text: str, limit: int) -> str:
        """The longest start of the text within the limit."""

        def tokens(end: int) -> int:
            return count_texts(self.count_tokens, [text[:end]])

        end = bisect_right(range(len(text) + 1), limit, key=tokens) - 1
        while tokens(end) > limit:  # counts are not quite monotonic, so the search may miss a bit
            end -= 1
        return text[:end]


BASELINES: Mapping[str, Callable[[CountTokens], SpanScorer]] = {
    "bm25": Bm25Scorer,
    "words": lambda _: WordScorer(),
    "random": RandomScorer,
    "head+tail": HeadTailScorer,
}
"""The scorers without a model by their names in `specprefill evaluate`."""


def _bm25s() -> ModuleType:
    try:
        import bm25s  # noqa: PLC0415 - in an extra
    except ImportError as error:
        if error.name != "bm25s":  # a broken installation must not look like a missing one
            raise
        raise MissingDependencyError(package="bm25s", extra="cli") from error
    found: ModuleType = bm25s
    return found


def _words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text, lower-cased, without stop words."""
    cut = [" ".join(_WORD.findall(text)) for text in texts]
    words: list[list[str]] = _bm25s().tokenize(
        cut,
        token_pattern=r"\S+",  # noqa: S106 - no password
        stopwords="en",
        return_ids=False,
        show_progress=False,
    )
    return words


def _drawn(content: str, spans: Sequence[Span]) -> Iterator[float]:
    """A pseudorandom number for each span, a function of `content` and the span."""
    read = hashlib.blake2b(content.encode(), digest_size=6)
    for span in spans:
        drawn = read.copy()
        drawn.update(f"\0{span.start}\0{span.end}".encode())
        yield int.from_bytes(drawn.digest(), "big") / 2**48


def _from_both_ends(count: int) -> Iterator[float]:
    for place in range(count):
        yield 1 / (1 + min(2 * place, 2 * (count - 1 - place) + 1))
