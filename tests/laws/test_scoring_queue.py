"""Laws of the order in which requests are scored, for any order of calls, leaves and turns."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from specprefill_integrations import Span
from specprefill_integrations.scoring._scoring_job import BatchReading, ScoringJob
from specprefill_integrations.scoring._scoring_queue import ScoringQueue
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.testing import KeywordScorer

SLICE_CHARS = 5_000


def job_of(chars: int) -> ScoringJob:
    return ScoringJob(ScoreRequest(None, ("x" * chars,), ((Span(0, chars),),)), b"")


@dataclass
class Wait:
    """What was taken while a small job waited."""

    slices: int = 0
    batches: int = 0


class Turns(RuleBasedStateMachine):
    """Takes turns as the worker does, and notes what each small job has waited for."""

    @initialize(batch_chars=st.sampled_from([0, 100, SLICE_CHARS]))
    def begin(self, batch_chars: int) -> None:
        self.batch_chars = batch_chars
        self.small_chars = SLICE_CHARS if batch_chars == SLICE_CHARS else 4_096
        self.queue = ScoringQueue(batch_chars)
        self.small: dict[ScoringJob, Wait] = {}
        self.long: dict[ScoringJob, None] = {}
        self.slices_left: Counter[ScoringJob] = Counter()
        self.taken: list[ScoringJob] = []

    @rule(chars=st.integers(1, SLICE_CHARS))
    def add(self, chars: int) -> None:
        job = job_of(chars)
        self.queue.add(job)
        self._note(job)

    @rule(slices=st.integers(2, 30))
    def add_long(self, slices: int) -> None:
        job = job_of(slices * SLICE_CHARS)
        self.queue.add(job)
        self._note(job)

    def _note(self, job: ScoringJob) -> None:
        if self.queue.is_long(job):
            self.long[job] = None
            self.slices_left[job] = -(-job.chars // SLICE_CHARS)
        else:
            self.small[job] = Wait()

    @rule(pick=st.randoms(use_true_random=False), is_small=st.booleans())
    def leave(self, pick, is_small) -> None:
        jobs = self.small if is_small else self.long
        if jobs:
            job = pick.choice(list(jobs))
            assert self.queue.remove(job)
            del jobs[job]
            assert not self.queue.remove(job)

    @precondition(lambda self: not self.taken)
    @rule()
    def take(self) -> None:
        self.taken = self.queue.take()
        assert bool(self.taken) == bool(self.small or self.long)
        if not self.taken:
            return
        first = self.taken[0]
        if first in self.long:
            assert self.taken == [first]
            del self.long[first]
            for wait in self.small.values():
                wait.slices += 1
                assert wait.slices <= 1 + wait.batches / 8
            return
        assert first is min(self.small, key=lambda job: (not job.was_lost, job.number))
        for job in self.taken:
            del self.small[job]
        for wait in self.small.values():
            wait.batches += 1
        assert len(self.taken) == 1 or sum(j.chars for j in self.taken) <= self.batch_chars
        assert len(self.taken) == 1 or not any(job.was_lost for job in self.taken)

    @precondition(lambda self: self.taken)
    @rule(is_lost=st.integers(0, 9).map(lambda n: not n))
    def end_turn(self, is_lost: bool) -> None:  # noqa: FBT001
        for job in reversed(self.taken):
            if is_lost and not job.was_lost:
                job.was_lost, job.reading = True, None
                self.queue.put_back(job)
                self._note(job)
            elif self.queue.is_long(job):
                self.slices_left[job] -= 1
                if self.slices_left[job]:
                    job.reading = BatchReading(KeywordScorer(), [job])
                    self.queue.put_back(job)
                    self.long[job] = None
        self.taken = []

    @invariant()
    def counts_those_of_which_nothing_was_read(self) -> None:
        if hasattr(self, "queue"):
            assert len(self.queue) == sum(j.reading is None for j in [*self.small, *self.long])

    def teardown(self) -> None:
        """Everything gets its turn."""
        if not hasattr(self, "queue"):
            return
        self.end_turn(is_lost=False)
        for _ in range(len(self.small) + sum(self.slices_left.values()) + 1):
            self.take()
            if not self.taken:
                break
            self.end_turn(is_lost=False)
        assert not self.small
        assert not self.long
        assert self.queue.clear() == []


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=60, stateful_step_count=60)


def test_a_long_request_goes_on_however_many_small_and_shorter_ones_arrive() -> None:
    queue = ScoringQueue(SLICE_CHARS)
    long = job_of(20 * SLICE_CHARS)
    queue.add(long)
    slices = turns = 0
    while slices < 20:
        for _ in range(3):
            queue.add(job_of(SLICE_CHARS))  # one turn each
        queue.add(job_of(2 * SLICE_CHARS))
        taken = queue.take()
        turns += 1
        if taken == [long]:
            slices += 1
            queue.put_back(long)
        assert turns < 1_000


def test_one_of_a_few_slices_overtakes_a_long_one_at_its_next_slice() -> None:
    queue = ScoringQueue(SLICE_CHARS)
    long, short = job_of(20 * SLICE_CHARS), job_of(2 * SLICE_CHARS)
    queue.add(long)
    assert queue.take() == [long]
    queue.add(short)
    queue.put_back(long)
    assert queue.take() == [short]
    queue.put_back(short)
    assert queue.take() == [short]
    assert queue.take() == [long]


def seconds_of(calls: int) -> float:
    """CPU seconds of adding, leaving and serving that many calls of many lengths."""
    jobs = [job_of(1 + 37 * n % 12_000) for n in range(calls)]
    queue = ScoringQueue(SLICE_CHARS)
    started = time.process_time()
    for job in jobs:
        queue.add(job)
    for job in jobs[::3]:
        queue.remove(job)
    while queue.take():
        pass
    return time.process_time() - started


def test_work_per_call_hardly_grows_with_the_calls_that_wait() -> None:
    few = min(seconds_of(2_000) for _ in range(3))
    many = min(seconds_of(16_000) for _ in range(3))
    assert many < 8 * few * 3
