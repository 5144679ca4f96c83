"""One owner of a draft for many threads and event loops: the doors to a `ScoringWorker`.

Calls meet in one queue and are scored in batches. Each gets its own answer, or an error, within its
deadline. Knows no `torch`: any `SpanScorer` will do, and one that can score in batches gains most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, final
from weakref import WeakValueDictionary

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.errors import DeadlineExceededError
from specprefill_integrations.scoring._score_cache import Scores
from specprefill_integrations.scoring._scoring_worker import (
    EngineLimits,
    EngineStatistics,
    ScoringWorker,
)
from specprefill_integrations.scoring._span_scorer import (
    ScoreRequest,
    ScorerWrapper,
    SpanScorer,
)
from specprefill_integrations.types import Span


@final
class ScoringEngine(ScorerWrapper):
    """Stands in for a scorer that many callers share.

    A request that fails fails for its caller alone: a batch that fails is scored again in halves.
    So it goes with a device whose memory runs out; where it does not suffice for one request, its
    caller gets the error, and a `ContextCompressor` hands on the whole text.

    Deep copies are the same engine. Pickling takes the scorer and the limits along, not the queue
    or the cache; a forked process starts with these empty.
    """

    def __init__(
        self,
        scorer: SpanScorer,
        *,
        limits: EngineLimits | None = None,
        deadline_seconds: float | None = None,
    ) -> None:
        """Wrap a scorer; its thread is started when there is work, and ends when there is none.

        Args:
            scorer: Scores, one batch at a time.
            limits: How much is taken on.
            deadline_seconds: How long a call may take, waiting for its turn included. None: as
                long as it takes.
        """
        super().__init__(scorer)
        self.limits = limits or EngineLimits()
        """How much is taken on."""
        self.deadline_seconds = deadline_seconds
        """How long a call may take; None for as long as it takes."""
        self._worker = ScoringWorker(self.scorer, self.limits)
        self._original: ScoringEngine | None = None  # kept alive, so that others find it

    def with_deadline(self, deadline_seconds: float | None) -> ScoringEngine:
        """The same engine, queue and cache included, for callers with another deadline."""
        if deadline_seconds == self.deadline_seconds:
            return self
        other = ScoringEngine(self.scorer, limits=self.limits, deadline_seconds=deadline_seconds)
        other._worker = self._worker
        other._original = self
        return other

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score as the wrapped scorer does, in its turn. See `SpanScorer.score_spans`.

        Raises:
            DeadlineExceededError: It took too long; others in the same batch go on.
            EngineBusyError: Too many calls wait.
            EngineClosedError: The engine was closed.
        """
        answer = self._worker.submit(_request(query, texts, spans))
        with self._left_if_interrupted(answer):
            wait([answer], timeout=self.deadline_seconds)
        return self._scores(answer)

    async def ascore_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """`score_spans` for event loops: nothing blocks, and a cancelled call is not begun."""
        answer = self._worker.submit(_request(query, texts, spans))
        waiting = asyncio.wrap_future(answer)
        try:
            with self._left_if_interrupted(answer):
                await asyncio.wait([waiting], timeout=self.deadline_seconds)
            return self._scores(answer)
        finally:
            waiting.cancel()  # else an error that comes too late is reported as never looked at

    @contextmanager
    def _left_if_interrupted(self, answer: Future[Scores]) -> Iterator[None]:
        """Within the block an answer is waited for; whatever ends the wait, ends the interest."""
        try:
            yield
        except BaseException:
            self._worker.leave(answer, deadline_missed=False)
            raise

    def _scores(self, answer: Future[Scores]) -> list[list[float]]:
        """The caller's own copy of what it waited for."""
        if not answer.done():
            self._worker.leave(answer, deadline_missed=True)
            msg = f"Scoring took longer than the {self.deadline_seconds} seconds it was given."
            raise DeadlineExceededError(msg)
        return [list(found) for found in answer.result()]

    @property
    def statistics(self) -> EngineStatistics:
        """What was done so far."""
        return self._worker.statistics

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, by whichever of those that share its queue."""
        return self._worker.is_closed

    def close(self) -> None:
        """Wait for the batch in hand; what waits and whatever comes gets `EngineClosedError`."""
        self._worker.close()

    def __enter__(self) -> ScoringEngine:
        """The engine, closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> ScoringEngine:
        """The same object: a draft has one owner."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Take along what it is made of."""
        return _engine, (self.scorer, self.limits, self.deadline_seconds)


def shared_engine(scorer: SpanScorer) -> ScoringEngine:
    """The one engine of a process for all scorers equal to this one.

    An `AttentionScorer` equals another with the same draft, readout and plan, and of a draft there
    is one per (source, device, dtype): so all compressors made alike meet in one queue. One that
    was closed is not handed out again: a program may be started twice in a process.

    Args:
        scorer: Any scorer that can be hashed.
    """
    with _shared_lock:
        engine = _shared.get(scorer)
        if engine is None or engine.is_closed:
            engine = _shared[scorer] = ScoringEngine(scorer)
        return engine


_shared: WeakValueDictionary[SpanScorer, ScoringEngine] = WeakValueDictionary()
_shared_lock = ForkSafeLock()


def _engine(
    scorer: SpanScorer, limits: EngineLimits, deadline_seconds: float | None
) -> ScoringEngine:
    return ScoringEngine(scorer, limits=limits, deadline_seconds=deadline_seconds)


def _request(
    query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
) -> ScoreRequest:
    """What is asked, as it is now: the caller may change its lists later."""
    return ScoreRequest(query, tuple(texts), tuple(map(tuple, spans)))
