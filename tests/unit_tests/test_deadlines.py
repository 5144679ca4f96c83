"""A deadline is kept by the call as a whole, whichever step is slow, with any scorer."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest

from specprefill_integrations import Budget, ContextCompressor, Span, _deadline
from specprefill_integrations.errors import DeadlineExceededError
from specprefill_integrations.scoring import EngineLimits, ScoringEngine
from specprefill_integrations.scoring._span_scorer import ScorerWrapper
from specprefill_integrations.testing import KeywordScorer

TEXT = "The cat sat on the mat. The dog ran away. It was late. Nobody came."
TEXTS = [f"{n}. {TEXT}" for n in range(10)]
BUDGET = Budget(keep_fraction=0.3)
PATIENCE = 20  # seconds after which a test that waits has failed


class Clock:
    """Time that goes on only when it is told to."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_deadline, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


class Scorer(ScorerWrapper):
    """Scores as `KeywordScorer` does, and does something before."""

    def __init__(self, before: Callable[[], object]) -> None:
        super().__init__(KeywordScorer())
        self.before = before

    def score_spans(self, query, texts, spans):
        self.before()
        return super().score_spans(query, texts, spans)


def wait_until(condition: Callable[[], object]) -> None:
    """Look again and again, as long as patience lasts."""
    for _ in range(PATIENCE * 1_000):
        if condition():
            return
        threading.Event().wait(0.001)
    pytest.fail("it did not come true")


def count_words(text: str) -> int:
    return len(text.split())


class TestSync:
    def reasons(self, compressor: ContextCompressor) -> set[str | None]:
        results = compressor.compress_documents(TEXTS, "cat?", budget=BUDGET)
        if {one.skipped_because for one in results} != {None}:
            assert [one.text for one in results] == TEXTS
        return {one.skipped_because for one in results}

    def test_counting_ends_at_the_text_that_is_counted(self, clock: Clock) -> None:
        counted = []

        def slow(text: str) -> int:
            counted.append(text)
            clock.pass_by(1)
            return count_words(text)

        compressor = ContextCompressor(KeywordScorer(), count_tokens=slow, deadline_seconds=2.5)
        assert self.reasons(compressor) == {"deadline_exceeded"}
        assert counted == TEXTS[:3]

    def test_splitting_ends_at_the_text_that_is_split(self, clock: Clock) -> None:
        split = []

        def slow(text: str) -> list[Span]:
            split.append(text)
            clock.pass_by(1)
            return [Span(0, 20), Span(20, len(text))]

        compressor = ContextCompressor(KeywordScorer(), splitter=slow, deadline_seconds=2.5)
        assert self.reasons(compressor) == {"deadline_exceeded"}
        assert split == TEXTS[:3]

    def test_the_scorer_gets_what_is_left(self, clock: Clock) -> None:
        left = []

        def slow(text: str) -> int:
            clock.pass_by(0.01)
            return count_words(text)

        scorer = Scorer(lambda: left.append(_deadline.seconds_left()))
        compressor = ContextCompressor(scorer, count_tokens=slow, deadline_seconds=60)
        assert self.reasons(compressor) == {None}
        assert 50 < left[0] < 60 - 9 * 0.01
        assert _deadline.seconds_left() is None

    @pytest.mark.parametrize(
        ("seconds", "reason"),
        [(1.99, None), (2.001, None), (2.09, None), (2.2, "deadline_exceeded")],
    )
    def test_scores_that_are_a_moment_late_are_used(
        self, clock: Clock, seconds: float, reason: str | None
    ) -> None:
        scorer = Scorer(lambda: clock.pass_by(seconds))
        assert self.reasons(ContextCompressor(scorer, deadline_seconds=2)) == {reason}

    def test_selecting_ends_too(self, clock: Clock) -> None:
        scored = []

        def slow(text: str) -> int:
            clock.pass_by(1 if scored else 0)
            return count_words(text)

        scorer = Scorer(lambda: scored.append(1))
        compressor = ContextCompressor(scorer, count_tokens=slow, deadline_seconds=2.5)
        assert self.reasons(compressor) == {"deadline_exceeded"}
        assert clock.now - 1_000 < 5

    def test_an_engine_gets_what_is_left(self) -> None:
        gate = threading.Event()
        engine = ScoringEngine(Scorer(lambda: gate.wait(PATIENCE)), deadline_seconds=PATIENCE)
        compressor = ContextCompressor(engine, deadline_seconds=1)
        assert self.reasons(compressor) == {"deadline_exceeded"}
        assert engine.statistics.deadline_misses == 1
        gate.set()
        engine.close()

    def test_its_own_deadline_holds_if_it_is_stricter(self) -> None:
        gate = threading.Event()
        engine = ScoringEngine(Scorer(lambda: gate.wait(PATIENCE)), deadline_seconds=0.05)
        assert self.reasons(ContextCompressor(engine, deadline_seconds=PATIENCE)) == {
            "deadline_exceeded"
        }
        gate.set()
        engine.close()

    def test_who_wants_the_error_gets_it(self, clock: Clock) -> None:
        compressor = ContextCompressor(
            Scorer(lambda: clock.pass_by(9)), deadline_seconds=2, on_error="raise"
        )
        with pytest.raises(DeadlineExceededError, match="deadline of 2 seconds"):
            compressor.compress(TEXT, "cat?", budget=BUDGET)

    def test_what_needs_no_cut_is_never_late(self, clock: Clock) -> None:
        def slow(text: str) -> int:
            clock.pass_by(9)
            return count_words(text)

        compressor = ContextCompressor(KeywordScorer(), count_tokens=slow, deadline_seconds=2)
        result = compressor.compress(TEXT, "cat?", budget=Budget(max_tokens=1_000))
        assert result.skipped_because == "within_budget"


