"""Throughput and waiting time of concurrent callers that share one draft."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, checked
from specprefill_integrations.bench._sample_texts import documentation
from specprefill_integrations.errors import DeadlineExceededError
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._span_scorer import ScoreRequest, SpanScorer
from specprefill_integrations.splitting._prose import ProseSplitter

_QUESTIONS = (
    "Why?",
    "Which exceptions can this statement raise, and when?",
    "How are names bound?",
    "What happens to the object if two threads hold a reference to it and one of them ends?",
    "What does a generator return?",
)

# Lengths of successive texts as shares of the mean.
_LENGTHS = (0.4, 1.6, 0.7, 1.3, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyResult:
    """Measurement of many callers on one engine, each with one call at a time."""

    callers: int
    """Number of callers."""

    calls: int
    """Number of calls."""

    repeats: int
    """Runs; times are medians over them, waits are of all of them."""

    one_caller_seconds: float
    """Time of one caller with all texts at once."""

    callers_seconds: float
    """Time of all callers concurrently."""

    throughput_to_one_caller: float
    """Calls answered per second, relative to one caller in the same run; median over runs."""

    wait_p50_seconds: float
    """Median time of a call."""

    wait_p99_seconds: float
    """99th percentile of the time of a call."""

    wait_max_seconds: float
    """Longest time of a call."""

    mean_batch_requests: float
    """Mean number of requests scored together."""

    deadline_seconds: float | None
    """Time limit of a call; None for none."""

    deadline_misses: int
    """Calls of all runs that reached the limit; their texts would pass through unchanged."""


@checked
def concurrent_requests(calls: PositiveInt, mean_chars: PositiveInt) -> list[ScoreRequest]:
    """Make requests of different texts, lengths and questions.

    Args:
        calls: Number of requests.
        mean_chars: Mean length of a text in characters.
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


@checked
def measure_concurrency(
    scorer: SpanScorer,
    requests: Sequence[ScoreRequest],
    *,
    callers: PositiveInt,
    repeats: PositiveInt,
    deadline_seconds: PositiveFloat | None = None,
) -> ConcurrencyResult:
    """Time one caller and many callers alternately, after a warm-up and without a cache.

    Args:
        scorer: The scorer to share.
        requests: The calls to make.
        callers: Number of concurrent callers.
        repeats: Runs of each.
        deadline_seconds: Time limit of a concurrent call; None for none.
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
    """Make all calls concurrently; return the seconds of each, failed ones included."""

    def ask(request: ScoreRequest) -> float:
        started = time.perf_counter()
        with suppress(DeadlineExceededError):  # the engine counts them
            engine.score_spans(request.query, request.texts, request.spans)
        return time.perf_counter() - started

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(ask, requests))
