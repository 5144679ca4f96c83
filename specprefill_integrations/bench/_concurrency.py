"""What many callers get out of one draft, against one caller that has all of their texts at once.

Reaches `torch` only through the scorer that it measures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from specprefill_integrations.bench._bench import documentation
from specprefill_integrations.errors import DeadlineExceededError
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._scoring_worker import EngineLimits
from specprefill_integrations.scoring._span_scorer import ScoreRequest, SpanScorer
from specprefill_integrations.splitting._prose import ProseSplitter

# Of different lengths, as callers' questions are.
_QUESTIONS = (
    "Why?",
    "Which exceptions can this statement raise, and when?",
    "How are names bound?",
    "What happens to the object if two threads hold a reference to it and one of them ends?",
    "What does a generator return?",
)

# A text's length as a share of the mean, in turn.
_LENGTHS = (0.4, 1.6, 0.7, 1.3, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyResult:
    """Many callers on one engine, each with one call at a time."""

    callers: int
    """How many there are."""

    calls: int
    """Calls of all of them together."""

    repeats: int
    """Runs of each; what is reported of times are medians, waits are of all runs."""

    one_caller_seconds: float
    """One caller that hands over all texts at once."""

    callers_seconds: float
    """All callers, side by side."""

    throughput_to_one_caller: float
    """Median over runs of calls answered a second, to those of one caller in the same run."""

    wait_p50_seconds: float
    """Half of the calls took no longer."""

    wait_p99_seconds: float
    """99 of 100 calls took no longer."""

    wait_max_seconds: float
    """No call took longer."""

    mean_batch_requests: float
    """Requests that were scored together, on average."""

    deadline_seconds: float | None
    """How long a call may take; None for as long as it takes."""

    deadline_misses: int
    """Calls of all runs that were given up: their texts would be passed on as they are."""


def concurrent_requests(calls: int, mean_chars: int) -> list[ScoreRequest]:
    """Different parts of the documentation, of different lengths, with different questions.

    Args:
        calls: How many.
        mean_chars: Characters of a text, on average over five of them.
    """
    longest = int(mean_chars * max(_LENGTHS))
    whole = documentation(calls * longest)
    requests = []
    for number in range(calls):
        start = number * longest
        length = int(mean_chars * _LENGTHS[number % len(_LENGTHS)])
        text = whole[start : start + length]
        question = _QUESTIONS[number % len(_QUESTIONS)]
        requests.append(ScoreRequest(question, [text], [ProseSplitter()(text)]))
    return requests


def measure_concurrency(
    scorer: SpanScorer,
    requests: Sequence[ScoreRequest],
    *,
    callers: int,
    repeats: int,
    deadline_seconds: float | None = None,
) -> ConcurrencyResult:
    """Time one caller and many in turn, after some calls to warm up.

    Args:
        scorer: What is measured.
        requests: What is asked; nothing is answered from a cache.
        callers: How many ask at a time.
        repeats: Runs of each.
        deadline_seconds: How long a call of the many may take; None for as long as it takes.
    """
    scorer.score_batch(requests[:callers])
    limits = EngineLimits(cache_entries=0)
    times, throughputs, batch_sizes = [], [], []
    waits: list[float] = []
    deadline_misses = 0
    for _ in range(repeats):
        started = time.perf_counter()
        scorer.score_batch(requests)
        one = time.perf_counter() - started
        with ScoringEngine(scorer, limits=limits, deadline_seconds=deadline_seconds) as engine:
            started = time.perf_counter()
            waits += _waits(engine, requests, callers)
            many = time.perf_counter() - started
            done = engine.statistics
        answered = len(requests) - done.deadline_misses
        times.append((one, many))
        throughputs.append((answered / many) / (len(requests) / one))
        batch_sizes.append(done.mean_batch_requests)
        deadline_misses += done.deadline_misses
    percentiles = statistics.quantiles(waits, n=100, method="inclusive")
    return ConcurrencyResult(
        callers=callers,
        calls=len(requests),
        repeats=repeats,
        one_caller_seconds=statistics.median(one for one, _ in times),
        callers_seconds=statistics.median(many for _, many in times),
        throughput_to_one_caller=statistics.median(throughputs),
        wait_p50_seconds=percentiles[49],
        wait_p99_seconds=percentiles[98],
        wait_max_seconds=max(waits),
        mean_batch_requests=statistics.median(batch_sizes),
        deadline_seconds=deadline_seconds,
        deadline_misses=deadline_misses,
    )


def _waits(engine: ScoringEngine, requests: Sequence[ScoreRequest], callers: int) -> list[float]:
    """Ask everything, so many at a time. Seconds of each call, answered or given up."""

    def ask(request: ScoreRequest) -> float:
        started = time.perf_counter()
        with suppress(DeadlineExceededError):  # the engine counts them
            engine.score_spans(request.query, request.texts, request.spans)
        return time.perf_counter() - started

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(ask, requests))
