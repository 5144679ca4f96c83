"""The base class of all scorers: the one seam between selection and draft models.

Knows no model. Selection imports nothing else of this folder.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.errors import ScoreError
from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.types import LanguageWarning, Span

CHARS_PER_TOKEN = 4
"""Characters of a token in English prose, for estimates."""


class EncodedText(Protocol):
    """A text with the tokens of a scorer."""

    @property
    def tokens(self) -> int:
        """Number of tokens, as `SpanScorer.count_tokens` counts them."""

    def costs(self, spans: Sequence[Span]) -> list[int]:
        """Count the tokens of each span; alone, a span may have a few more or less."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The arguments of one call of `SpanScorer.score_spans`."""

    query: str | None
    """The question; None if there is none."""

    texts: Sequence[str]
    """The texts."""

    spans: Sequence[Sequence[Span]]
    """For each text, the spans to score, in ascending order."""

    encoded: Sequence[EncodedText] | None = field(default=None, compare=False, repr=False)
    """The texts as the scorer's `encode` returned them; None: they are encoded where needed."""


Slices = Generator[None, None, list[list[list[float]]]]
"""Scoring of a batch that pauses after each slice of the work; returns as `score_batch` does."""


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

    def encode(self, texts: Sequence[str]) -> Sequence[EncodedText] | None:  # noqa: ARG002
        """Encode texts once, to count them and their spans and then to score these.

        By default None: texts are counted by `count_tokens` and encoded again for scoring.

        Args:
            texts: The texts; without lone surrogates.
        """
        return None

    def score_request(self, request: ScoreRequest) -> list[list[float]]:
        """`score_spans`, for a request whose texts may be encoded already."""
        return self.score_spans(request.query, request.texts, request.spans)

    async def ascore_request(self, request: ScoreRequest) -> list[list[float]]:
        """`ascore_spans`, for a request whose texts may be encoded already."""
        return await self.ascore_spans(request.query, request.texts, request.spans)

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

    def score_in_slices(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> Slices:
        """Score as `score_batch` does, in slices of about `batch_chars` characters.

        Between two slices others may be scored, or the generator dropped: keep no tensors of a
        device. By default there is one slice.

        Args:
            requests: The requests.
            is_wanted: See `score_batch`.
        """
        return self.score_batch(requests, is_wanted=is_wanted)
        yield  # makes this function a generator

    @property
    def scores_are_logarithms(self) -> bool:
        """True if exp(score) is proportional to the probability that a span is needed.

        Other scores are densities: score times tokens is the attention that a span holds.
        """
        return False

    @property
    def score_calibration(self) -> ScoreCalibration | None:
        """The meaning of the scores; None if they are not calibrated.

        `Budget(target_recall=...)` needs it, and scores that are logarithms.
        """
        return None

    @property
    def may_be_calibrated(self) -> bool:
        """False if `score_calibration` is known to be None, without reading a draft."""
        return self.score_calibration is not None

    def token_spans(self, text: str) -> list[Span]:  # noqa: ARG002 - for subclasses
        """Return the span of each token of `text`, in ascending order.

        Raises:
            TypeError: This scorer does not know its tokens.
        """
        msg = f"{type(self).__name__} has no token_spans()."
        raise TypeError(msg)

    def language_warnings(
        self,
        query: str | None,  # noqa: ARG002 - for subclasses
        texts: Sequence[str],
    ) -> list[tuple[LanguageWarning, ...]]:
        """Return warnings about the languages of question and texts, for each text.

        By default nothing: a scorer without a draft may know all languages alike.

        Args:
            query: The question; None if there is none.
            texts: The texts.
        """
        return [() for _ in texts]

    @property
    def replicas(self) -> Sequence[SpanScorer]:
        """Scorers with the same scores of which each may score a batch at the same time.

        By default the scorer itself, which scores one batch at a time.
        """
        return (self,)

    @property
    def unwrapped(self) -> SpanScorer:
        """The scorer inside all wrappers; itself if it is no wrapper."""
        return self

    @property
    def uncached(self) -> SpanScorer:
        """The scorer inside all wrappers, without anything kept from earlier calls: for timing."""
        return self.unwrapped


class ScorerWrapper(SpanScorer):
    """Delegates to another scorer; subclasses override what they change.

    Asynchronous and batched scoring use the wrapper's own `score_spans`.
    """

    def __init__(self, scorer: SpanScorer | ScoresSpans) -> None:
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

    @property
    def score_calibration(self) -> ScoreCalibration | None:
        """The same as of the other scorer."""
        return self.scorer.score_calibration

    @property
    def may_be_calibrated(self) -> bool:
        """The same as of the other scorer."""
        return self.scorer.may_be_calibrated

    def token_spans(self, text: str) -> list[Span]:
        """Return the tokens of the other scorer."""
        return self.scorer.token_spans(text)

    def language_warnings(
        self, query: str | None, texts: Sequence[str]
    ) -> list[tuple[LanguageWarning, ...]]:
        """Return the warnings of the other scorer."""
        return self.scorer.language_warnings(query, texts)

    @property
    def unwrapped(self) -> SpanScorer:
        """The scorer inside all wrappers."""
        return self.scorer.unwrapped

    @property
    def uncached(self) -> SpanScorer:
        """See `SpanScorer.uncached`."""
        return self.unwrapped.uncached


class ScoresSpans(Protocol):
    """The two methods that any object needs to be adapted to a `SpanScorer`."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans. See `SpanScorer.score_spans`."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens. See `SpanScorer.count_tokens`."""


class DuckTypedScorer(SpanScorer):
    """Adapts an object with `score_spans` and `count_tokens` that is no `SpanScorer`."""

    def __init__(self, scorer: ScoresSpans) -> None:
        """Adapt an object.

        Args:
            scorer: The object.

        Raises:
            TypeError: It has further methods of `SpanScorer`, which would be ignored.
        """
        self.scorer = scorer
        """The object."""
        ignored = sorted(_OPTIONAL & set(dir(scorer)))
        if ignored:
            msg = f"{type(scorer).__name__} must subclass SpanScorer to have {', '.join(ignored)}."
            raise TypeError(msg)

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score with the object."""
        return self.scorer.score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the object."""
        return self.scorer.count_tokens(texts)

    def token_spans(self, text: str) -> list[Span]:  # noqa: ARG002
        """Raise `TypeError`: the object does not know its tokens."""
        msg = f"{type(self.scorer).__name__} has no token_spans()."
        raise TypeError(msg)


_REQUIRED = {"count_tokens", "score_spans"}
_OPTIONAL = {name for name in vars(SpanScorer) if not name.startswith("_")} - _REQUIRED


def as_span_scorer(scorer: SpanScorer | ScoresSpans) -> SpanScorer:
    """Return a scorer as it is, and adapt an object with the same two methods.

    Raises:
        TypeError: It has no `score_spans` or no `count_tokens`, or it is a class.
    """
    if isinstance(scorer, SpanScorer):
        return scorer
    methods = (getattr(scorer, name, None) for name in ("score_spans", "count_tokens"))
    if not isinstance(scorer, type) and all(map(callable, methods)):
        return DuckTypedScorer(scorer)
    msg = f"scorer= takes a SpanScorer, with score_spans() and count_tokens(); got {scorer!r}."
    raise TypeError(msg)


def finite_score(score: float, scorer: SpanScorer) -> float:
    """Return a score by which units can be sorted.

    Args:
        score: The score.
        scorer: The scorer that gave it, for the message.

    Raises:
        ScoreError: It is NaN or infinite.
    """
    if not math.isfinite(score):
        source: object = scorer.scorer if isinstance(scorer, DuckTypedScorer) else scorer
        draft = getattr(source, "draft", None)
        name = type(source).__name__ if draft is None else f"The draft model {draft.name!r}"
        msg = f"{name} gave a score that is not a finite number: {score!r}."
        raise ScoreError(msg)
    return score


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer: one per four characters, rounded up."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)
