"""Threads that score for many callers, with their queue and their cache.

Knows no event loop and no deadline: a caller gets a future and cancels it to leave.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import CancelledError
from functools import cache

from cachetools import LRUCache

from specprefill_integrations._telemetry import within
from specprefill_integrations.errors import (
    EngineBusyError,
    EngineClosedError,
    ScoringEngineError,
)
from specprefill_integrations.scoring._engine_limits import EngineLimits, EngineStatistics
from specprefill_integrations.scoring._scoring_job import (
    Answer,
    BatchReading,
    Scores,
    ScoringJob,
)
from specprefill_integrations.scoring._scoring_queue import ScoringQueue
from specprefill_integrations.scoring._span_scorer import ScoreRequest, SpanScorer

logger = logging.getLogger(__name__)


class ScoringWorker:
    """Scores small requests in batches and long ones in slices, on one thread for each replica.

    Threads live as long as there is work: one for a scorer without replicas.

    An `Exception` goes to the caller whose request raised it. An error that ends threads
    (`SystemExit` and others) loses the current batch; each of its requests is tried once more,
    alone.
    """

    def __init__(self, scorer: SpanScorer, limits: EngineLimits) -> None:
        """Wrap a scorer. No thread is started yet."""
        self._scorers = tuple(scorer.replicas)
        self._limits = limits
        self._batch_chars = _batch_chars(scorer, limits)
        self._begin_afresh()
        _all_workers.add(self)

    def _begin_afresh(self) -> None:
        """Start without requests and threads: at first, and in a forked process."""
        self._lock = threading.Lock()  # held briefly, never while scoring
        self._queue = ScoringQueue(self._batch_chars)
        self._jobs: dict[bytes, ScoringJob] = {}  # in the queue or being scored
        self._cache: LRUCache[bytes, Scores] = LRUCache(self._limits.cache_entries)
        self._threads: set[threading.Thread] = set()
        self._idle = list(self._scorers)  # those without a thread
        self._is_closed = False
        self._ends = False
        self._counts: Counter[str] = Counter()
        self._scoring_seconds = 0.0
        self._busy = 0  # threads that score now
        self._busy_since = 0.0

    def submit(self, request: ScoreRequest, key: bytes) -> Answer:
        """Request scores.

        Args:
            request: The request, which must not be changed afterwards.
            key: Its `request_key`.

        Returns:
            A future for the scores; `leave` it rather than cancel it.

        Raises:
            EngineClosedError: `close` was called.
            EngineBusyError: Too many requests are waiting.
        """
        with self._lock:
            if self._is_closed:
                raise _closed()
            cached = self._cache.get(key)
            job = self._jobs.get(key)
            self._counts["cache_hits"] += cached is not None or job is not None
            if cached is not None:
                answer = Answer()
                answer.set_result(cached)
            else:
                if job is None:
                    job = ScoringJob(request, key)
                    self._enqueue(job)
                answer = job.add_caller()
            self._counts["calls"] += 1
        return answer

    def leave(self, answer: Answer, *, deadline_missed: bool) -> None:
        """Cancel an answer. A request without any other caller is not started or read on."""
        was_waiting = answer.cancel()
        with self._lock:
            self._counts["deadline_misses" if deadline_missed else "cancelled"] += 1
            job = answer.job
            if not was_waiting or job is None:
                return
            job.callers -= 1
            if not job.is_wanted and self._queue.remove(job):
                del self._jobs[job.key]

    def close(self) -> None:
        """Refuse waiting and future requests, and wait for the current batches."""
        for thread in self._refuse():
            if thread is not threading.current_thread():
                thread.join()

    def end(self) -> list[threading.Thread]:
        """Refuse all requests from the end of the current slices on.

        Returns:
            The threads that read them.
        """
        self._ends = True
        return self._refuse()

    @property
    def exit_seconds(self) -> float:
        """See `EngineLimits.exit_seconds`."""
        return self._limits.exit_seconds

    def _refuse(self) -> list[threading.Thread]:
        """Refuse waiting and future requests; return the threads."""
        with self._lock:
            self._is_closed = True
            refused = self._queue.clear()
            for job in refused:
                del self._jobs[job.key]
            threads = list(self._threads)
        for job in refused:
            job.fail(_closed())
        return threads

    @property
    def is_closed(self) -> bool:
        """True if `close` was called."""
        with self._lock:
            return self._is_closed

    @property
    def statistics(self) -> EngineStatistics:
        """The counters as they are now."""
        with self._lock:
            return EngineStatistics(
                **self._counts, scoring_seconds=self._scoring_seconds, waiting=len(self._queue)
            )

    def _enqueue(self, job: ScoringJob) -> None:
        """Queue a job and make sure that a thread runs. The lock must be held."""
        most = self._limits.max_waiting
        if most is not None and len(self._queue) >= most:
            msg = (
                f"{most} requests are already waiting for the draft. Make fewer calls at a time, "
                "give them deadline_seconds=, or raise EngineLimits.max_waiting."
            )
            raise EngineBusyError(msg)
        if self._idle:  # first: starting it may fail, and then nothing may be queued
            self._start_thread(self._idle[-1])
            self._idle.pop()
        self._queue.add(job)
        self._jobs[job.key] = job

    def _start_thread(self, scorer: SpanScorer) -> None:
        # A daemon, since the interpreter would wait for ever for a scorer that hangs.
        thread = threading.Thread(
            target=self._run, args=[scorer], name="specprefill-scoring", daemon=True
        )
        _end_workers_at_exit()
        thread.start()
        self._threads.add(thread)

    def _run(self, scorer: SpanScorer) -> None:
        """Score batches and slices until the queue is empty."""
        while jobs := self._next_jobs(scorer):
            self._answer_or_recover(jobs, scorer)

    def _next_jobs(self, scorer: SpanScorer) -> list[ScoringJob]:
        """Take the jobs whose turn it is; none if the thread is to end."""
        with self._lock:
            jobs = self._queue.take()
            if not jobs:
                self._threads.remove(threading.current_thread())
                self._idle.append(scorer)
            return jobs

    def _answer_or_recover(self, jobs: Sequence[ScoringJob], scorer: SpanScorer) -> None:
        try:
            self._answer(jobs, scorer)
        except BaseException as error:
            # The caller of a request that is lost twice gets an error, which its compressor logs.
            logger.debug("%r interrupted %d requests", error, len(jobs), exc_info=error)
            self._recover(jobs, error)

    def _answer(self, jobs: Sequence[ScoringJob], scorer: SpanScorer) -> None:
        """Score a batch, or read a slice of a long request.

        A batch that fails is scored in halves, down to the request at fault.
        """
        reading = jobs[0].reading or self._begun_reading(jobs, scorer)
        try:
            scores = self._read(reading)
        except Exception as error:  # noqa: BLE001 - it is passed on to the caller
            for part in self._after_failure(reading, error):
                self._answer(part, scorer)
            return
        if scores is None:
            self._pause(reading)
            return
        for job, found in zip(jobs, scores, strict=True):
            self._finish(job, found)
            job.succeed(found)

    def _begun_reading(self, jobs: Sequence[ScoringJob], scorer: SpanScorer) -> BatchReading:
        with self._lock:
            self._counts["batches"] += 1
            self._counts["batched_requests"] += len(jobs)
        return BatchReading(scorer, jobs)

    def _read(self, reading: BatchReading) -> list[Scores] | None:
        """Score a batch to its end, or read a slice of a long request that is not the last one."""
        [first, *_] = reading.jobs
        self._count_busy(1)
        reading.begin()
        try:
            with within(first.caller):
                scores = reading.read_on()
                while scores is None and not self._may_pause(first):
                    scores = reading.read_on()
                return scores
        finally:
            self._count_busy(-1)

    def _count_busy(self, more: int) -> None:
        """Begin or end the work of a thread; time counts while any of them scores."""
        now = time.perf_counter()
        with self._lock:
            if self._busy:
                self._scoring_seconds += max(0.0, now - self._busy_since)
            self._busy += more
            self._busy_since = max(now, self._busy_since)

    def _may_pause(self, job: ScoringJob) -> bool:
        """Return True between slices of a long request, unless the engine is being closed."""
        return self._ends or (self._queue.is_long(job) and not self.is_closed)

    def _pause(self, reading: BatchReading) -> None:
        """Queue a long request again, unless its callers have left or the program ends."""
        with self._lock:
            for job in reading.jobs:
                if job.is_wanted and not self._ends:
                    job.reading = reading
                    self._queue.put_back(job)
                else:
                    del self._jobs[job.key]
        if self._ends:
            for job in reading.jobs:
                job.fail(_closed())

    def _after_failure(self, reading: BatchReading, error: Exception) -> list[list[ScoringJob]]:
        """Return the batches to be tried after a failure; the request at fault fails.

        If the scorer stopped because no caller was waiting, one with the same request may have come
        since.
        """
        if _is_out_of_memory(error):
            _release_memory(error)
        jobs = list(reading.jobs)
        for job in jobs:
            job.reading = None
        was_given_up = reading.was_given_up and isinstance(error, CancelledError)
        if len(jobs) == 1 and not was_given_up:
            self._finish(jobs[0])
            jobs[0].fail(error)
            return []
        wanted = self._wanted(jobs)
        if was_given_up:
            return [wanted] if wanted else []
        # Not the message: it may quote a text.
        logger.info("Scoring %d requests together failed: %s", len(jobs), type(error).__name__)
        half = len(wanted) // 2
        return [part for part in (wanted[:half], wanted[half:]) if part]

    def _wanted(self, jobs: Sequence[ScoringJob]) -> list[ScoringJob]:
        """Return the jobs of a batch that a caller still waits for; forget the others."""
        with self._lock:
            wanted = [job for job in jobs if job.is_wanted]
            for job in jobs:
                if not job.is_wanted:
                    del self._jobs[job.key]
            return wanted

    def _finish(self, job: ScoringJob, scores: Scores | None = None) -> None:
        """Remove a job; later callers find its scores in the cache, or start a new job."""
        with self._lock:
            del self._jobs[job.key]
            if scores is not None and self._limits.cache_entries:
                self._cache[job.key] = scores

    def _recover(self, jobs: Sequence[ScoringJob], error: BaseException) -> None:
        """Queue lost jobs once more, each to be scored alone, but not a third time."""
        with self._lock:
            lost = [job for job in jobs if self._jobs.get(job.key) is job]
            given_up = [job for job in lost if job.was_lost or self._is_closed]
            for job in given_up:
                del self._jobs[job.key]
            for job in reversed(lost):
                if job not in given_up:
                    job.was_lost = True
                    job.reading = None
                    self._queue.put_back(job)
            self._counts["restarts"] += 1
        for job in given_up:
            failure = ScoringEngineError(
                "Scoring crashed twice on a batch that contained this request."
            )
            failure.__cause__ = error
            job.fail(failure)


def _closed() -> EngineClosedError:
    return EngineClosedError("The scoring engine is closed.")


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


@cache
def _end_workers_at_exit() -> None:
    """Register `_end_workers`, before which the interpreter has waited for all other threads."""
    atexit.register(_end_workers)


def _end_workers() -> None:
    """Await the current slices, since native code that is interrupted may crash the program."""
    ended = [(worker.end(), worker.exit_seconds) for worker in list(_all_workers)]
    started = time.monotonic()
    for threads, seconds in ended:
        for thread in threads:
            thread.join(max(0.0, started + seconds - time.monotonic()))


def _after_fork() -> None:
    """Reset all workers: a fork copies queues and locks, but not the scoring thread."""
    for worker in list(_all_workers):
        worker._begin_afresh()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