class TestAsync:
    async def reason(self, compressor: ContextCompressor, gate: threading.Event) -> str | None:
        """Why a text came back unchanged, while something waited at the gate."""
        calling = compressor.acompress(TEXT, "cat?", budget=BUDGET)
        result = await asyncio.wait_for(calling, PATIENCE / 2)
        assert not gate.is_set()
        gate.set()  # now, since the event loop waits for its threads at its end
        assert result.text == TEXT
        return result.skipped_because

    async def test_in_time_it_is_the_same(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        hurried = compressor.replace(deadline_seconds=PATIENCE)
        found = [await c.acompress(TEXT, "cat?", budget=BUDGET) for c in (compressor, hurried)]
        assert found[0].text == found[1].text != TEXT

    @pytest.mark.parametrize("step", ["count", "split", "score", "select"])
    async def test_no_step_that_hangs_is_waited_for(self, step: str) -> None:
        gate = threading.Event()
        scored = []

        def hang(at: str) -> None:
            if at == step:
                gate.wait(PATIENCE)

        def split(text: str) -> list[Span]:
            hang("split")
            return [Span(0, 23), Span(23, len(text))]

        def count(text: str) -> int:
            hang("select" if scored else "count")
            return count_words(text)

        def before() -> None:
            scored.append(1)
            hang("score")

        compressor = ContextCompressor(
            Scorer(before), splitter=split, count_tokens=count, deadline_seconds=0.05
        )
        assert await self.reason(compressor, gate) == "deadline_exceeded"

    async def test_nor_a_scorer_that_awaits_for_ever(self) -> None:
        class Endless(ScorerWrapper):
            async def ascore_spans(self, query, texts, spans):
                await asyncio.Event().wait()

        compressor = ContextCompressor(Endless(KeywordScorer()), deadline_seconds=0.05)
        assert await self.reason(compressor, threading.Event()) == "deadline_exceeded"

    async def test_an_engine_counts_what_was_missed(self) -> None:
        gate = threading.Event()
        engine = ScoringEngine(Scorer(lambda: gate.wait(PATIENCE)))
        compressor = ContextCompressor(engine, deadline_seconds=1)
        assert await self.reason(compressor, gate) == "deadline_exceeded"
        assert (engine.statistics.deadline_misses, engine.statistics.cancelled) == (1, 0)

    async def test_a_cancelled_call_leaves_the_queue(self) -> None:
        gate = threading.Event()
        engine = ScoringEngine(Scorer(lambda: gate.wait(PATIENCE)))
        compressor = ContextCompressor(engine, deadline_seconds=PATIENCE)
        task = asyncio.create_task(compressor.acompress(TEXT, "cat?", budget=BUDGET))
        await asyncio.to_thread(wait_until, lambda: engine.statistics.calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_until, lambda: engine.statistics.cancelled)
        gate.set()


class TestArguments:
    @pytest.mark.parametrize(
        ("seconds", "error"),
        [
            (0, ValueError),
            (-1, ValueError),
            (math.inf, ValueError),
            (math.nan, ValueError),
            (True, TypeError),
            ("2", TypeError),
        ],
    )
    def test_a_deadline_is_a_positive_number(self, seconds: object, error: type) -> None:
        for make in (
            lambda: ContextCompressor(KeywordScorer(), deadline_seconds=seconds),
            lambda: ContextCompressor(KeywordScorer()).replace(deadline_seconds=seconds),
            lambda: ScoringEngine(KeywordScorer(), deadline_seconds=seconds),
            lambda: ScoringEngine(KeywordScorer()).with_deadline(seconds),
        ):
            with pytest.raises(error, match="deadline_seconds"):
                make()

    def test_it_can_be_replaced_and_taken_away(self) -> None:
        compressor = ContextCompressor(KeywordScorer()).replace(deadline_seconds=2)
        assert compressor.stages.deadline_seconds == 2
        assert compressor.replace(deadline_seconds=None).stages.deadline_seconds is None

    def test_a_full_queue_has_its_own_reason(self) -> None:
        gate, entered = threading.Event(), threading.Event()

        def before() -> None:
            entered.set()
            gate.wait(PATIENCE)

        engine = ScoringEngine(Scorer(before), limits=EngineLimits(max_waiting=1))
        compressor = ContextCompressor(engine)
        ask = partial(compressor.compress, query="cat?", budget=BUDGET)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(ask, TEXTS[0])
            assert entered.wait(PATIENCE)
            pool.submit(ask, TEXTS[1])
            wait_until(lambda: engine.statistics.waiting)
            result = ask(TEXTS[2])
            gate.set()
        assert (result.text, result.skipped_because) == (TEXTS[2], "queue_full")
