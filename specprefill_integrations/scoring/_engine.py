"""A shared owner of a draft for many threads and event loops.

Calls meet in the queue of one `ScoringWorker` and are scored in batches. Each call gets its own
answer, or an error, within its deadline. Imports no `torch`: any `SpanScorer` will do, and one that
scores batches gains most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any, final
from weakref import WeakValueDictionary

from specprefill_integrations._arguments import PositiveFloat, checked
from specprefill_integrations._concurrency import ForkSafeLock, run_in_thread
from specprefill_integrations._deadline import Deadline
from specprefill_integrations._telemetry import count_scoring, describe_scoring
from specprefill_integrations.scoring._draft_names import short_name
from specprefill_integrations.scoring._engine_limits import EngineLimits, EngineStatistics
from specprefill_integrations.scoring._scoring_job import Answer, request_key
from specprefill_integrations.scoring._scoring_worker import ScoringWorker
from specprefill_integrations.scoring._span_scorer import (
    EncodedText,
    ScoreRequest,
    ScorerWrapper,
    SpanScorer,
)
from specprefill_integrations.types import Span

# Characters of a request that an event loop may hash itself, in a fraction of a millisecond.
_HASHED_ON_THE_LOOP = 50_000


@final
class ScoringEngine(ScorerWrapper):
    """A scorer that shares another scorer among many callers.

    A failing request fails for its caller alone: a batch that fails is scored again in halves, also
    when the device runs out of memory. If memory does not suffice for a single request, its caller
    gets the error, and a `ContextCompressor` passes the text through unchanged.

    Copies are the same engine. A pickle holds the scorer and the limits, not the queue or the
    cache. Unpickling a shared engine gives the `shared_engine` of the current process. A forked
    process starts with an empty queue and cache.
    """

    @checked
    def __init__(
        self,
        scorer: SpanScorer,
        *,
        limits: EngineLimits | None = None,
        deadline_seconds: PositiveFloat | None = None,
    ) -> None:
        """Wrap a scorer. Threads start when there is work and end when there is none.

        Args:
            scorer: Scores, one batch at a time in each of its `replicas`.
            limits: Limits of queue, batches and cache.
            deadline_seconds: Maximum duration of a call, waiting included; None for no limit.

        Raises:
            TypeError: `deadline_seconds` is no number.
            ValueError: `deadline_seconds` is not positive and finite.
        """
        super().__init__(scorer)
        self.limits = limits or EngineLimits()
        """Limits of queue, batches and cache."""
        self.deadline_seconds = deadline_seconds
        """Maximum duration of a call; None for no limit."""
        self._worker = ScoringWorker(self.scorer, self.limits)
        draft = getattr(self.unwrapped, "draft", None)
        self._draft_name = None if draft is None else short_name(str(draft.name))
        self._original: ScoringEngine | None = None  # kept alive, so that `shared_engine` finds it
        self._shared_for: SpanScorer | None = None  # what `shared_engine` was called with

    @checked
    def with_deadline(self, deadline_seconds: PositiveFloat | None) -> ScoringEngine:
        """Return the same engine, queue and cache included, with another deadline."""
        if deadline_seconds == self.deadline_seconds:
            return self
        other = ScoringEngine.__new__(ScoringEngine)
        vars(other).update(vars(self))
        other.deadline_seconds = deadline_seconds
        other._original = self  # noqa: SLF001 - the class's own
        return other

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score as the wrapped scorer does. See `SpanScorer.score_spans`.

        Raises:
            DeadlineExceededError: The call took too long; others in the same batch go on.
            EngineBusyError: Too many calls are waiting.
            EngineClosedError: The engine was closed.
        """
        return self.score_request(ScoreRequest(query, texts, spans))

    def score_request(self, request: ScoreRequest) -> list[list[float]]:
        """Do the same for a request whose texts may be encoded already."""
        deadline = Deadline.after(self.deadline_seconds)
        request = _copied(request)
        answer = self._worker.submit(request, request_key(request))
        with self._described(answer), self._left_if_interrupted(answer):
            wait([answer], timeout=deadline.seconds_left())
        return self._scores(answer, deadline)

    async def ascore_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Do the same as `score_spans` without blocking; a cancelled call is not started."""
        return await self.ascore_request(ScoreRequest(query, texts, spans))

    async def ascore_request(self, request: ScoreRequest) -> list[list[float]]:
        """Do the same for a request whose texts may be encoded already."""
        deadline = Deadline.after(self.deadline_seconds)
        request = _copied(request)
        if sum(map(len, request.texts)) > _HASHED_ON_THE_LOOP:
            key = await run_in_thread(lambda: request_key(request))
        else:
            key = request_key(request)
        answer = self._worker.submit(request, key)
        waiting = asyncio.wrap_future(answer)
        try:
            with self._described(answer), self._left_if_interrupted(answer):
                await asyncio.wait([waiting], timeout=deadline.seconds_left())
            return self._scores(answer, deadline)
        finally:
            waiting.cancel()  # otherwise asyncio reports a late error as never retrieved

    def encode(self, texts: Sequence[str]) -> Sequence[EncodedText] | None:
        """Encode as the wrapped scorer does."""
        return self.scorer.encode(texts)

    @contextmanager
    def _left_if_interrupted(self, answer: Answer) -> Iterator[None]:
        """Cancel an answer if waiting for it is interrupted."""
        try:
            yield
        except BaseException:
            self._worker.leave(answer, deadline_missed=False)
            raise

    @contextmanager
    def _described(self, answer: Answer) -> Iterator[None]:
        """Describe the waiting for an answer in the caller's span and in the metrics."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        queue_seconds = answer.queue_seconds(since=started)
        describe_scoring(
            {
                "specprefill.draft": self._draft_name,
                "specprefill.queue_seconds": queue_seconds,
                "specprefill.is_cached": answer.job is None,
            }
        )
        count_scoring(seconds=seconds, queue_seconds=queue_seconds, draft=self._draft_name)

    def _scores(self, answer: Answer, deadline: Deadline) -> list[list[float]]:
        """Return the caller's own copy of the scores."""
        if not answer.done():
            self._worker.leave(answer, deadline_missed=True)
            raise deadline.exceeded()
        return [list(found) for found in answer.result()]

    @property
    def statistics(self) -> EngineStatistics:
        """Counters of queue, cache and batches."""
        return self._worker.statistics

    @property
    def is_closed(self) -> bool:
        """True if this engine, or one that shares its queue, was closed."""
        return self._worker.is_closed

    def close(self) -> None:
        """Wait for the current batch; waiting and later calls get `EngineClosedError`."""
        self._worker.close()

    def __enter__(self) -> ScoringEngine:
        """Return the engine, to be closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the engine."""
        self.close()

    def __copy__(self) -> ScoringEngine:
        """Return the same object: a draft has one owner."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ScoringEngine:
        """Return the same object: a draft has one owner."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Take along the scorer, the limits and the deadline."""
        if self._shared_for is not None:
            return _shared_engine, (self._shared_for, self.limits, self.deadline_seconds)
        return _engine, (self.scorer, self.limits, self.deadline_seconds)


