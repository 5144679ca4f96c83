"""Many callers, one scorer: turns, deadlines, errors, caching, forks and pickles. No model here."""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from blockbuster import blockbuster_ctx

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.errors import (
    DeadlineExceededError,
    EngineBusyError,
    EngineClosedError,
    ScoreError,
    ScoringEngineError,
)
from specprefill_integrations.scoring._engine import ScoringEngine, shared_engine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._span_scorer import ScoreRequest, SpanScorer
from specprefill_integrations.testing import KeywordScorer

SPANS = [[Span(0, 3), Span(4, 7)]]
PATIENCE = 20  # seconds after which a test that waits has failed


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


class GatedScorer(SpanScorer):
    """Scores batches as `KeywordScorer` does, once its gate is open, and remembers them."""

    def __init__(self, *, is_open: bool = True, fault: Callable[[list[str]], None] | None = None):
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[str]] = []
        self.fault = fault
        self.threads: set[int | None] = set()
        if is_open:
            self.gate.set()

    @property
    def batch_chars(self) -> int:
        return 1000

    def score_batch(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> list[list[list[float]]]:
        asked = [request.texts[0] for request in requests]
        self.batches.append(asked)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        if self.fault is not None:
            self.fault(asked)
        return [KeywordScorer().score_spans(r.query, r.texts, r.spans) for r in requests]

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        return self.score_batch([ScoreRequest(query, texts, spans)])[0]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return KeywordScorer().count_tokens(texts)

    def token_spans(self, text: str) -> list[Span]:
        return KeywordScorer().token_spans(text)


class SlicedScorer(GatedScorer):
    """Takes a slice for each 4,000 characters, and each when it is allowed to."""

    def __init__(self):
        super().__init__()
        self.slices = []
        self.slice_begins = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)

    def allow(self, slices):
        self.allowed.release(slices)

    def score_in_slices(self, requests, *, is_wanted=None):
        text = requests[0].texts[0]
        for number in range(0, len(text), 4_000):
            if number:
                yield
            self.slice_begins.release()
            assert self.allowed.acquire(timeout=PATIENCE)
            self.slices.append("long" if len(text) > 4_096 else text)
        return self.score_batch(requests)


def expected(text, query="cat"):
    return KeywordScorer().score_spans(query, [text], SPANS)


def wait_until(condition):
    """Look again and again, as long as patience lasts."""
    for _ in range(PATIENCE * 1000):
        if condition():
            return
        threading.Event().wait(0.001)
    pytest.fail("it did not come true")


class Crowd:
    """Callers on threads of their own: the first is being scored, the others wait behind it."""

    def __init__(self, engine, scorer):
        self.engine, self.scorer = engine, scorer
        self.pool = ThreadPoolExecutor(32)
        self.first = self.ask("the hen")
        assert scorer.entered.wait(PATIENCE)

    def ask(self, text):
        return self.pool.submit(self.engine.score_spans, "cat", [text], SPANS)

    def ask_all(self, texts):
        """Ask one after the other, so that they wait in this order."""
        asked = []
        for number, text in enumerate(texts, start=self.engine.statistics.waiting + 1):
            asked.append(self.ask(text))
            wait_until(lambda n=number: self.engine.statistics.waiting == n)
        return asked

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.scorer.gate.set()
        self.pool.shutdown()


