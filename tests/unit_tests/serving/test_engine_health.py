"""A busy engine is healthy; one that is stuck, broken or not yet loaded is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from specprefill_integrations import Span
from specprefill_integrations.errors import DeadlineExceededError, EngineBusyError
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.serving._engine_health import EngineHealth
from specprefill_integrations.testing import KeywordScorer


class Gated(SpanScorer):
    """Waits for a turn before it scores "slow"; scores other texts at once."""

    def __init__(self) -> None:
        self.turns = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        if texts[0].startswith("slow"):
            assert self.turns.acquire(timeout=20)
            self.finished.release()
        return KeywordScorer().score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return KeywordScorer().count_tokens(texts)


@pytest.fixture
def scorer() -> Iterator[Gated]:
    found = Gated()
    yield found
    found.turns.release(100)


def submit(engine: ScoringEngine, text: str) -> None:
    calls = engine.statistics.calls
    threading.Thread(
        target=engine.score_spans, args=("a", [text], [[Span(0, 1)]]), daemon=True
    ).start()
    wait_until(lambda: engine.statistics.calls > calls)


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        threading.Event().wait(0.001)


@pytest.mark.parametrize("max_waiting", [None, 1])
async def test_a_busy_engine_is_healthy_until_it_is_stuck(
    scorer: Gated, max_waiting: int | None
) -> None:
    now = [1000.0]
    engine = ScoringEngine(scorer, limits=EngineLimits(max_waiting=max_waiting))
    health = EngineHealth(engine, probe_seconds=0.05, clock=lambda: now[0])
    await health.check()
    now[0] += 5_000  # idle, and asked by nobody
    submit(engine, "slow one")
    if max_waiting:
        wait_until(lambda: not engine.statistics.waiting)
        submit(engine, "slow two")
    await health.check()
    now[0] += 59
    await health.check()
    if not max_waiting:
        submit(engine, "slow two")
    before = engine.statistics.scoring_seconds
    scorer.turns.release()
    assert scorer.finished.acquire(timeout=20)
    wait_until(lambda: engine.statistics.scoring_seconds > before)
    now[0] += 59
    await health.check()
    now[0] += 61
    with pytest.raises((DeadlineExceededError, EngineBusyError)):
        await health.check()
    scorer.turns.release(100)
    wait_until(lambda: not engine.statistics.waiting)
    await health.check()


async def test_a_draft_that_is_still_loading_is_not_ready(scorer: Gated) -> None:
    engine = ScoringEngine(scorer)
    submit(engine, "slow one")
    health = EngineHealth(engine, probe_seconds=0.05)
    with pytest.raises(DeadlineExceededError):
        await health.check()


async def test_an_error_of_the_scorer_is_raised() -> None:
    class Broken(KeywordScorer):
        def score_spans(self, *_: Any) -> list[list[float]]:
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await EngineHealth(ScoringEngine(Broken())).check()
