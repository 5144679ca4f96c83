"""Common interface of everything that compresses in a measurement: ours, baselines and peers.

All results are counted with one token counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from specprefill_integrations._arguments import checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.scoring._span_scorer import ScorerWrapper, SpanScorer
from specprefill_integrations.types import Budget, CountTokens, Span

_Call = tuple[str | None, tuple[str, ...], tuple[tuple[Span, ...], ...]]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTexts:
    """The compressed texts of a case."""

    texts: tuple[str, ...]
    """One per text, empty if nothing of it was kept; fewer if texts were merged or dropped."""

    seconds: float
    """Time to compress for this fraction alone."""

    reading_seconds: float | None = None
    """Part of it that serves every fraction of the case; None if each fraction is read anew."""


@runtime_checkable
class CaseCompressor(Protocol):
    """Compresses the texts of a case to a fraction of their tokens."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """Settings that results depend on, as plain JSON values."""

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Keep about this fraction of the tokens of all texts together.

        Args:
            texts: The texts.
            query: The question, if there is one.
            keep_fraction: Kept tokens / original tokens, in (0, 1].
        """


class SpanCompressor:
    """A `ContextCompressor` as a `CaseCompressor`.

    Its engine is bypassed, because the engine's cache would hide the scoring time.
    """

    parameters: Mapping[str, object] = {}
    """None: the compressor is used with the settings it has."""

    def __init__(self, compressor: ContextCompressor) -> None:
        """Wrap a compressor; failures are raised."""
        self._remembering = RememberingScorer(compressor.scorer.uncached)
        self._compressor = compressor.replace(scorer=self._remembering, on_error="raise")

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Compress; a case is scored once for all fractions. See `CaseCompressor`."""
        remembering = self._remembering
        started = time.perf_counter()
        spent, answered = remembering.score_seconds, remembering.answered_seconds
        # Compressors are compared at equal sizes, so the fraction never gives way.
        budget = Budget(keep_fraction=keep_fraction, min_tokens=0)
        results = self._compressor.compress_documents(texts, query, budget=budget)
        reading = remembering.answered_seconds - answered
        other = time.perf_counter() - started - (remembering.score_seconds - spent)
        return KeptTexts(
            texts=tuple(result.text for result in results),
            seconds=other + reading,
            reading_seconds=reading,
        )


class RememberingScorer(ScorerWrapper):
    """A scorer that remembers its last call, so that one reading serves all fractions."""

    def __init__(self, scorer: SpanScorer) -> None:
        """Wrap a scorer."""
        super().__init__(scorer)
        self._last: tuple[_Call, list[list[float]], float] | None = None
        self.score_seconds = 0.0
        """Time that the wrapped scorer took so far."""
        self.answered_seconds = 0.0
        """Time that it would have taken without the memory."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score, unless the last call was the same. See `SpanScorer.score_spans`."""
        call = query, tuple(texts), tuple(tuple(found) for found in spans)
        if self._last is None or self._last[0] != call:
            started = time.perf_counter()
            scores = self.scorer.score_spans(query, texts, spans)
            seconds = time.perf_counter() - started
            self.score_seconds += seconds
            self._last = call, scores, seconds
        self.answered_seconds += self._last[2]
        return [list(scores) for scores in self._last[1]]


def clocked(compress: Callable[[], Iterable[str]]) -> KeptTexts:
    """Run a function that returns kept texts, and measure its time."""
    started = time.perf_counter()
    texts = tuple(compress())
    return KeptTexts(texts=texts, seconds=time.perf_counter() - started)


def count_texts(count_tokens: CountTokens, texts: Sequence[str]) -> int:
    """Count the tokens of all texts together, lone surrogates replaced."""
    return sum(count_each(count_tokens, [encodable(text) for text in texts]))


def token_limit(count_tokens: CountTokens, texts: Sequence[str], keep_fraction: float) -> int:
    """The number of tokens that a fraction of the texts allows: the same for all compressors."""
    return Budget(keep_fraction=keep_fraction).token_limit(count_texts(count_tokens, texts))
