"""A scorer for your own tests: deterministic and instant, without weights or `torch`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.types import Span

__all__ = [
    "KeywordScorer",
]

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class KeywordScorer(SpanScorer):
    """Scores a span by the share of its words that occur in the question.

    Without a question, earlier spans score higher. A token is a word or a punctuation mark.
    """

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """See `SpanScorer.score_spans`."""
        wanted = set(_words(query or ""))
        return [
            [_share(_words(text[s.start : s.end]), wanted, s) for s in text_spans]
            for text, text_spans in zip(texts, spans, strict=True)
        ]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `SpanScorer.count_tokens`."""
        return [len(_TOKEN.findall(text)) for text in texts]

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of each token."""
        return [Span(m.start(), m.end()) for m in _TOKEN.finditer(text)]


def _words(text: str) -> list[str]:
    return [token.casefold() for token in _TOKEN.findall(text)]


def _share(words: list[str], wanted: set[str], span: Span) -> float:
    if not wanted:
        return 1 / (1 + span.start)
    return sum(word in wanted for word in words) / max(1, len(words))
