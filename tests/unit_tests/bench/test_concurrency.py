"""The bench of many callers measures what it says. No test here looks at a clock's verdict."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from specprefill_integrations.bench._concurrency import (
    concurrent_requests,
    measure_concurrency,
)
from specprefill_integrations.testing import KeywordScorer

PATIENCE = 30


class CountingScorer:
    """A `KeywordScorer` that counts what it is asked, and by whom."""

    batch_chars = 500

    def __init__(self):
        self.threads = Counter()

    def score_batch(self, requests, *, is_wanted=None):
        self.threads[threading.current_thread().name] += len(requests)
        return [self.score_spans(r.query, r.texts, r.spans) for r in requests]

    def score_spans(self, query, texts, spans):
        return KeywordScorer().score_spans(query, texts, spans)

    def count_tokens(self, texts):
        return KeywordScorer().count_tokens(texts)


def test_texts_and_questions_differ():
    requests = concurrent_requests(10, 200)
    assert len({request.texts[0] for request in requests}) == 10
    assert len({request.query for request in requests}) == 5
    lengths = [len(request.texts[0]) for request in requests]
    assert sum(lengths) == 2000
    assert len(set(lengths)) == 5
    for request in requests:
        assert request.spans[0][-1].end <= len(request.texts[0])


def test_everything_is_asked_each_time_by_one_and_by_many():
    scorer = CountingScorer()
    found = measure_concurrency(scorer, concurrent_requests(20, 200), callers=4, repeats=2)
    assert scorer.threads == {threading.current_thread().name: 4 + 40, "specprefill-scoring": 40}
    assert (found.callers, found.calls, found.repeats) == (4, 20, 2)
    assert 0 < found.wait_p50_seconds <= found.wait_p99_seconds <= found.wait_max_seconds
    assert (found.deadline_seconds, found.deadline_misses) == (None, 0)
    assert found.mean_batch_requests >= 1


def test_one_run_is_its_own_median():
    found = measure_concurrency(CountingScorer(), concurrent_requests(8, 100), callers=2, repeats=1)
    assert found.throughput_to_one_caller == pytest.approx(
        found.one_caller_seconds / found.callers_seconds
    )


def test_calls_that_take_too_long_are_given_up_and_counted():
    gate = threading.Event()

    class SlowForTheEngine(CountingScorer):
        def score_batch(self, requests, *, is_wanted=None):
            if threading.current_thread().name == "specprefill-scoring":
                gate.wait(PATIENCE)
            return super().score_batch(requests)

    opened = threading.Timer(0.2, gate.set)  # so that closing the engine ends
    opened.start()
    found = measure_concurrency(
        SlowForTheEngine(),
        concurrent_requests(4, 100),
        callers=4,
        repeats=1,
        deadline_seconds=0.01,
    )
    opened.join()
    assert (found.deadline_seconds, found.deadline_misses) == (0.01, 4)
    assert found.throughput_to_one_caller == 0
    assert found.wait_p50_seconds <= found.wait_max_seconds
