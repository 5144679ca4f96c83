"""The one thread that scores for many callers, its queue, and what it has answered before.

Knows no event loop and no deadline: a caller gets a future, and cancels it when it leaves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace

from specprefill_integrations.errors import (
    EngineBusyError,
    EngineClosedError,
    ScoringEngineError,
)
from specprefill_integrations.scoring._out_of_memory import is_out_of_memory, release_memory
from specprefill_integrations.scoring._score_cache import (
    ScoreCache,
    Scores,
    frozen,
    request_key,
)
from specprefill_integrations.scoring._span_scorer import (
    ScoreRequest,
    SpanScorer,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How much an engine takes on."""

    max_waiting: int | None = None
    """Requests that may wait at a time; one more is refused with `EngineBusyError`. None: every
    caller waits its turn, and so asks no faster than is answered."""

    max_batch_chars: int | None = None
    """Characters of texts that are scored together; a longer request is scored alone. None: as
    many as the scorer finds worth it. 1 scores every request alone, to the last bit as without an
    engine."""

    cache_entries: int = 256
    """Requests whose scores are kept; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """What an engine has done so far."""

    calls: int = 0
    """Calls that were let in."""

    cache_hits: int = 0
    """Those answered from what was scored before, or was just being scored for someone else."""

    batches: int = 0
    """Batches scored."""

    batched_requests: int = 0
    """Requests in all of them."""

    scoring_seconds: float = 0.0
    """Time that scoring took."""

    deadline_misses: int = 0
    """Callers that left because their time was up."""

    cancelled: int = 0
    """Callers that left for another reason."""

    restarts: int = 0
    """Times that scoring died of an error that ends threads, and was taken up again."""

    waiting: int = 0
    """Requests that wait now."""

    @property
    def mean_batch_requests(self) -> float:
        """Requests of a batch, on average; 0.0 before the first one."""
        return self.batched_requests / self.batches if self.batches else 0.0


@dataclass(eq=False, slots=True)
class _Job:
    """A request, and everyone who waits for its scores."""

    request: ScoreRequest
    key: bytes
    answers: list[Future[Scores]]
    was_lost: bool = False
    chars: int = field(init=False)

    def __post_init__(self) -> None:
        self.chars = sum(map(len, self.request.texts))

    @property
    def is_wanted(self) -> bool:
        """Whether someone still waits."""
        return not all(answer.cancelled() for answer in self.answers)


class ScoringWorker:
    """Scores what it is asked, in batches, on one thread that lives as long as there is work.

    No error ends the thread before that. An `Exception` goes to the caller whose request raised it;
    what is meant to end a thread (`SystemExit` and the like) loses the batch in hand, of which each
    request is tried once more, alone.
    """

    def __init__(self, scorer: SpanScorer, limits: EngineLimits) -> None:
        """Wrap a scorer; no thread is started yet."""
        self._scorer = scorer
        self._limits = limits
        self._batch_chars = _batch_chars(scorer, limits)
        self._begin_afresh()
        _all_workers.add(self)

    def _begin_afresh(self) -> None:
        """With nothing asked and no thread: at the start, and in a process that was just forked."""
        self._lock = threading.Lock()  # held for moments, never while something is scored
        self._waiting: deque[_Job] = deque()
        self._jobs: dict[bytes, _Job] = {}  # those that wait and those being scored
        self._cache = ScoreCache(self._limits.cache_entries)
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._statistics = EngineStatistics()

    def submit(self, request: ScoreRequest) -> Future[Scores]:
        """Ask for scores.

        Args:
            request: What is asked. Nobody may change it any more.

        Returns:
            What will hold the scores. Cancel it to leave.

        Raises:
            EngineClosedError: `close` was called.
            EngineBusyError: As many requests wait as may.
        """
        key = request_key(request)
        answer: Future[Scores] = Future()
        with self._lock:
            if self._is_closed:
                msg = "The scoring engine is closed."
                raise EngineClosedError(msg)
            cached = self._cache.get(key)
            job = self._jobs.get(key)
            if cached is not None:
                answer.set_result(cached)
            elif job is not None:
                job.answers.append(answer)
            else:
                self._enqueue(_Job(request, key, [answer]))
            self._count(calls=1, cache_hits=int(cached is not None or job is not None))
        return answer

    def leave(self, answer: Future[Scores], *, deadline_missed: bool) -> None:
        """Wait for an answer no longer; what nobody else waits for is not begun."""
        answer.cancel()
        with self._lock:
            self._count(deadline_misses=int(deadline_missed), cancelled=int(not deadline_missed))

    def close(self) -> None:
        """Refuse what waits and what comes, and wait for what is being scored."""
        with self._lock:
            self._is_closed = True
            refused = list(self._waiting)
            self._waiting.clear()
            for job in refused:
                del self._jobs[job.key]
            thread = self._thread
        for job in refused:
            _fail(job, EngineClosedError("The scoring engine was closed."))
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        with self._lock:
            return self._is_closed

    @property
    def statistics(self) -> EngineStatistics:
        """What was done so far."""
        with self._lock:
            return replace(self._statistics, waiting=len(self._waiting))

    def _count(self, **more: float) -> None:
        """Add to the statistics; the lock is held."""
        counted = {name: getattr(self._statistics, name) + n for name, n in more.items()}
        self._statistics = replace(self._statistics, **counted)

    def _enqueue(self, job: _Job) -> None:
        """Let a job wait, and see that there is a thread; the lock is held."""
        most = self._limits.max_waiting
        if most is not None and len(self._waiting) >= most:
            self._drop_unwanted()
        if most is not None and len(self._waiting) >= most:
            msg = f"{most} requests wait in the scoring engine already."
            raise EngineBusyError(msg)
        if self._thread is None:  # first, lest something waits where no thread can be had
            self._thread = self._started_thread()
        self._waiting.append(job)
        self._jobs[job.key] = job

    def _started_thread(self) -> threading.Thread:
        # No daemon: at the end of the program a forward pass is waited for, where cutting it off
        # within native code would crash the interpreter. Nothing else is begun, as nobody waits.
        thread = threading.Thread(target=self._run, name="specprefill-scoring")
        thread.start()
        return thread

    def _run(self) -> None:
        """The thread: batch after batch, until nothing waits."""
        while batch := self._next_batch():
            self._answer_or_recover(batch)

    def _next_batch(self) -> list[_Job]:
        """Take what is scored next; nothing where the thread is to end."""
        with self._lock:
            self._drop_unwanted()
            if not self._waiting:
                self._thread = None
                return []
            batch = self._fitting(self._waiting)
            for job in batch:
                self._waiting.remove(job)
            return batch

    def _fitting(self, waiting: Sequence[_Job]) -> list[_Job]:
        """The job that waits longest, and as many as fit of those that are about as long."""
        first = waiting[0]
        batch = [first]
        if first.was_lost:
            return batch
        room = self._batch_chars - first.chars
        for job in sorted(waiting, key=lambda job: abs(job.chars - first.chars)):
            if job is not first and job.chars <= room and not job.was_lost:
                batch.append(job)
                room -= job.chars
        return batch

    def _drop_unwanted(self) -> None:
        """Forget what waits and nobody waits for; the lock is held."""
        unwanted = [job for job in self._waiting if not job.is_wanted]
        for job in unwanted:
            self._waiting.remove(job)
            del self._jobs[job.key]

    def _answer_or_recover(self, batch: Sequence[_Job]) -> None:
        try:
            self._answer(batch)
        except BaseException as error:
            logger.exception("A batch of %d requests was lost", len(batch))
            self._recover(batch, error)

    def _answer(self, batch: Sequence[_Job]) -> None:
        """Score a batch; where that fails, score it in halves, down to the request at fault."""
        try:
            scores = self._score(batch)
        except CancelledError:
            parts = [self._wanted(batch)]  # somebody may have come who asks the same
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
            if is_out_of_memory(error):
                release_memory(error)
            if len(batch) == 1:
                self._finish(batch[0])
                _fail(batch[0], error)
                return
            logger.info("Scoring %d requests together failed: %r", len(batch), error)
            wanted = self._wanted(batch)
            half = len(wanted) // 2
            parts = [wanted[:half], wanted[half:]]
        else:
            for job, found in zip(batch, scores, strict=True):
                self._finish(job, found)
                _succeed(job, found)
            return
        for part in parts:
            if part:
                self._answer(part)

    def _score(self, batch: Sequence[_Job]) -> list[Scores]:
        """The scores of each job; the scorer may stop as soon as nobody waits for any."""
        requests = [job.request for job in batch]
        started = time.perf_counter()
        try:
            found = self._scorer.score_batch(
                requests, is_wanted=lambda: any(job.is_wanted for job in batch)
            )
            return [_checked(scores, r) for scores, r in zip(found, requests, strict=True)]
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self._count(batches=1, batched_requests=len(requests), scoring_seconds=seconds)

    def _wanted(self, batch: Sequence[_Job]) -> list[_Job]:
        """Those of a batch that somebody waits for; the others are forgotten."""
        with self._lock:
            wanted = [job for job in batch if job.is_wanted]
            for job in batch:
                if job not in wanted:
                    del self._jobs[job.key]
            return wanted

    def _finish(self, job: _Job, scores: Scores | None = None) -> None:
        """From now on whoever asks the same finds the scores in the cache, or is scored anew."""
        with self._lock:
            del self._jobs[job.key]
            if scores is not None:
                self._cache.put(job.key, scores)

    def _recover(self, batch: Sequence[_Job], error: BaseException) -> None:
        """Let what was lost wait once more, each request to be scored alone, but no third time."""
        with self._lock:
            lost = [job for job in batch if self._jobs.get(job.key) is job]
            given_up = [job for job in lost if job.was_lost or self._is_closed]
            again = [job for job in lost if job not in given_up]
            for job in given_up:
                del self._jobs[job.key]
            for job in again:
                job.was_lost = True
            self._waiting.extendleft(reversed(again))
            self._count(restarts=1)
        for job in given_up:
            failure = ScoringEngineError("Scoring died of this request, or next to it, twice.")
            failure.__cause__ = error
            _fail(job, failure)


def _batch_chars(scorer: SpanScorer, limits: EngineLimits) -> int:
    """Characters that are scored together; 0 where the scorer takes one request at a time."""
    if not scorer.batch_chars or limits.max_batch_chars is None:
        return scorer.batch_chars
    return limits.max_batch_chars


def _checked(scores: Sequence[Sequence[float]], request: ScoreRequest) -> Scores:
    """The scores, one for each span: an answer of another shape is someone else's.

    Raises:
        ScoringEngineError: They are not.
    """
    if list(map(len, scores)) != list(map(len, request.spans)):
        msg = "The scorer did not give one score for each span."
        raise ScoringEngineError(msg)
    return frozen(scores)


def _succeed(job: _Job, scores: Scores) -> None:
    for answer in job.answers:
        if answer.set_running_or_notify_cancel():
            answer.set_result(scores)


def _fail(job: _Job, error: BaseException) -> None:
    if isinstance(error, StopIteration):  # asyncio has no future for it: who waits would for ever
        failure = ScoringEngineError("The scorer raised StopIteration.")
        failure.__cause__ = error
        error = failure
    for answer in job.answers:
        if answer.set_running_or_notify_cancel():
            answer.set_exception(error)


_all_workers: weakref.WeakSet[ScoringWorker] = weakref.WeakSet()


def _after_fork() -> None:
    """A forked process has the parent's queues and locks, but none of its other threads."""
    for worker in list(_all_workers):
        worker._begin_afresh()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