class TestTurns:
    def test_an_answer_is_the_scorers_own(self):
        with ScoringEngine(GatedScorer()) as engine:
            assert engine.score_spans("cat", ["the cat"], SPANS) == expected("the cat")

    async def test_awaited_it_is_the_same(self):
        with ScoringEngine(GatedScorer()) as engine:
            assert await engine.ascore_spans("cat", ["the cat"], SPANS) == expected("the cat")

    def test_those_that_wait_are_scored_together_in_order(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            asked = crowd.ask_all(["the cat", "the dog", "the ant"])
            scorer.gate.set()
            assert [a.result(PATIENCE) for a in asked] == [
                expected(text) for text in ("the cat", "the dog", "the ant")
            ]
        assert scorer.batches == [["the hen"], ["the cat", "the dog", "the ant"]]

    def test_a_batch_holds_no_more_than_it_may_and_the_oldest_is_in_it(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer, limits=EngineLimits(max_batch_chars=20))
        with Crowd(engine, scorer) as crowd:
            long = "the " + "x" * 50
            asked = crowd.ask_all([long, "the cat", "the dog", "the ant"])
            scorer.gate.set()
            for answer in asked:
                answer.result(PATIENCE)
        assert scorer.batches[1:] == [[long], ["the cat", "the dog"], ["the ant"]]

    def test_those_about_as_long_as_the_oldest_are_scored_with_it(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer, limits=EngineLimits(max_batch_chars=60))
        with Crowd(engine, scorer) as crowd:
            short, long = ["the cat", "the dog"], ["the " + letter * 21 for letter in "xy"]
            asked = crowd.ask_all([short[0], long[0], short[1], long[1]])
            scorer.gate.set()
            for answer in asked:
                answer.result(PATIENCE)
        assert scorer.batches[1:] == [[*short, long[0]], [long[1]]]

    def test_a_scorer_without_batches_scores_one_at_a_time(self):
        with ScoringEngine(KeywordScorer()) as engine, ThreadPoolExecutor(8) as pool:
            texts = [f"the {word}" for word in ("cat", "dog", "ant", "owl") * 5]
            asked = [pool.submit(engine.score_spans, "cat", [t], SPANS) for t in texts]
            assert [a.result(PATIENCE) for a in asked] == [expected(t) for t in texts]
            assert engine.statistics.batches == 4

    def test_small_ones_are_scored_between_slices_of_long_ones(self):
        scorer = SlicedScorer()
        engine = ScoringEngine(scorer)
        long = "long " * 4_000
        with ThreadPoolExecutor(8) as pool:
            first = pool.submit(engine.score_spans, "cat", [long], SPANS)
            scorer.slice_begins.acquire()
            small = pool.submit(engine.score_spans, "cat", ["the cat"], SPANS)
            wait_until(lambda: engine.statistics.waiting == 1)
            scorer.allow(2)
            assert small.result(PATIENCE) == expected("the cat")
            assert not first.done()
            second = pool.submit(engine.score_spans, "cat", ["the dog"], SPANS)
            wait_until(lambda: engine.statistics.waiting == 1)
            scorer.allow(100)
            assert second.result(PATIENCE) == expected("the dog")
            assert first.result(PATIENCE) == expected(long)
        assert scorer.slices == ["long", "the cat", "long", "the dog", *["long"] * 3]
        assert (engine.statistics.batches, engine.statistics.batched_requests) == (3, 3)

    def test_a_long_one_that_nobody_waits_for_is_not_read_on(self):
        scorer = SlicedScorer()
        engine = ScoringEngine(scorer)
        scorer.allow(2)
        with pytest.raises(DeadlineExceededError):
            engine.with_deadline(0.05).score_spans("cat", ["long " * 4_000], SPANS)
        scorer.allow(100)
        assert engine.score_spans("cat", ["the cat"], SPANS) == expected("the cat")
        assert scorer.slices.count("long") < 6

    def test_closing_ends_the_long_one_that_is_read_and_refuses_those_that_pause(self):
        scorer = SlicedScorer()
        engine = ScoringEngine(scorer)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(engine.score_spans, "cat", ["long " * 4_000], SPANS)]
            scorer.slice_begins.acquire()
            asked.append(pool.submit(engine.score_spans, "cat", ["other " * 2_000], SPANS))
            wait_until(lambda: engine.statistics.waiting == 1)
            scorer.allow(1)
            wait_until(lambda: engine.statistics.waiting == 0)  # it overtook the longer one
            closing = pool.submit(engine.close)
            with pytest.raises(EngineClosedError):
                asked[0].result(PATIENCE)
            scorer.allow(100)
            assert asked[1].result(PATIENCE) == expected("other " * 2_000)
            closing.result(PATIENCE)

    def test_one_thread_scores_and_ends_when_nothing_waits(self):
        scorer = GatedScorer()
        before = threading.active_count()
        with ScoringEngine(scorer) as engine:
            engine.score_spans("cat", ["the cat"], SPANS)
            assert threading.get_ident() not in scorer.threads
            wait_until(lambda: threading.active_count() == before)
            assert engine.score_spans("cat", ["the dog"], SPANS) == expected("the dog")

    def test_counting_does_not_wait_behind_scoring(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            assert crowd.engine.count_tokens(["the cat"]) == [2]
            assert crowd.engine.token_spans("the cat") == SPANS[0]
            assert not scorer.gate.is_set()


class TestDeadlines:
    def test_a_caller_leaves_in_time_while_its_batch_goes_on(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer, deadline_seconds=0.05)
        with pytest.raises(DeadlineExceededError, match=r"0\.05 seconds"):
            engine.score_spans("cat", ["the cat"], SPANS)
        scorer.gate.set()  # not before now: the caller did not wait for the scorer
        engine.close()
        assert engine.statistics.deadline_misses == 1
        assert engine.statistics.cancelled == 0

    async def test_so_does_one_on_an_event_loop(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer, deadline_seconds=0.05)
        with pytest.raises(DeadlineExceededError):
            await engine.ascore_spans("cat", ["the cat"], SPANS)
        scorer.gate.set()

    def test_what_was_not_begun_is_dropped(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer)
        with Crowd(engine, scorer) as crowd:
            with pytest.raises(DeadlineExceededError):
                engine.with_deadline(0.02).score_spans("cat", ["the dog"], SPANS)
            asked = crowd.ask("the cat")
            wait_until(lambda: engine.statistics.calls == 3)
            scorer.gate.set()
            assert asked.result(PATIENCE) == expected("the cat")
        assert scorer.batches == [["the hen"], ["the cat"]]

    def test_scoring_stops_when_nobody_waits_any_more(self):
        class Endless(GatedScorer):
            def score_batch(self, requests, *, is_wanted=None):
                if requests[0].texts == ("the cat",):
                    wait_until(lambda: not is_wanted())
                    raise CancelledError
                return super().score_batch(requests)

        with ScoringEngine(Endless(), deadline_seconds=0.02) as engine:
            with pytest.raises(DeadlineExceededError):
                engine.score_spans("cat", ["the cat"], SPANS)
            patient = engine.with_deadline(None)
            assert patient.score_spans("cat", ["the dog"], SPANS) == expected("the dog")

    def test_who_comes_when_scoring_was_just_given_up_gets_an_answer(self):
        given_up, come = threading.Event(), threading.Event()

        class Slow(GatedScorer):
            def score_batch(self, requests, *, is_wanted=None):
                if not given_up.is_set():
                    wait_until(lambda: not is_wanted())
                    given_up.set()
                    assert come.wait(PATIENCE)
                    raise CancelledError
                return super().score_batch(requests)

        with ScoringEngine(Slow()) as engine, ThreadPoolExecutor(1) as pool:
            with pytest.raises(DeadlineExceededError):
                engine.with_deadline(0.02).score_spans("cat", ["the cat"], SPANS)
            assert given_up.wait(PATIENCE)
            late = pool.submit(engine.score_spans, "cat", ["the cat"], SPANS)
            wait_until(lambda: engine.statistics.calls == 2)
            come.set()
            assert late.result(PATIENCE) == expected("the cat")

    def test_a_compressor_hands_on_the_whole_text(self):
        scorer = GatedScorer(is_open=False)
        compressor = ContextCompressor(ScoringEngine(scorer, deadline_seconds=0.02))
        text = "The cat sat. The dog ran. It was late."
        assert compressor.compress(text, "cat?", budget=Budget(max_tokens=5)).text == text
        scorer.gate.set()


class TestCancelling:
    async def test_a_cancelled_call_that_waits_is_not_begun(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            task = asyncio.create_task(crowd.engine.ascore_spans("cat", ["the dog"], SPANS))
            other = asyncio.create_task(crowd.engine.ascore_spans("cat", ["the cat"], SPANS))
            await asyncio.sleep(0.01)
            assert crowd.engine.statistics.waiting == 2
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            scorer.gate.set()
            assert await other == expected("the cat")
            assert crowd.engine.statistics.cancelled == 1
        assert scorer.batches == [["the hen"], ["the cat"]]

    async def test_who_asks_the_same_still_gets_an_answer(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            tasks = [
                asyncio.create_task(crowd.engine.ascore_spans("cat", ["the cat"], SPANS))
                for _ in range(3)
            ]
            await asyncio.sleep(0.01)
            tasks[0].cancel()
            scorer.gate.set()
            assert await asyncio.gather(*tasks[1:]) == [expected("the cat")] * 2
        assert scorer.batches == [["the hen"], ["the cat"]]

    async def test_a_loop_is_never_blocked(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer)
        with blockbuster_ctx():
            tasks = [
                asyncio.create_task(engine.ascore_spans("cat", [f"the {word}"], SPANS))
                for word in ("cat", "dog", "ant")
            ]
            await asyncio.sleep(0.01)  # a blocked loop could not open the gate
            scorer.gate.set()
            found = await asyncio.gather(*tasks)
        assert found == [expected(f"the {word}") for word in ("cat", "dog", "ant")]


class TestErrors:
    def test_a_bad_request_fails_alone(self):
        def fault(asked):
            if "the dog" in asked:
                msg = "no dogs"
                raise ValueError(msg)

        scorer = GatedScorer(is_open=False, fault=fault)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            asked = crowd.ask_all(["the cat", "the dog", "the ant", "the owl", "the bee"])
            scorer.gate.set()
            with pytest.raises(ValueError, match="no dogs"):
                asked.pop(1).result(PATIENCE)
            assert [a.result(PATIENCE) for a in asked] == [
                expected(text) for text in ("the cat", "the ant", "the owl", "the bee")
            ]

    def test_where_memory_runs_out_batches_are_halved(self):
        def fault(asked):
            if len(asked) > 2:
                raise OutOfMemoryError

        scorer = GatedScorer(is_open=False, fault=fault)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            texts = ["the cat", "the dog", "the ant", "the owl"]
            asked = crowd.ask_all(texts)
            scorer.gate.set()
            assert [a.result(PATIENCE) for a in asked] == list(map(expected, texts))
        assert list(map(len, scorer.batches)) == [1, 4, 2, 2]

    def test_where_it_does_not_suffice_for_one_its_caller_is_told(self):
        def fault(asked):
            raise OutOfMemoryError

        compressor = ContextCompressor(ScoringEngine(GatedScorer(fault=fault)))
        text = "The cat sat. The dog ran. It was late."
        assert compressor.compress(text, "cat?", budget=Budget(max_tokens=5)).text == text
        with pytest.raises(OutOfMemoryError):
            compressor.scorer.score_spans("cat", ["the cat"], SPANS)

    def test_what_ends_threads_is_tried_once_more(self):
        deaths = iter([True, False])

        def fault(asked):
            if asked == ["the cat"] and next(deaths):
                raise SystemExit

        with ScoringEngine(GatedScorer(fault=fault)) as engine:
            assert engine.score_spans("cat", ["the cat"], SPANS) == expected("the cat")
            assert engine.statistics.restarts == 1

    def test_a_request_that_ends_threads_each_time_fails_alone(self):
        def fault(asked):
            if "the dog" in asked:
                raise SystemExit

        scorer = GatedScorer(is_open=False, fault=fault)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            cat, dog, ant = crowd.ask_all(["the cat", "the dog", "the ant"])
            scorer.gate.set()
            with pytest.raises(ScoringEngineError, match="twice") as raised:
                dog.result(PATIENCE)
            assert isinstance(raised.value.__cause__, SystemExit)
            assert cat.result(PATIENCE) == expected("the cat")
            assert ant.result(PATIENCE) == expected("the ant")
            assert crowd.engine.score_spans("cat", ["the owl"], SPANS) == expected("the owl")

    def test_an_answer_of_another_shape_is_refused(self):
        class Careless(KeywordScorer):
            def score_spans(self, query, texts, spans):
                return [[0.5]]

        with ScoringEngine(Careless()) as engine, pytest.raises(ScoringEngineError, match="span"):
            engine.score_spans("cat", ["the cat"], SPANS)

    def test_too_many_that_wait_are_refused_but_not_those_who_left(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer, limits=EngineLimits(max_waiting=2))
        with Crowd(engine, scorer) as crowd:
            [asked] = crowd.ask_all(["the cat"])
            with pytest.raises(DeadlineExceededError):
                engine.with_deadline(0.01).score_spans("cat", ["the dog"], SPANS)
            assert engine.statistics.waiting == 1
            ant = crowd.ask("the ant")  # takes the place of the one that left
            wait_until(lambda: engine.statistics.calls == 4)
            with pytest.raises(EngineBusyError, match="2 requests"):
                engine.score_spans("cat", ["the owl"], SPANS)
            scorer.gate.set()
            assert asked.result(PATIENCE) == expected("the cat")
            assert ant.result(PATIENCE) == expected("the ant")

    @pytest.mark.parametrize("error", [CancelledError, asyncio.CancelledError])
    async def test_a_scorer_that_calls_itself_cancelled_is_asked_twice_at_most(self, error):
        def fault(asked):
            raise error

        scorer = GatedScorer(fault=fault)
        with ScoringEngine(scorer) as engine:
            with pytest.raises(ScoringEngineError):
                engine.score_spans("cat", ["the cat"], SPANS)
            with pytest.raises(ScoringEngineError):
                await engine.ascore_spans("cat", ["the dog"], SPANS)
        assert len(scorer.batches) <= 4

    @pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
    def test_a_score_that_is_no_number_fails_its_caller_alone_and_once(self, score):
        class OnceBad(GatedScorer):
            bad = 2  # in the batch, then alone

            def score_batch(self, requests, *, is_wanted=None):
                found = super().score_batch(requests)
                for request, scores in zip(requests, found, strict=True):
                    if request.texts == ("the dog",) and self.bad:
                        self.bad -= 1
                        scores[0][1] = score
                return found

        scorer = OnceBad(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            cat, dog = crowd.ask_all(["the cat", "the dog"])
            scorer.gate.set()
            with pytest.raises(ScoreError, match=r"^\w+ gave .* finite"):
                dog.result(PATIENCE)
            assert cat.result(PATIENCE) == expected("the cat")
            assert crowd.ask("the dog").result(PATIENCE) == expected("the dog")

    def test_a_busy_engine_tells_what_to_do(self):
        scorer = GatedScorer(is_open=False)
        engine = ScoringEngine(scorer, limits=EngineLimits(max_waiting=1))
        with Crowd(engine, scorer) as crowd:
            crowd.ask_all(["the cat"])
            with pytest.raises(EngineBusyError, match="max_waiting"):
                engine.score_spans("cat", ["the owl"], SPANS)


class TestCache:
    def test_the_same_is_scored_once(self):
        scorer = GatedScorer()
        with ScoringEngine(scorer) as engine:
            first = engine.score_spans("cat", ["the cat"], SPANS)
            first[0][0] = 99.0  # a caller's own copy
            assert engine.score_spans("cat", ["the cat"], SPANS) == expected("the cat")
            assert engine.statistics.cache_hits == 1
        assert len(scorer.batches) == 1

    @pytest.mark.parametrize(
        ("query", "texts", "spans"),
        [
            (None, ["the cat"], SPANS),
            ("", ["the cat"], SPANS),
            ("dog", ["the cat"], SPANS),
            ("cat", ["the Cat"], SPANS),
            ("cat", ["the cat"], [[Span(0, 3)]]),
            ("cat", ["the ", "cat"], [[Span(0, 3)], [Span(0, 3)]]),
        ],
    )
    def test_anything_else_is_not_the_same(self, query, texts, spans):
        scorer = GatedScorer()
        with ScoringEngine(scorer) as engine:
            engine.score_spans("cat", ["the cat"], SPANS)
            found = engine.score_spans(query, texts, spans)
        assert found == KeywordScorer().score_spans(query, texts, spans)
        assert len(scorer.batches) == 2

    def test_what_was_not_asked_for_the_longest_is_let_go(self):
        scorer = GatedScorer()
        with ScoringEngine(scorer, limits=EngineLimits(cache_entries=2)) as engine:
            for text in ("the cat", "the dog", "the cat", "the ant", "the cat", "the dog"):
                engine.score_spans("cat", [text], SPANS)
        assert scorer.batches == [["the cat"], ["the dog"], ["the ant"], ["the dog"]]

    def test_errors_are_not_kept(self):
        faults = iter([True, False])

        def fault(asked):
            if next(faults):
                raise ValueError

        with ScoringEngine(GatedScorer(fault=fault)) as engine:
            with pytest.raises(ValueError):  # noqa: PT011 - a fake's own
                engine.score_spans("cat", ["the cat"], SPANS)
            assert engine.score_spans("cat", ["the cat"], SPANS) == expected("the cat")


class TestLife:
    def test_closing_answers_what_is_scored_and_refuses_what_waits(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            [waits] = crowd.ask_all(["the cat"])
            closing = crowd.pool.submit(crowd.engine.close)
            with pytest.raises(EngineClosedError):
                waits.result(PATIENCE)
            assert not closing.done()
            scorer.gate.set()
            closing.result(PATIENCE)
            assert crowd.first.result(PATIENCE) == expected("the hen")
            with pytest.raises(EngineClosedError):
                crowd.engine.score_spans("cat", ["the dog"], SPANS)

    def test_a_pickle_holds_the_scorer_and_the_limits(self):
        limits = EngineLimits(max_waiting=3, cache_entries=5)
        engine = ScoringEngine(KeywordScorer(), limits=limits, deadline_seconds=9)
        engine.score_spans("cat", ["the cat"], SPANS)
        other = pickle.loads(pickle.dumps(engine))  # noqa: S301 - our own
        assert (other.scorer, other.limits, other.deadline_seconds) == (KeywordScorer(), limits, 9)
        assert other.statistics.calls == 0
        assert other.score_spans("cat", ["the cat"], SPANS) == expected("the cat")

    def test_a_deep_copy_is_the_same_engine(self):
        engine = ScoringEngine(KeywordScorer())
        assert copy.deepcopy({"scorer": engine})["scorer"] is engine

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_forked_process_scores_although_its_parent_was_just_scoring(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            [waits] = crowd.ask_all(["the cat"])
            context = multiprocessing.get_context("fork")
            answers = context.SimpleQueue()

            def child():
                scorer.gate.set()
                found = crowd.engine.score_spans("cat", ["the cat"], SPANS)
                answers.put((found, crowd.engine.statistics.calls))

            process = context.Process(target=child)
            process.start()
            process.join(PATIENCE)
            assert process.exitcode == 0
            assert answers.get() == (expected("the cat"), 1)
            assert not waits.done()
            scorer.gate.set()
            assert waits.result(PATIENCE) == expected("the cat")

    def test_equal_scorers_share_an_engine_as_long_as_someone_holds_it(self):
        engine = shared_engine(KeywordScorer())
        assert shared_engine(KeywordScorer()) is engine
        assert shared_engine(GatedScorer()) is not engine

    def test_equal_scorers_with_other_limits_have_engines_of_their_own(self):
        few = EngineLimits(max_waiting=1)
        engines = [
            shared_engine(KeywordScorer(), limits=limits)
            for limits in (None, EngineLimits(), few, EngineLimits(max_waiting=1))
        ]
        assert engines[0] is engines[1] is not engines[2] is engines[3]
        assert engines[2].limits == few
        hurried = engines[2].with_deadline(5)
        other = pickle.loads(pickle.dumps(hurried))  # noqa: S301 - our own
        calls = engines[2].statistics.calls
        other.score_spans("cat", ["the cat"], SPANS)
        assert (other.deadline_seconds, engines[2].statistics.calls) == (5, calls + 1)

    @pytest.mark.parametrize(
        ("limits", "error"),
        [
            ({"max_waiting": 0}, ValueError),
            ({"max_waiting": 2.5}, TypeError),
            ({"max_batch_chars": 0}, ValueError),
            ({"max_batch_chars": "9"}, TypeError),
            ({"cache_entries": -1}, ValueError),
            ({"cache_entries": None}, TypeError),
            ({"cache_entries": True}, TypeError),
            ({"exit_seconds": -1}, ValueError),
            ({"exit_seconds": math.inf}, ValueError),
            ({"exit_seconds": "1"}, TypeError),
        ],
    )
    def test_limits_that_mean_nothing_are_refused(self, limits, error):
        [name] = limits
        with pytest.raises(error, match=name):
            EngineLimits(**limits)

    def test_a_closed_engine_is_not_handed_out_again(self):
        first = shared_engine(KeywordScorer())
        with first.with_deadline(5):
            pass
        assert first.is_closed
        second = shared_engine(KeywordScorer())
        assert second.score_spans("cat", ["the cat"], SPANS) == expected("the cat")
        assert shared_engine(KeywordScorer()) is second

    def test_another_deadline_is_still_the_same_queue(self):
        hurried = shared_engine(KeywordScorer()).with_deadline(5)
        gc.collect()
        other = shared_engine(KeywordScorer()).with_deadline(7)
        calls = other.statistics.calls
        hurried.score_spans("cat", ["the cat"], SPANS)
        assert other.statistics.calls == calls + 1
        assert hurried.with_deadline(5) is hurried

    def test_it_is_what_it_says(self):
        engine = ScoringEngine(GatedScorer())
        assert not engine.scores_are_logarithms
        assert engine.unwrapped is engine.scorer

    def test_statistics_add_up(self):
        scorer = GatedScorer(is_open=False)
        with Crowd(ScoringEngine(scorer), scorer) as crowd:
            asked = crowd.ask_all(["the cat", "the dog", "the ant"])
            scorer.gate.set()
            for answer in asked:
                answer.result(PATIENCE)
            found = crowd.engine.statistics
        assert (found.calls, found.batches, found.batched_requests) == (4, 2, 4)
        assert found.mean_batch_requests == 2
        assert found.scoring_seconds > 0
        assert found.waiting == found.restarts == found.cache_hits == 0
