"""The seam between choosing and scoring: everything above knows this Protocol and nothing below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from specprefill_integrations.types import Span


class SpanScorer(Protocol):
    """Says how much a question needs each span of some texts."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Give every span of every text one number; higher is more needed.

        All texts of a call are scored together and their numbers are comparable. A span may be
        anything from one token to the whole text, and spans may overlap: a span's score does not
        depend on which other spans were asked for, except for where windows are cut.

        Args:
            query: The question, or None where there is none.
            texts: The texts; never empty, no lone surrogates in them.
            spans: For each text, the spans to score, in ascending order.

        Returns:
            For each text, one finite number for each of its spans.
        """

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, without special tokens."""


@runtime_checkable
class AsyncSpanScorer(Protocol):
    """A scorer that can be waited for without a thread."""

    async def ascore_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score as `SpanScorer.score_spans` does, and never block the event loop."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What one call of `SpanScorer.score_spans` asks."""

    query: str | None
    """The question, or None where there is none."""

    texts: Sequence[str]
    """The texts."""

    spans: Sequence[Sequence[Span]]
    """For each text, the spans to score, in ascending order."""


@runtime_checkable
class BatchSpanScorer(SpanScorer, Protocol):
    """A scorer that answers several callers in less time together than one after another."""

    def score_batch(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> list[list[list[float]]]:
        """Score each request as if it were alone.

        Args:
            requests: What is asked.
            is_wanted: Asked now and then; where it says no, nobody waits for the scores any more.

        Returns:
            For each request, what `SpanScorer.score_spans` gives for it, but for noise of
            floating-point numbers.

        Raises:
            concurrent.futures.CancelledError: `is_wanted` said no.
        """

    @property
    def batch_chars(self) -> int:
        """Characters of texts from which on more of them are not scored faster together."""


@runtime_checkable
class LogScorer(Protocol):
    """A scorer whose scores are logarithms: exp(score) says how likely a span is what is needed.

    Scores of any other scorer are taken for densities: score times tokens is what a span holds.
    """

    @property
    def scores_are_logarithms(self) -> bool:
        """Whether they are."""


@runtime_checkable
class TokenSpanner(Protocol):
    """A scorer that knows where its tokens stand."""

    def token_spans(self, text: str) -> list[Span]:
        """Where each token of the text stands, in ascending order."""


def wrapped_scorer(scorer: SpanScorer) -> SpanScorer:
    """What a `ScoringEngine` stands in for; any other scorer itself."""
    wrapped: SpanScorer = getattr(scorer, "scorer", scorer)
    return wrapped


def scores_are_logarithms(scorer: SpanScorer) -> bool:
    """Whether a scorer says so of its scores."""
    return isinstance(scorer, LogScorer) and scorer.scores_are_logarithms
