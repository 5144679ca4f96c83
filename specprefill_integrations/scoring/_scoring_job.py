"""A request to the scoring engine, the callers that wait for it, and its answer."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import chain

from specprefill_integrations._telemetry import Caller, current_caller
from specprefill_integrations.errors import ScoringEngineError
from specprefill_integrations.scoring._span_scorer import (
    ScoreRequest,
    SpanScorer,
    finite_score,
)

Scores = tuple[tuple[float, ...], ...]
"""For each text of a request, one number per span."""


class Answer(Future[Scores]):
    """One caller's answer."""

    job: ScoringJob | None = None
    """The job that gives it; None for an answer from the cache."""

    def queue_seconds(self, *, since: float) -> float:
        """Return how long its caller waited until scoring began, or waits already.

        Args:
            since: When the caller asked, in seconds of `time.perf_counter`.
        """
        if self.job is None:
            return 0.0
        return max(0.0, (self.job.began or time.perf_counter()) - since)


@dataclass(eq=False, slots=True)
class ScoringJob:
    """A request and the answers of all callers that wait for its scores."""

    request: ScoreRequest
    """The request."""

    key: bytes
    """See `request_key`."""

    answers: list[Answer] = field(default_factory=list)
    """One for each caller."""

    callers: int = 0
    """Callers that still wait."""

    was_lost: bool = False
    """True if a batch with this job has killed the scoring thread."""

    reading: BatchReading | None = None
    """If slices of it were read: what was read so far."""

    began: float | None = None
    """When scoring began, in seconds of `time.perf_counter`; None while it waits."""

    caller: Caller = field(default_factory=current_caller)
    """The first caller, below whose span it is scored."""

    chars: int = field(init=False)
    """Characters of the request's texts."""

    number: int = field(init=False)
    """Its place in the order of arrival. Set by the queue."""

    turn: int = field(init=False)
    """Its place in the order of long requests. Set by the queue."""

    def __post_init__(self) -> None:
        """Count the characters."""
        self.chars = sum(map(len, self.request.texts))

    def add_caller(self) -> Answer:
        """Return the answer of one more caller."""
        answer = Answer()
        answer.job = self
        self.answers.append(answer)
        self.callers += 1
        return answer

    @property
    def is_wanted(self) -> bool:
        """True if a caller still waits."""
        return self.callers > 0

    def succeed(self, scores: Scores) -> None:
        """Give the scores to all callers that still wait."""
        for answer in self.answers:
            if answer.set_running_or_notify_cancel():
                answer.set_result(scores)

    def fail(self, error: BaseException) -> None:
        """Give an error to all callers that still wait."""
        if isinstance(error, (StopIteration, CancelledError)):
            # asyncio never ends a wait for the former, and takes the latter for the caller's own.
            failure = ScoringEngineError(f"The scorer raised {type(error).__name__}.")
            failure.__cause__ = error
            error = failure
        for answer in self.answers:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)


class BatchReading:
    """Jobs that are scored together, slice by slice."""

    def __init__(self, scorer: SpanScorer, jobs: Sequence[ScoringJob]) -> None:
        """Begin with nothing read.

        Args:
            scorer: The scorer.
            jobs: The jobs.
        """
        self.jobs = jobs
        """The jobs."""
        self._scorer = scorer
        self.was_given_up = False
        """True if reading stopped because no caller was waiting."""
        self._slices = scorer.score_in_slices(
            [job.request for job in jobs], is_wanted=self._is_wanted
        )

    def begin(self) -> None:
        """Note the time at which scoring begins; a second try counts as the first."""
        for job in self.jobs:
            job.began = job.began or time.perf_counter()

    def read_on(self) -> list[Scores] | None:
        """Read the next slice.

        Returns:
            The scores of each job, if this was the last slice.

        Raises:
            CancelledError: No caller waits.
            ScoreError: A score is no finite number.
            ScoringEngineError: There is not one score for each span.
        """
        if not self._is_wanted():
            raise CancelledError
        try:
            next(self._slices)
        except StopIteration as end:
            return [
                _checked_scores(scores, job.request, self._scorer)
                for scores, job in zip(end.value, self.jobs, strict=True)
            ]
        return None

    def _is_wanted(self) -> bool:
        is_wanted = any(job.is_wanted for job in self.jobs)
        self.was_given_up |= not is_wanted
        return is_wanted


def request_key(request: ScoreRequest) -> bytes:
    """Return a digest that two requests share if and only if they are equal."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(b"-" if request.query is None else _framed(request.query))
    for text, spans in zip(request.texts, request.spans, strict=True):
        digest.update(_framed(text))
        edges = array("q", chain.from_iterable(spans)).tobytes()
        digest.update(len(edges).to_bytes(8, "big") + edges)
    return digest.digest()


def _checked_scores(
    scores: Sequence[Sequence[float]], request: ScoreRequest, scorer: SpanScorer
) -> Scores:
    """Return an immutable copy of a scorer's answer."""
    if list(map(len, scores)) != list(map(len, request.spans)):
        msg = "The scorer did not return one score for each span."
        raise ScoringEngineError(msg)
    return tuple(tuple(finite_score(score, scorer) for score in found) for found in scores)


def _framed(text: str) -> bytes:
    """Prefix a text with its length, so that different lists of texts never look the same."""
    content = text.encode("utf-8", "surrogatepass")
    return len(content).to_bytes(8, "big") + content
