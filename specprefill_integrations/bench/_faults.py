"""Threads and event loops that call one engine while its scorer fails in every way.

Scores are checksums of question, text and span, so that another caller's answer is recognized.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.errors import DeadlineExceededError
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._span_scorer import ScoreRequest, Slices, SpanScorer
from specprefill_integrations.types import Span

_THREADS = 16
_LOOPS = 2
_TASKS = 16  # on each loop
_PATIENCE_SECONDS = 60.0  # after which a call counts as lost
_HASTE_SECONDS = 0.005  # the deadline of every tenth call

_BATCH_CHARS = 4_096
_SLICE_SECONDS = 0.001
_LARGE_CHARS = 60 * _BATCH_CHARS

_WAITS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsResult:
    """Outcomes of many calls under faults."""

    calls: int
    """Calls made."""

    answered: int
    """Calls that got their scores."""

    failures: Mapping[str, int]
    """Calls that got an error instead, by its type: faults of the scorer, missed deadlines,
    cancelled callers."""

    lost: int
    """Calls without any answer for 60 seconds."""

    crossed: int
    """Calls that got the scores or the error of another request."""

    duplicates: int
    """Calls that were answered twice."""

    shared_answers: int
    """Calls answered from the cache or together with an equal call."""

    lost_batches: int
    """Batches that ended with an error such as `SystemExit`; each was tried again."""

    small_wait_p50_ms: float
    """Median time of small calls, without faults and without large calls."""

    small_wait_p99_ms: float
    """99th percentile of the same."""

    behind_large_p50_ms: float
    """Median time of small calls while large ones are being read all the time."""

    behind_large_p99_ms: float
    """99th percentile of the same."""

    @property
    def is_sound(self) -> bool:
        """True if no call was lost, crossed or answered twice."""
        return not (self.lost or self.crossed or self.duplicates)


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch names it."""


class PoisonError(Exception):
    """Raised for certain requests, each time."""


class InjectedError(Exception):
    """Raised now and then, whatever the request."""


