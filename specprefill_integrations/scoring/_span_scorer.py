"""The base class of all scorers: the one seam between selection and draft models.

Knows no model. Selection imports nothing else of this folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.types import Span


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The arguments of one call of `SpanScorer.score_spans`."""

    query: str | None
    """The question; None if there is none."""

    texts: Sequence[str]
    """The texts."""

    spans: Sequence[Sequence[Span]]
    """For each text, the spans to score, in ascending order."""


class SpanScorer(ABC):
    """Scores how much a question needs each span of some texts.

    A subclass must define `score_spans` and `count_tokens`; every other method has a default.
    """

    __slots__ = ()

    @abstractmethod
    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score every span of every text; higher means more needed.

        All texts of a call are scored together and their scores are comparable. A span may be
        anything from one token to the whole text, and spans may overlap. The score of a span does
        not depend on the other spans, except through where windows are cut.

        Args:
            query: The question; None if there is none.
            texts: The texts; none empty, without lone surrogates.
            spans: For each text, the spans to score, in ascending order.

        Returns:
            For each text, one finite number per span.
        """

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, without special tokens."""

    async def ascore_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """`score_spans`, off the event loop: by default in a thread."""
        return await run_in_thread(lambda: self.score_spans(query, texts, spans))

    @property
    def batch_chars(self) -> int:
        """Characters of text up to which requests are faster in one batch; 0: never faster."""
        return 0

    def score_batch(
        self,
        requests: Sequence[ScoreRequest],
        *,
        is_wanted: Callable[[], bool] | None = None,  # noqa: ARG002 - for subclasses
    ) -> list[list[list[float]]]:
        """Score each request as if it were alone: by default one after another.

        Args:
            requests: The requests.
            is_wanted: Called now and then; False means that nobody waits for the scores any more.

        Returns:
            For each request the result of `score_spans`, up to floating-point noise.

        Raises:
            concurrent.futures.CancelledError: `is_wanted` returned False.
        """
        return [self.score_spans(one.query, one.texts, one.spans) for one in requests]

    @property
    def scores_are_logarithms(self) -> bool:
        """True if exp(score) is proportional to the probability that a span is needed.

        Other scores are densities: score times tokens is the attention that a span holds.
        """
        return False

    def token_spans(self, text: str) -> list[Span]:  # noqa: ARG002 - for subclasses
        """Return the span of each token of `text`, in ascending order.

        Raises:
            TypeError: This scorer does not know its tokens.
        """
        msg = f"{type(self).__name__} has no token_spans()."
        raise TypeError(msg)

    @property
    def unwrapped(self) -> SpanScorer:
        """The scorer inside all wrappers; itself if it is no wrapper."""
        return self


class ScorerWrapper(SpanScorer):
    """Delegates everything to another scorer; subclasses override what they change."""

    def __init__(self, scorer: SpanScorer) -> None:
        """Wrap a scorer.

        Args:
            scorer: The other scorer.
        """
        self.scorer = as_span_scorer(scorer)
        """The other scorer."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score with the other scorer."""
        return self.scorer.score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the other scorer."""
        return self.scorer.count_tokens(texts)

    @property
    def scores_are_logarithms(self) -> bool:
        """The same as of the other scorer."""
        return self.scorer.scores_are_logarithms

    def token_spans(self, text: str) -> list[Span]:
        """Return the tokens of the other scorer."""
        return self.scorer.token_spans(text)

    @property
    def unwrapped(self) -> SpanScorer:
        """The scorer inside all wrappers."""
        return self.scorer.unwrapped


class DuckTypedScorer(ScorerWrapper):
    """Adapts an object with `score_spans` and `count_tokens` that is no `SpanScorer`."""

    def __init__(self, scorer: Any) -> None:  # noqa: ANN401 - any object with the two methods
        """Adapt an object."""
        self.scorer = scorer

    @property
    def scores_are_logarithms(self) -> bool:
        """False: scores of an unknown scorer are densities."""
        return False

    def token_spans(self, text: str) -> list[Span]:  # noqa: ARG002
        """Raise `TypeError`: an unknown scorer does not know its tokens."""
        msg = f"{type(self.scorer).__name__} has no token_spans()."
        raise TypeError(msg)

    @property
    def unwrapped(self) -> SpanScorer:
        """This adapter."""
        return self


def as_span_scorer(scorer: Any) -> SpanScorer:  # noqa: ANN401 - checked here
    """Return a scorer as it is, and adapt an object with the same two methods.

    Raises:
        TypeError: It has no `score_spans` or no `count_tokens`.
    """
    if isinstance(scorer, SpanScorer):
        return scorer
    if callable(getattr(scorer, "score_spans", None)) and callable(
        getattr(scorer, "count_tokens", None)
    ):
        return DuckTypedScorer(scorer)
    msg = f"scorer= takes a SpanScorer, with score_spans() and count_tokens(); got {scorer!r}."
    raise TypeError(msg)