@checked
def shared_engine(scorer: SpanScorer, *, limits: EngineLimits | None = None) -> ScoringEngine:
    """Return the one engine of this process for all scorers equal to this one, and these limits.

    Two `AttentionScorer`s are equal if they have the same draft, readout and plan, and there is one
    draft per (source, device, dtype): all compressors made alike meet in one queue. Engines with
    other limits are others; if they have the same draft, they take turns at it, slice by slice. A
    closed engine is replaced by a new one, since a program may be started twice in a process.

    Args:
        scorer: A hashable scorer.
        limits: Limits of queue, batches and cache.
    """
    key = scorer, limits or EngineLimits()
    with _shared_lock:
        engine = _shared.get(key)
        if engine is None or engine.is_closed:
            engine = _shared[key] = ScoringEngine(scorer, limits=limits)
            engine._shared_for = scorer  # noqa: SLF001 - the module's own class
        return engine


_shared: WeakValueDictionary[tuple[SpanScorer, EngineLimits], ScoringEngine] = WeakValueDictionary()
_shared_lock = ForkSafeLock()


def _engine(
    scorer: SpanScorer, limits: EngineLimits, deadline_seconds: float | None
) -> ScoringEngine:
    return ScoringEngine(scorer, limits=limits, deadline_seconds=deadline_seconds)


def _shared_engine(
    scorer: SpanScorer, limits: EngineLimits, deadline_seconds: float | None
) -> ScoringEngine:
    return shared_engine(scorer, limits=limits).with_deadline(deadline_seconds)


def _copied(request: ScoreRequest) -> ScoreRequest:
    """Copy the lists of a request: the caller may change them later."""
    spans = tuple(map(tuple, request.spans))
    return ScoreRequest(request.query, tuple(request.texts), spans, request.encoded)
