"""Scores by the question's words alone, without a draft model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring._prefilter import split_by_text
from specprefill_integrations.scoring._second_look import with_second_look
from specprefill_integrations.scoring._span_scorer import (
    ScoreRequest,
    SpanScorer,
    estimated_tokens,
)
from specprefill_integrations.types import Span

# Of the columns of `lexical_features`, fitted to the same cases as the embedded draft's profile.
_WEIGHTS = np.array([1.435, 1.214, 0.653, 0.242, 2.55, 4.989, -4.234])
_FEEDBACK_UNITS = 2

# About as many characters as the tokens of a neighborhood, see `LinearReadout.around_tokens`.
_AROUND_CHARS = 512


@dataclass(frozen=True, slots=True)
class WordScorer(SpanScorer):
    """Scores spans by the question's words, without a draft model: needs no weights and no torch.

    It takes the seven word matches that the default readout adds to attention (rarity, BM25,
    neighborhood, title, text, and a second look with the words of the best units and along links),
    with weights fitted to the same kinds of cases. It takes hundredths of a second where a draft on
    a CPU takes seconds. It finds less, above all where question and text use different words; see
    docs/results.md.

    Tokens are estimated, one for four characters: for exact budgets, give the compressor your
    `count_tokens`.
    """

    @property
    def scores_are_logarithms(self) -> bool:
        """True: they are fitted as such."""
        return True

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by their words. See `SpanScorer.score_spans`."""
        own = [np.array([(s.start, s.end) for s in found]).reshape(-1, 2) for found in spans]
        around = [
            (edges + np.array([-_AROUND_CHARS, _AROUND_CHARS])).clip(0, len(text))
            for edges, text in zip(own, texts, strict=True)
        ]
        request = ScoreRequest(query, texts, spans)
        scores = word_scores(LexicalMatcher(request=request, own=own, around=around))
        return [part.tolist() for part in split_by_text(scores, spans)]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of each text. See `SpanScorer.count_tokens`."""
        return list(map(estimated_tokens, texts))


def word_scores(matcher: LexicalMatcher) -> NDArray[np.float64]:
    """Score units by their words alone.

    Args:
        matcher: The units' words.

    Returns:
        Logarithms, as from a linear readout. Shape: (units,).
    """
    lexical = matcher.features()  # (units, features)
    return with_second_look(lexical @ _WEIGHTS, lexical, _WEIGHTS, matcher, _FEEDBACK_UNITS)
