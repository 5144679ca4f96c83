"""A request to the scoring engine, the callers that wait for it, and its answer."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain

from specprefill_integrations.errors import ScoringEngineError
from specprefill_integrations.scoring._span_scorer import ScoreRequest

Scores = tuple[tuple[float, ...], ...]
"""For each text of a request, one number per span."""


@dataclass(eq=False, slots=True)
class ScoringJob:
    """A request and the answers of all callers that wait for its scores."""

    request: ScoreRequest
    """The request."""

    key: bytes
    """See `request_key`."""

    answers: list[Future[Scores]]
    """One for each caller."""

    was_lost: bool = False
    """True if a batch with this job has killed the scoring thread."""

    chars: int = field(init=False)
    """Characters of the request's texts."""

    def __post_init__(self) -> None:
        """Count the characters."""
        self.chars = sum(map(len, self.request.texts))

    @property
    def is_wanted(self) -> bool:
        """True if a caller still waits."""
        return not all(answer.cancelled() for answer in self.answers)

    def succeed(self, scores: Scores) -> None:
        """Give the scores to all callers that still wait."""
        for answer in self.answers:
            if answer.set_running_or_notify_cancel():
                answer.set_result(scores)

    def fail(self, error: BaseException) -> None:
        """Give an error to all callers that still wait."""
        if isinstance(error, StopIteration):  # asyncio futures refuse it and would never end
            failure = ScoringEngineError("The scorer raised StopIteration.")
            failure.__cause__ = error
            error = failure
        for answer in self.answers:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)


def request_key(request: ScoreRequest) -> bytes:
    """Return a digest that two requests share if and only if they are equal."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(b"-" if request.query is None else _framed(request.query))
    for text, spans in zip(request.texts, request.spans, strict=True):
        digest.update(_framed(text))
        edges = array("q", chain.from_iterable(spans)).tobytes()
        digest.update(len(edges).to_bytes(8, "big") + edges)
    return digest.digest()


def checked_scores(scores: Sequence[Sequence[float]], request: ScoreRequest) -> Scores:
    """Return an immutable copy of a scorer's answer.

    Raises:
        ScoringEngineError: There is not one score for each span.
    """
    if list(map(len, scores)) != list(map(len, request.spans)):
        msg = "The scorer did not return one score for each span."
        raise ScoringEngineError(msg)
    return tuple(tuple(found) for found in scores)


def _framed(text: str) -> bytes:
    """Prefix a text with its length, so that different lists of texts never look the same."""
    content = text.encode("utf-8", "surrogatepass")
    return len(content).to_bytes(8, "big") + content