class ChecksumScorer(SpanScorer):
    """Scores by checksum, a slice in a millisecond."""

    @property
    def batch_chars(self) -> int:
        """As few as on a CPU."""
        return _BATCH_CHARS

    def score_in_slices(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> Slices:
        """See `SpanScorer.score_in_slices`."""
        chars = sum(len(text) for request in requests for text in request.texts)
        for _ in range(0, chars, _BATCH_CHARS):
            time.sleep(_SLICE_SECONDS)
            yield
        return self.score_batch(requests, is_wanted=is_wanted)

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Return checksums."""
        return [
            [float(zlib.crc32(f"{query}|{text}|{span}".encode())) for span in found]
            for text, found in zip(texts, spans, strict=True)
        ]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count words."""
        return [len(text.split()) for text in texts]


class FaultyScorer(ChecksumScorer):
    """The same, with faults."""

    def __init__(self, seed: int) -> None:
        """Draw the faults from a seed."""
        self._random = random.Random(seed)  # noqa: S311 - one thread draws, and not for secrets

    def score_batch(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> list[list[list[float]]]:
        """Score, or fail."""
        if any("poison" in text for request in requests for text in request.texts):
            raise PoisonError
        if len(requests) > 8:  # noqa: PLR2004 - a limit of this device
            raise OutOfMemoryError
        scores = super().score_batch(requests, is_wanted=is_wanted)
        fault = self._random.random()
        errors = (InjectedError, CancelledError, asyncio.CancelledError, SystemExit, MemoryError)
        for number, error in enumerate(errors, start=1):
            if fault < number * 0.006:
                raise error
        if fault < 0.04:  # noqa: PLR2004 - a share
            scores[0][0][0] = float("nan")
        if fault > 0.96:  # noqa: PLR2004 - a share
            time.sleep(20 * _SLICE_SECONDS)
        return scores


class _Outcomes:
    """Outcomes of all calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self.calls: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        self.crossed = 0

    def begin(self) -> int:
        """Return the number of a new call."""
        with self._lock:
            number = next(self._numbers)
            self.calls[number] = 0
            return number

    def end(self, number: int, request: ScoreRequest, outcome: object, *, is_hasty: bool) -> None:
        """Note a call's scores or error."""
        poisoned = any("poison" in text for text in request.texts)
        if isinstance(outcome, DeadlineExceededError) and not is_hasty:
            return  # no answer for as long as patience lasts
        crossed = isinstance(outcome, PoisonError) and not poisoned
        if isinstance(outcome, list):
            expected = ChecksumScorer().score_spans(request.query, request.texts, request.spans)
            crossed = poisoned or outcome != expected
        with self._lock:
            self.calls[number] += 1
            self.crossed += crossed
            self.kinds["" if isinstance(outcome, list) else type(outcome).__name__] += 1


class _Callers:
    """Calls an engine from threads and from tasks."""

    def __init__(self, engine: ScoringEngine, calls: int, seed: int) -> None:
        self._engine = engine.with_deadline(_PATIENCE_SECONDS)
        self._hasty = engine.with_deadline(_HASTE_SECONDS)
        self._calls = calls
        self._seed = seed
        self.outcomes = _Outcomes()

    def run(self) -> None:
        """Make all calls."""
        places = _THREADS + _LOOPS * _TASKS
        shares = [self._calls // places + (n < self._calls % places) for n in range(places)]
        runs = [
            threading.Thread(target=self._on_thread, args=(n, shares[n])) for n in range(_THREADS)
        ]
        for number in range(_LOOPS):
            first = _THREADS + number * _TASKS
            tasks = {n: shares[n] for n in range(first, first + _TASKS)}
            runs.append(threading.Thread(target=lambda t=tasks: asyncio.run(self._on_loop(t))))
        for run in runs:
            run.daemon = True
            run.start()
        for run in runs:
            run.join(_PATIENCE_SECONDS + self._calls * 0.1)

    def _requests(self, number: int, calls: int) -> Iterator[tuple[ScoreRequest, random.Random]]:
        draw = random.Random(f"{self._seed} {number}")  # noqa: S311 - not for secrets
        for _ in range(calls):
            yield _request(draw), draw

    def _engine_for(self, draw: random.Random) -> tuple[ScoringEngine, bool]:
        is_hasty = draw.random() < 0.1  # noqa: PLR2004 - a share
        return (self._hasty if is_hasty else self._engine), is_hasty

    def _on_thread(self, number: int, calls: int) -> None:
        for request, draw in self._requests(number, calls):
            engine, is_hasty = self._engine_for(draw)
            call = self.outcomes.begin()
            outcome: object
            try:
                outcome = engine.score_spans(request.query, request.texts, request.spans)
            except Exception as error:  # noqa: BLE001 - its kind is looked at later
                outcome = error
            self.outcomes.end(call, request, outcome, is_hasty=is_hasty)

    async def _on_loop(self, shares: Mapping[int, int]) -> None:
        await asyncio.gather(*(self._on_task(number, share) for number, share in shares.items()))

    async def _on_task(self, number: int, calls: int) -> None:
        for request, draw in self._requests(number, calls):
            engine, is_hasty = self._engine_for(draw)
            call = self.outcomes.begin()
            scoring = engine.ascore_spans(request.query, request.texts, request.spans)
            task = asyncio.create_task(scoring)
            if draw.random() < 0.1:  # noqa: PLR2004 - a share
                asyncio.get_running_loop().call_later(draw.random() / 100, task.cancel)
            [outcome] = await asyncio.gather(task, return_exceptions=True)
            self.outcomes.end(call, request, outcome, is_hasty=is_hasty)


@checked
def measure_faults(
    *, calls: PositiveInt, seed: int = 0, scorer: SpanScorer | None = None
) -> FaultsResult:
    """Make calls from 16 threads and 32 tasks of two event loops, and count what becomes of them.

    Args:
        calls: Number of calls.
        seed: Calls and faults are drawn from it; the order in which threads run is not.
        scorer: The scorer; None for a `FaultyScorer`.
    """
    limits = EngineLimits(cache_entries=20)
    with ScoringEngine(scorer or FaultyScorer(seed), limits=limits) as engine:
        callers = _Callers(engine, calls, seed)
        callers.run()
        found = engine.statistics
    outcomes = callers.outcomes
    alone, behind = _small_waits(large_callers=0), _small_waits(large_callers=4)
    return FaultsResult(
        calls=calls,
        answered=outcomes.kinds[""],
        failures={kind: n for kind, n in sorted(outcomes.kinds.items()) if kind},
        lost=calls - sum(n > 0 for n in outcomes.calls.values()),
        crossed=outcomes.crossed,
        duplicates=sum(n > 1 for n in outcomes.calls.values()),
        shared_answers=found.cache_hits,
        lost_batches=found.restarts,
        small_wait_p50_ms=alone[49],
        small_wait_p99_ms=alone[98],
        behind_large_p50_ms=behind[49],
        behind_large_p99_ms=behind[98],
    )


def _request(draw: random.Random) -> ScoreRequest:
    """Draw one of so few requests that some are made twice at a time; some are large."""
    texts = [f"text {draw.randrange(40)} " * draw.randint(1, 8) for _ in range(draw.randint(1, 2))]
    if draw.random() < 0.03:  # noqa: PLR2004 - a share
        texts[0] += "poison"
    if draw.random() < 0.02:  # noqa: PLR2004 - a share
        texts[0] += "x" * draw.randint(1, 10 * _BATCH_CHARS)
    return ScoreRequest(
        f"question {draw.randrange(3)}",
        texts,
        [[Span(0, 4), Span(4, len(text))] for text in texts],
    )


def _small_waits(*, large_callers: int) -> list[float]:
    """Measure small calls, one after the other, while other callers make large ones.

    Returns:
        Percentiles 1 to 99 of their times, in milliseconds.
    """
    with ScoringEngine(ChecksumScorer(), limits=EngineLimits(cache_entries=0)) as engine:
        is_over = threading.Event()

        def ask_large(number: int) -> None:
            text = f"{number}" * _LARGE_CHARS
            while not is_over.is_set():
                with suppress(DeadlineExceededError):  # leaves soon after it is over
                    engine.with_deadline(0.5).score_spans(None, [text], [[Span(0, 1)]])

        def ask_small(number: int) -> float:
            text = f"small {number} " * 20
            started = time.perf_counter()
            engine.score_spans("question", [text], [[Span(0, 5)]])
            return 1_000 * (time.perf_counter() - started)

        with ThreadPoolExecutor(large_callers + 1) as pool:
            for number in range(large_callers):
                pool.submit(ask_large, number)
            try:
                waits = list(map(ask_small, range(_WAITS)))
            finally:
                is_over.set()
        return statistics.quantiles(waits, n=100, method="inclusive")
