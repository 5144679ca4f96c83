"""A scorer that answers the same call again without scoring, and knows what scoring took."""

from __future__ import annotations

import time
from collections.abc import Sequence

from specprefill_integrations.scoring._span_scorer import ScorerWrapper, SpanScorer
from specprefill_integrations.types import Span

_Call = tuple[str | None, tuple[str, ...], tuple[tuple[Span, ...], ...]]


class RememberingScorer(ScorerWrapper):
    """Stands in for a scorer: one reading serves all budgets of a case."""

    def __init__(self, scorer: SpanScorer) -> None:
        """Wrap a scorer."""
        super().__init__(scorer)
        self._last: tuple[_Call, list[list[float]], float] | None = None
        self.score_seconds = 0.0
        """What the wrapped scorer took so far."""
        self.answered_seconds = 0.0
        """What it would have taken so far, had nothing been remembered."""

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
