"""Scorer wrapper that records token scores, for heat maps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.scoring._span_scorer import (
    ScorerWrapper,
    SpanScorer,
)
from specprefill_integrations.types import Span

# Tokens on each side that the score of a token covers, if scores are fitted to units.
_REACH_TOKENS = 6

TokenScores = list[tuple[Span, float]]
"""Span and score of each token, ascending."""


class TokenHeatRecorder(ScorerWrapper):
    """Wrapper of a scorer that also scores every token, and records these scores.

    The draft still reads each text once, and the scores of units do not change, except that
    with `prefilter=` other stretches may be read.
    """

    def __init__(self, scorer: SpanScorer) -> None:
        """Wrap a scorer.

        Raises:
            TypeError: The scorer has no tokens.
        """
        super().__init__(scorer)
        self.scorer.token_spans("")
        self._heat: dict[str, TokenScores] = {}

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans, and record the scores of tokens. See `SpanScorer.score_spans`."""
        tokens = [self.scorer.token_spans(text) for text in texts]
        around = [self._around(found, units) for found, units in zip(tokens, spans, strict=True)]
        asked = [sorted({*u, *w}) for u, w in zip(spans, around, strict=True)]
        answers = [
            dict(zip(both, scores, strict=True))
            for both, scores in zip(
                asked, self.scorer.score_spans(query, texts, asked), strict=True
            )
        ]
        for text, found, wide, answer in zip(texts, tokens, around, answers, strict=True):
            self._heat[text] = [
                (token, answer[span]) for token, span in zip(found, wide, strict=True)
            ]
        return [
            [answer[span] for span in units] for units, answer in zip(spans, answers, strict=True)
        ]

    def _around(self, tokens: Sequence[Span], units: Sequence[Span]) -> list[Span]:
        """Choose the span to score for each token: the token, or its neighborhood within the unit.

        Scores that are logarithms are fitted to units, and mean little for a single token.
        """
        if not self.scores_are_logarithms:
            return list(tokens)
        starts = [unit.start for unit in units]
        unit_of = [bisect_right(starts, token.start) for token in tokens]
        stretches = []
        for number, unit in enumerate(unit_of):
            first = bisect_left(unit_of, unit, max(0, number - _REACH_TOKENS), number)
            end = min(len(tokens), number + _REACH_TOKENS + 1)
            last = bisect_right(unit_of, unit, number, end) - 1
            stretches.append(Span(tokens[first].start, tokens[last].end))
        return stretches

    def heat_of(self, text: str) -> TokenScores:
        """Latest token scores of a text; empty if it was not scored."""
        return self._heat.get(encodable(text), [])
