"""Scorer wrapper that records the units of a call and their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.scoring._span_scorer import (
    EncodedText,
    ScoreRequest,
    ScorerWrapper,
    SpanScorer,
)

UnitScore = tuple[int, int, float]
"""Start and end of a unit, in characters, and its score."""


class UnitScoreRecorder(ScorerWrapper):
    """Records what a compressor asks its scorer, and the answer. Scores do not change.

    Only asynchronous calls are recorded.
    """

    def __init__(self, scorer: SpanScorer) -> None:
        """Wrap a scorer; one wrapper for each call."""
        super().__init__(scorer)
        self._units: dict[str, list[UnitScore]] = {}

    def in_place_of(self, compressor: ContextCompressor) -> ContextCompressor:
        """Return a compressor with this scorer instead of its own."""
        if compressor.stages.counts_own_tokens:
            return compressor.replace(scorer=self, count_tokens=self.count_tokens)
        return compressor.replace(scorer=self)

    def encode(self, texts: Sequence[str]) -> Sequence[EncodedText] | None:
        """Encode as the other scorer does."""
        return self.scorer.encode(texts)

    async def ascore_request(self, request: ScoreRequest) -> list[list[float]]:
        """Score with the other scorer, and record the scores."""
        answer = await self.scorer.ascore_request(request)
        for text, spans, scores in zip(request.texts, request.spans, answer, strict=True):
            if all(map(math.isfinite, scores)):
                self._units[text] = [
                    (start, end, score) for (start, end), score in zip(spans, scores, strict=True)
                ]
        return answer

    def units_of(self, text: str) -> list[UnitScore]:
        """Return the units of a text in their order; empty if it was not scored."""
        return self._units.get(text, [])
