"""Under faults of every kind no call is lost, no answers are mixed up, and no caller hangs.

Threads and event loops call one engine 2,000 times in all, while its scorer raises errors, is slow,
runs out of memory and dies, and while callers are cancelled or have little time.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from specprefill_integrations import Span
from specprefill_integrations.errors import DeadlineExceededError, ScoringEngineError
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._span_scorer import SpanScorer

CALLS = 2000
THREADS = 16
LOOPS = 2
TASKS = 16  # on each loop
PATIENCE = 60  # seconds


class InjectedError(Exception):
    """What the scorer raises now and then, whatever it is asked."""


class PoisonError(Exception):
    """What it raises always where one of the requests is poisoned."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


class FaultyScorer(SpanScorer):
    """Scores are a checksum of query, text and span: no two answers are alike."""

    batch_chars = 400

    def __init__(self, seed):
        self.random = random.Random(seed)  # noqa: S311 - one thread draws, and not for secrets
        self.scorers = Counter()
        self.scoring_now = 0

    def score_batch(self, requests, *, is_wanted):
        self.scorers[threading.get_ident()] += 1
        self.scoring_now += 1
        assert self.scoring_now == 1, "one at a time"
        try:
            self._misbehave(requests)
            if not is_wanted():
                raise CancelledError
            return [scores_of(r.query, r.texts, r.spans) for r in requests]
        finally:
            self.scoring_now -= 1

    def _misbehave(self, requests):
        if any("poison" in text for request in requests for text in request.texts):
            raise PoisonError
        if len(requests) > 8:
            raise OutOfMemoryError
        fault = self.random.random()
        if fault < 0.02:
            raise InjectedError
        if fault < 0.03:
            raise SystemExit
        time.sleep(0.01 if fault < 0.08 else 0.0005)

    def score_spans(self, query, texts, spans):
        return scores_of(query, texts, spans)

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]


def scores_of(query, texts, spans):
    return [
        [float(zlib.crc32(f"{query}|{text}|{span}".encode())) for span in found]
        for text, found in zip(texts, spans, strict=True)
    ]


def request_of(draw):
    """Few enough different requests that some are asked for twice at a time."""
    texts = [f"text {draw.randrange(40)} " * draw.randint(1, 8) for _ in range(draw.randint(1, 2))]
    if draw.random() < 0.03:
        texts[0] += "poison"
    spans = [[Span(0, 4), Span(4, len(text))] for text in texts]
    return f"question {draw.randrange(3)}", texts, spans


class Callers:
    """Calls an engine from everywhere and notes what became of each call."""

    def __init__(self, engine, seed):
        self.engine = engine
        self.hasty = engine.with_deadline(0.005)
        self.seed = seed
        self.outcomes = Counter()
        self.lock = threading.Lock()

    def note(self, request, outcome):
        poisoned = any("poison" in text for text in request[1])
        if isinstance(outcome, list):
            assert outcome == scores_of(*request), "someone else's answer"
            assert not poisoned
        if isinstance(outcome, PoisonError):
            assert poisoned, "someone else's error"
        with self.lock:
            self.outcomes[type(outcome)] += 1

    def run(self):
        """Make all calls, from threads and from loops on threads of their own."""
        with ThreadPoolExecutor(THREADS + LOOPS) as pool:
            share = CALLS // 2
            runs = [pool.submit(self.on_thread, n, share // THREADS + 1) for n in range(THREADS)]
            runs += [
                pool.submit(asyncio.run, self.on_loop(n, share // LOOPS // TASKS + 1))
                for n in range(LOOPS)
            ]
            for run in runs:
                run.result(PATIENCE)

    def on_thread(self, number, calls):
        draw = random.Random(f"{self.seed} thread {number}")  # noqa: S311
        for _ in range(calls):
            request = request_of(draw)
            engine = self.hasty if draw.random() < 0.1 else self.engine
            try:
                outcome = engine.score_spans(*request)
            except Exception as error:  # noqa: BLE001 - its kind is looked at later
                outcome = error
            self.note(request, outcome)

    async def on_loop(self, number, calls):
        await asyncio.gather(*(self.on_task(f"{number} {n}", calls) for n in range(TASKS)))

    async def on_task(self, name, calls):
        draw = random.Random(f"{self.seed} task {name}")  # noqa: S311
        for _ in range(calls):
            request = request_of(draw)
            engine = self.hasty if draw.random() < 0.1 else self.engine
            task = asyncio.create_task(engine.ascore_spans(*request))
            if draw.random() < 0.1:
                asyncio.get_running_loop().call_later(draw.random() / 100, task.cancel)
            [outcome] = await asyncio.gather(task, return_exceptions=True)
            self.note(request, outcome)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_call_is_lost_and_no_answer_is_crossed(seed):
    scorer = FaultyScorer(seed)
    with ScoringEngine(scorer, limits=EngineLimits(cache_entries=20)) as engine:
        callers = Callers(engine, seed)
        callers.run()
        found = engine.statistics
    outcomes = callers.outcomes
    assert sum(outcomes.values()) == found.calls >= CALLS
    assert set(outcomes) <= {
        list,
        asyncio.CancelledError,
        DeadlineExceededError,
        InjectedError,
        PoisonError,
        ScoringEngineError,
    }
    assert outcomes[list] > CALLS * 0.6
    assert outcomes[PoisonError] > 10  # what was injected did happen
    assert found.deadline_misses == outcomes[DeadlineExceededError] > 0
    assert found.cancelled == outcomes[asyncio.CancelledError] > 0
    assert found.restarts > 0
    assert found.cache_hits > 0
    assert found.waiting == 0
    assert found.mean_batch_requests > 1.5
