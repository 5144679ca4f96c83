"""Replicas of a scorer, as on several devices: one queue, one answer for each call."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.bench import measure_faults
from specprefill_integrations.bench._faults import FaultyScorer
from specprefill_integrations.errors import EngineClosedError
from specprefill_integrations.scoring import EngineLimits, ScoringEngine, SpanScorer
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_scorer import ReplicatedScorer
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.testing import KeywordScorer
from tests.fake_cuda import fake_cuda, to_device
from tests.tiny_models import save_tiny_draft, tiny_model, tiny_tokenizer

SPANS = [[Span(0, 3), Span(4, 7)]]
PATIENCE = 20


class Replicated(SpanScorer):
    """Replicas that call a function and then score as `KeywordScorer` does."""

    def __init__(self, count: int, before: Callable[[int], None], number: int = -1) -> None:
        self.count = count
        self.before = before
        self.number = number

    @property
    def replicas(self) -> Sequence[SpanScorer]:
        return [Replicated(0, self.before, number) for number in range(self.count)]

    def score_spans(self, query: Any, texts: Any, spans: Any) -> Any:
        self.before(self.number)
        return KeywordScorer().score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return KeywordScorer().count_tokens(texts)


def ask_all(engine: ScoringEngine, texts: Sequence[str]) -> list[Any]:
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: engine.score_spans("cat", [text], SPANS), texts))


def expected(texts: Sequence[str]) -> list[Any]:
    return [KeywordScorer().score_spans("cat", [text], SPANS) for text in texts]


def test_as_many_calls_are_scored_at_the_same_time():
    together = threading.Barrier(3)
    engine = ScoringEngine(Replicated(3, lambda _: together.wait(PATIENCE) and None))
    texts = ["cat dog", "dog cat", "cat cat"]
    assert ask_all(engine, texts) == expected(texts)


def test_each_replica_scores_one_call_at_a_time():
    locks = [threading.Lock() for _ in range(2)]
    crowded, seen = [], []

    def before(number):
        seen.append(number)
        if not locks[number].acquire(blocking=False):
            crowded.append(number)
        threading.Event().wait(0.001)
        locks[number].release()

    engine = ScoringEngine(Replicated(2, before), limits=EngineLimits(cache_entries=0))
    texts = [f"cat {number:03}" for number in range(60)]
    assert ask_all(engine, texts) == expected(texts)
    assert crowded == []
    assert set(seen) == {0, 1}
    assert len(seen) == 60


def test_scoring_seconds_pass_once_for_all_threads():
    """Two threads that score at the same time take as long as one."""
    together = threading.Barrier(2)
    begun = time.perf_counter()

    def before(number):
        together.wait(PATIENCE)
        threading.Event().wait(0.2)

    engine = ScoringEngine(Replicated(2, before))
    ask_all(engine, ["cat dog", "dog cat"])
    engine.close()
    took = time.perf_counter() - begun
    assert 0.2 <= engine.statistics.scoring_seconds <= took


def test_threads_end_without_work_and_start_again():
    engine = ScoringEngine(Replicated(2, lambda _: None), limits=EngineLimits(cache_entries=0))
    for _ in range(3):
        texts = ["cat dog", "dog cat", "cat cat"]
        assert ask_all(engine, texts) == expected(texts)
    engine.close()
    assert engine._worker._threads == set()
    assert len(engine._worker._idle) == 2
    with pytest.raises(EngineClosedError):
        ask_all(engine, texts)


def test_close_waits_for_all_replicas():
    entered, gate, done = threading.Semaphore(0), threading.Event(), []

    def before(number):
        entered.release()
        assert gate.wait(PATIENCE)
        done.append(number)

    engine = ScoringEngine(Replicated(2, before))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(engine.score_spans, "cat", [t], SPANS) for t in ("cat dog", "a cat b")]
        assert all(entered.acquire(timeout=PATIENCE) for _ in range(2))
        closing = pool.submit(engine.close)
        gate.set()
        closing.result(PATIENCE)
        assert sorted(done) == [0, 1]
        assert [one.result(PATIENCE) for one in asked] == expected(["cat dog", "a cat b"])


class FaultyReplicas(FaultyScorer):
    """Two replicas of the scorer with faults."""

    @property
    def replicas(self) -> Sequence[SpanScorer]:
        return (self, self)


def test_under_faults_no_call_is_lost_and_no_answer_is_crossed():
    found = measure_faults(calls=1_000, seed=3, scorer=FaultyReplicas(3))
    assert (found.lost, found.crossed, found.duplicates) == (0, 0, 0)


def test_a_draft_on_a_gpu_is_read_by_two_threads_and_on_a_cpu_by_one():
    pair = tiny_model("llama"), tiny_tokenizer()
    on_cpu = AttentionScorer(DraftModel.from_pair(*pair))
    assert on_cpu.replicas == (on_cpu,)
    with fake_cuda():
        on_gpu = AttentionScorer(DraftModel.from_pair(to_device(pair[0]), pair[1]))
        assert on_gpu.replicas == (on_gpu, on_gpu)
        both = ReplicatedScorer([on_gpu, on_gpu])
        assert both.replicas == [on_gpu] * 4


def test_several_devices_share_one_queue_and_score_as_one(tmp_path):
    draft = save_tiny_draft(tmp_path)
    text = "The cat sat on the mat. The dog ran away from the house. It was late. Nobody came."
    budget = Budget(max_tokens=40)
    one = ContextCompressor.from_draft_model(draft, device="cpu", on_error="raise")
    both = ContextCompressor.from_draft_model(draft, device=("cpu", "cpu"), on_error="raise")
    again = ContextCompressor.from_draft_model(draft, device=("cpu", "cpu"), on_error="raise")
    assert both.scorer is again.scorer
    assert both.scorer is not one.scorer
    assert isinstance(both.scorer.unwrapped, AttentionScorer)
    assert both.scorer.uncached == one.scorer.uncached
    copied = pickle.loads(pickle.dumps(both))  # noqa: S301 - our own
    for compressor in (both, copied):
        found = compressor.compress(text, "Who ran away?", budget=budget)
        assert found.kept_tokens < found.original_tokens
        assert found.text == one.compress(text, "Who ran away?", budget=budget).text


def test_several_devices_tokenize_a_text_once(tmp_path, monkeypatch):
    both = ContextCompressor.from_draft_model(
        save_tiny_draft(tmp_path), device=("cpu", "cpu"), on_error="raise"
    )
    text = "The cat sat on the mat. The dog ran away from the house. It was late."
    spans = [Span(0, 23), Span(24, 56)]
    expected = both.scorer.score_spans("Who?", [text], [spans])
    encoded = both.scorer.encode([text])
    assert encoded is not None
    assert [one.tokens for one in encoded] == both.scorer.count_tokens([text])

    seen = []
    tokenize = DraftTokenizer.tokenize
    monkeypatch.setattr(
        DraftTokenizer, "tokenize", lambda self, texts: seen.extend(texts) or tokenize(self, texts)
    )
    request = ScoreRequest("Who?", [text], [spans], encoded)
    assert both.scorer.scorer.score_request(request) == expected
    assert seen == []


@pytest.mark.parametrize("name", ["replicas", "encode", "batch_chars", "score_batch"])
def test_an_object_that_is_no_scorer_is_refused_with_what_would_be_ignored(name):
    class TwoMethods:
        score_spans = KeywordScorer.score_spans
        count_tokens = KeywordScorer.count_tokens

    ContextCompressor(TwoMethods())
    setattr(TwoMethods, name, ())
    with pytest.raises(TypeError, match=f"must subclass SpanScorer to have {name}"):
        ContextCompressor(TwoMethods())


def test_no_device_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no device"):
        ContextCompressor.from_draft_model(save_tiny_draft(tmp_path), device=())
