"""One thread that scores for many callers, with its queue and its cache.

Knows no event loop and no deadline: a caller gets a future and cancels it to leave.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace

from cachetools import LRUCache

from specprefill_integrations.errors import (
    EngineBusyError,
    EngineClosedError,
    ScoringEngineError,
)
from specprefill_integrations.scoring._scoring_job import (
    Scores,
    ScoringJob,
    checked_scores,
    request_key,
)
from specprefill_integrations.scoring._span_scorer import (
    ScoreRequest,
    SpanScorer,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Limits of a scoring engine."""

    max_waiting: int | None = None
    """Maximum number of waiting requests; another one is refused with `EngineBusyError`. None: no
    limit, every caller waits for its turn."""

    max_batch_chars: int | None = None
    """Characters of texts scored together; a longer request is scored alone. None: the scorer's own
    choice. 1: every request is scored alone, with exactly the same scores as without an engine."""

    cache_entries: int = 256
    """Requests whose scores are kept; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """Counters of a scoring engine."""

    calls: int = 0
    """Calls accepted."""

    cache_hits: int = 0
    """Calls answered from the cache or by a request that was already waiting or being scored."""

    batches: int = 0
    """Batches scored."""

    batched_requests: int = 0
    """Requests in all batches."""

    scoring_seconds: float = 0.0
    """Time spent on scoring."""

    deadline_misses: int = 0
    """Calls that missed their deadline."""

    cancelled: int = 0
    """Calls cancelled for another reason."""

    restarts: int = 0
    """Batches lost to an error that ends threads, such as `SystemExit`."""

    waiting: int = 0
    """Requests waiting now."""

    @property
    def mean_batch_requests(self) -> float:
        """Mean number of requests per batch; 0.0 before the first batch."""
        return self.batched_requests / self.batches if self.batches else 0.0


class ScoringWorker:
    """Scores requests in batches, on one thread that lives as long as there is work.

    An `Exception` goes to the caller whose request raised it. An error that ends threads
    (`SystemExit` and others) loses the current batch; each of its requests is tried once more,
    alone.
    """

    def __init__(self, scorer: SpanScorer, limits: EngineLimits) -> None:
        """Wrap a scorer. No thread is started yet."""
        self._scorer = scorer
        self._limits = limits
        self._batch_chars = _batch_chars(scorer, limits)
        self._begin_afresh()
        _all_workers.add(self)

    def _begin_afresh(self) -> None:
        """Start without requests and thread: at first, and in a forked process."""
        self._lock = threading.Lock()  # held briefly, never while scoring
        self._waiting: deque[ScoringJob] = deque()
        self._jobs: dict[bytes, ScoringJob] = {}  # waiting or being scored
        self._cache: LRUCache[bytes, Scores] = LRUCache(self._limits.cache_entries)
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._statistics = EngineStatistics()

    def submit(self, request: ScoreRequest) -> Future[Scores]:
        """Request scores.

        Args:
            request: The request, which must not be changed afterwards.

        Returns:
            A future for the scores; cancel it to leave.

        Raises:
            EngineClosedError: `close` was called.
            EngineBusyError: Too many requests are waiting.
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
                self._enqueue(ScoringJob(request, key, [answer]))
            self._count(calls=1, cache_hits=int(cached is not None or job is not None))
        return answer

    def leave(self, answer: Future[Scores], *, deadline_missed: bool) -> None:
        """Cancel an answer. A request without any other caller is not started."""
        answer.cancel()
        with self._lock:
            self._count(deadline_misses=int(deadline_missed), cancelled=int(not deadline_missed))

    def close(self) -> None:
        """Refuse waiting and future requests, and wait for the current batch."""
        with self._lock:
            self._is_closed = True
            refused = list(self._waiting)
            self._waiting.clear()
            for job in refused:
                del self._jobs[job.key]
            thread = self._thread
        for job in refused:
            job.fail(EngineClosedError("The scoring engine was closed."))
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @property
    def is_closed(self) -> bool:
        """True if `close` was called."""
        with self._lock:
            return self._is_closed

    @property
    def statistics(self) -> EngineStatistics:
        """The counters as they are now."""
        with self._lock:
            return replace(self._statistics, waiting=len(self._waiting))

    def _count(self, **more: float) -> None:
        """Add to the statistics. The lock must be held."""
        counted = {name: getattr(self._statistics, name) + n for name, n in more.items()}
        self._statistics = replace(self._statistics, **counted)

    def _enqueue(self, job: ScoringJob) -> None:
        """Queue a job and make sure that a thread runs. The lock must be held."""
        most = self._limits.max_waiting
        if most is not None and len(self._waiting) >= most:
            self._drop_unwanted()
        if most is not None and len(self._waiting) >= most:
            msg = f"{most} requests are already waiting in the scoring engine."
            raise EngineBusyError(msg)
        if self._thread is None:  # first: starting it may fail, and then nothing may be queued
            self._thread = self._started_thread()
        self._waiting.append(job)
        self._jobs[job.key] = job

    def _started_thread(self) -> threading.Thread:
        # Not a daemon: the interpreter waits for a forward pass at exit, since killing it within
        # native code would crash. Nothing else is started then, as no caller waits.
        thread = threading.Thread(target=self._run, name="specprefill-scoring")
        thread.start()
        return thread

    def _run(self) -> None:
        """Score batch after batch until no request waits."""
        while batch := self._next_batch():
            self._answer_or_recover(batch)

    def _next_batch(self) -> list[ScoringJob]:
        """Take the next batch from the queue; empty if the thread is to end."""
        with self._lock:
            self._drop_unwanted()
            if not self._waiting:
                self._thread = None
                return []
            batch = self._fitting(self._waiting)
            for job in batch:
                self._waiting.remove(job)
            return batch

    def _fitting(self, waiting: Sequence[ScoringJob]) -> list[ScoringJob]:
        """Return the oldest job and, within the limit, those closest to it in length."""
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
        """Drop waiting jobs that all callers have left. The lock must be held."""
        unwanted = [job for job in self._waiting if not job.is_wanted]
        for job in unwanted:
            self._waiting.remove(job)
            del self._jobs[job.key]

    def _answer_or_recover(self, batch: Sequence[ScoringJob]) -> None:
        try:
            self._answer(batch)
        except BaseException as error:
            logger.exception("A batch of %d requests was lost", len(batch))
            self._recover(batch, error)

    def _answer(self, batch: Sequence[ScoringJob]) -> None:
        """Score a batch; if that fails, score it in halves, down to the request at fault."""
        try:
            scores = self._score(batch)
        except CancelledError:
            parts = [self._wanted(batch)]  # a caller with the same request may have come since
        except Exception as error:  # noqa: BLE001 - it is passed on to the caller
            if _is_out_of_memory(error):
                _release_memory(error)
            if len(batch) == 1:
                self._finish(batch[0])
                batch[0].fail(error)
                return
            logger.info("Scoring %d requests together failed: %r", len(batch), error)
            wanted = self._wanted(batch)
            half = len(wanted) // 2
            parts = [wanted[:half], wanted[half:]]
        else:
            for job, found in zip(batch, scores, strict=True):
                self._finish(job, found)
                job.succeed(found)
            return
        for part in parts:
            if part:
                self._answer(part)

    def _score(self, batch: Sequence[ScoringJob]) -> list[Scores]:
        """Score each job; the scorer may stop once no caller waits for any of them."""
        requests = [job.request for job in batch]
        started = time.perf_counter()
        try:
            found = self._scorer.score_batch(
                requests, is_wanted=lambda: any(job.is_wanted for job in batch)
            )
            return [checked_scores(scores, r) for scores, r in zip(found, requests, strict=True)]
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self._count(batches=1, batched_requests=len(requests), scoring_seconds=seconds)

    def _wanted(self, batch: Sequence[ScoringJob]) -> list[ScoringJob]:
        """Return the jobs of a batch that a caller still waits for; forget the others."""
        with self._lock:
            wanted = [job for job in batch if job.is_wanted]
            for job in batch:
                if job not in wanted:
                    del self._jobs[job.key]
            return wanted

    def _finish(self, job: ScoringJob, scores: Scores | None = None) -> None:
        """Remove a job; later callers find its scores in the cache, or start a new job."""
        with self._lock:
            del self._jobs[job.key]
            if scores is not None and self._limits.cache_entries:
                self._cache[job.key] = scores

    def _recover(self, batch: Sequence[ScoringJob], error: BaseException) -> None:
        """Queue lost jobs once more, each to be scored alone, but not a third time."""
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
            failure = ScoringEngineError(
                "Scoring crashed twice on a batch that contained this request."
            )
            failure.__cause__ = error
            job.fail(failure)


def _batch_chars(scorer: SpanScorer, limits: EngineLimits) -> int:
    """Return the characters scored together; 0 if the scorer takes one request at a time."""
    if not scorer.batch_chars or limits.max_batch_chars is None:
        return scorer.batch_chars
    return limits.max_batch_chars


def _is_out_of_memory(error: BaseException) -> bool:
    """Recognize an out-of-memory error of any device, without importing `torch`."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in names or isinstance(error, MemoryError)


def _release_memory(error: BaseException) -> None:
    """Free the memory that an error's frames hold, and the device's reserve."""
    traceback.clear_frames(error.__traceback__)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


_all_workers: weakref.WeakSet[ScoringWorker] = weakref.WeakSet()


def _after_fork() -> None:
    """Reset all workers: a fork copies queues and locks, but not the scoring thread."""
    for worker in list(_all_workers):
        worker._begin_afresh()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
