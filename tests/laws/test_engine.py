"""Under faults of every kind no call is lost, no answers are mixed up, and no caller hangs.

Threads and event loops call one engine, while its scorer raises errors, gives NaN, is slow, runs
out of memory and dies, and while callers are cancelled or have little time.
"""

from __future__ import annotations

import threading

import pytest

from specprefill_integrations.bench import measure_faults
from specprefill_integrations.bench._faults import ChecksumScorer

CALLS = 2_000


@pytest.mark.parametrize("seed", [1, 2])
def test_no_call_is_lost_and_no_answer_is_crossed(seed):
    found = measure_faults(calls=CALLS, seed=seed)
    assert found.is_sound
    assert (found.lost, found.crossed, found.duplicates) == (0, 0, 0)
    assert found.answered + sum(found.failures.values()) == CALLS
    assert found.failures.keys() <= {
        "CancelledError",  # of callers
        "DeadlineExceededError",
        "ScoreError",  # NaN
        "InjectedError",
        "MemoryError",
        "PoisonError",
        "ScoringEngineError",  # SystemExit twice, or a scorer's CancelledError
    }
    assert found.answered > CALLS * 0.6
    for fault in ("CancelledError", "DeadlineExceededError", "PoisonError"):
        assert found.failures.get(fault), "what was injected did happen"
    # Each of these reaches a caller once or twice, or not at all: it depends on the batches.
    rare = ("InjectedError", "MemoryError", "ScoreError", "ScoringEngineError")
    assert sum(found.failures.get(fault, 0) for fault in rare) > 0
    assert found.lost_batches > 0
    assert found.shared_answers > 0


def test_the_measurement_sees_crossed_answers():
    class Crossing(ChecksumScorer):
        def score_batch(self, requests, *, is_wanted=None):
            return super().score_batch(requests)[::-1]

    found = measure_faults(calls=400, scorer=Crossing())
    assert found.crossed > 0
    assert not found.is_sound


def test_the_measurement_sees_lost_answers(monkeypatch):
    monkeypatch.setattr("specprefill_integrations.bench._faults._PATIENCE_SECONDS", 0.3)
    gate = threading.Event()

    class Hanging(ChecksumScorer):
        def score_batch(self, requests, *, is_wanted=None):
            if any("text 7 " in text for request in requests for text in request.texts):
                gate.wait(1)
            return super().score_batch(requests)

    found = measure_faults(calls=400, scorer=Hanging())
    assert found.lost > 0
    assert not found.is_sound
