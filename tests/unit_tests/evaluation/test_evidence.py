"""Evidence recall says what became of the answers, and is measured where the product cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, GapStyle
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_compressor import (
    KeptTexts,
    RememberingScorer,
    SpanCompressor,
)
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._evidence import (
    CaseOutcome,
    ScorerEvidence,
    keep_key,
    measure_case,
    measure_evidence,
    summarize,
    why_left_out,
)
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.splitting._token_chunks import TokenChunkSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Span
from tests.unit_tests.conftest import RecordingScorer

NOISE = "Fish is sold on Mondays. The ferry leaves at noon. Rain is common in autumn. " * 3
LIKE = ContextCompressor(KeywordScorer())


def a_case(**changes: object) -> EvaluationCase:
    fields: dict[str, object] = {
        "id": "one",
        "task": "keepers",
        "query": "Who keeps the lighthouse?",
        "texts": (f"{NOISE}Ada Byron keeps the lighthouse. {NOISE}", f"Harbor\n\n{NOISE}"),
        "answers": ("ada byron",),
    }
    return EvaluationCase(**{**fields, **changes})


def measure(
    cases: Sequence[EvaluationCase],
    scorer: SpanScorer,
    keep_fractions: Sequence[float],
    like: ContextCompressor = LIKE,
) -> list[CaseOutcome]:
    compressor = SpanCompressor(like.replace(scorer=scorer))
    return [measure_case(case, compressor, keep_fractions, like.count_tokens) for case in cases]


class TestWhyLeftOut:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({}, None),
            ({"metric": "rouge"}, "judged_by_another_metric"),
            ({"answers": ()}, "no_answer_given"),
            ({"answers": ("A",)}, "answers_are_single_letters"),
            ({"answers": ("A", "ada")}, None),
            ({"answers": ("Grace",)}, "answer_not_in_full_text"),
            ({"answers": ("ada", "Grace")}, None),
            ({"answers": ("ada", "Grace"), "needs_all": True}, "answer_not_in_full_text"),
            ({"answers": ("7",)}, "answer_not_in_full_text"),
            ({"answers": ("7",), "texts": ("It is 7.",)}, None),
            ({"answers": ("雨",), "texts": ("今日は雨。",)}, None),
        ],
    )
    def test_reason(self, changes: dict[str, object], reason: str | None) -> None:
        assert why_left_out(a_case(**changes)) == reason


class TestMeasuring:
    def test_what_the_scorer_prefers_is_a_hit(self) -> None:
        cases = [a_case(), a_case(id="two", answers=("ferry leaves",))]
        outcomes = measure(cases, KeywordScorer(), [0.1, 0.95])
        assert [outcome.id for outcome in outcomes] == ["one", "two"]
        assert [outcome.hits["0.1"] for outcome in outcomes] == [True, False]
        assert [outcome.hits["0.95"] for outcome in outcomes] == [True, True]

    def test_all_answers_where_all_are_needed(self) -> None:
        answers = ("Ada Byron", "ferry leaves")
        [one] = measure([a_case(answers=answers)], KeywordScorer(), [0.1])
        case = a_case(answers=answers, needs_all=True)
        [both] = measure([case], KeywordScorer(), [0.1])
        assert (one.hits["0.1"], both.hits["0.1"]) == (True, False)

    def test_it_is_what_the_compressor_does(self) -> None:
        case = a_case()
        [outcome] = measure([case], KeywordScorer(), [0.3])
        results = LIKE.compress_documents(case.texts, case.query, budget=Budget(keep_fraction=0.3))
        assert outcome.kept_tokens == {"0.3": sum(result.kept_tokens for result in results)}
        assert outcome.context_tokens == sum(result.original_tokens for result in results)

    @pytest.mark.parametrize(
        "stage",
        [
            {"splitter": TokenChunkSplitter(KeywordScorer().token_spans, 23)},
            {"selector": lambda units, *_: frozenset({len(units) - 1})},
            {"gaps": GapStyle(marker="Byron and so on and on")},
            {"fraction_of": "units"},
        ],
        ids=lambda stage: next(iter(stage)),
    )
    def test_all_but_the_scorer_is_as_in_the_given_compressor(self, stage: dict[str, Any]) -> None:
        like = ContextCompressor(KeywordScorer(), **stage)
        case = a_case()
        [outcome] = measure([case], KeywordScorer(), [0.4], like)
        [plain] = measure([case], KeywordScorer(), [0.4])
        results = like.compress_documents(case.texts, case.query, budget=Budget(keep_fraction=0.4))
        kept = sum(result.kept_tokens for result in results)
        assert outcome.kept_tokens["0.4"] == kept != plain.kept_tokens["0.4"]

    def test_everything_kept_is_full_recall(self) -> None:
        cases = [a_case(answers=(answer,)) for answer in ("Ada", "ferry", "harbor", "autumn")]
        outcomes = measure(cases, KeywordScorer(), [1.0])
        found = summarize(outcomes)
        assert found.recall == {"1": 1.0}
        assert found.kept_tokens_fraction == {"1": 1.0}
        assert found.tokens_per_second is None

    @given(
        st.lists(
            st.lists(st.sampled_from(["Ada keeps it.", "Rain fell.", "Why? No.", ""]), max_size=9),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from([0.05, 0.1, 0.5, 0.9]),
    )
    def test_no_more_is_kept_than_allowed(self, documents: list[list[str]], keep: float) -> None:
        case = a_case(texts=tuple(" ".join(parts) for parts in documents))
        [outcome] = measure([case], KeywordScorer(), [keep])
        # Of the smallest texts one token may always be kept.
        limit = max(min(1, outcome.context_tokens), keep * outcome.context_tokens)
        assert outcome.kept_tokens[keep_key(keep)] <= limit

    def test_a_case_is_scored_once_for_all_fractions(self) -> None:
        scorer = RecordingScorer()
        cases = [a_case(), a_case(query="Who leaves?")]
        measure(cases, scorer, [0.05, 0.1, 0.2, 0.3])
        assert [query for query, _ in scorer.calls] == [case.query for case in cases]

    def test_each_fraction_is_told_what_it_alone_would_take(self) -> None:
        [outcome] = measure([a_case()], RecordingScorer(seconds=0.02), [0.1, 0.2])
        assert all(took > outcome.score_seconds for took in outcome.compress_seconds.values())

    def test_a_broken_scorer_ends_it(self) -> None:
        scorer = RecordingScorer(error=RuntimeError("out of memory"))
        with pytest.raises(RuntimeError, match="out of memory"):
            measure([a_case()], scorer, [0.1])


class MergingPeer:
    """Reads each fraction anew, and makes one text of all."""

    parameters: Mapping[str, object] = {}

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        return KeptTexts(texts=(texts[0][:9],) if keep_fraction > 0.1 else ("",), seconds=0.5)


class TestResult:
    CASES = (a_case(), a_case(id="two", task="rain", answers=("autumn",)), a_case(metric="f1"))

    def test_one_compressor_or_several(self) -> None:
        one = measure_evidence(self.CASES, LIKE, [0.1])
        assert [found.scorer for found in one.scorers] == ["compressor"]
        several = measure_evidence(self.CASES, {"a": LIKE, "b": MergingPeer()}, [0.1])
        assert [found.scorer for found in several.scorers] == ["a", "b"]
        assert one.left_out == several.left_out == {"judged_by_another_metric": 1}
        with pytest.raises(ValueError, match="count_tokens is needed"):
            measure_evidence(self.CASES, {"b": MergingPeer()}, [0.1])

    def test_records_are_flat_and_name_everything(self) -> None:
        calls: list[str] = []
        found = measure_evidence(self.CASES, {"a": LIKE}, [0.1, 1.0], on_case=calls.append)
        rows = found.records()
        assert [(row["scorer"], row["task"], row["keep_fraction"]) for row in rows] == [
            ("a", "keepers", 0.1),
            ("a", "keepers", 1.0),
            ("a", "rain", 0.1),
            ("a", "rain", 1.0),
        ]
        assert all(isinstance(value, str | int | float) for row in rows for value in row.values())
        assert rows[1]["recall"] == 1
        assert rows[1]["recall_low"] < rows[1]["recall_high"] == 1
        assert calls == ["a", "a"]

    def test_data_without_a_case_to_judge_are_refused(self) -> None:
        with pytest.raises(EvaluationDataError, match="no case can be judged: 1 no answer given"):
            measure_evidence([a_case(answers=())], LIKE)


class TestPeers:
    def test_what_merges_texts_is_measured_all_the_same(self) -> None:
        case = a_case(texts=('{"a": 1}', '{"b": 2}', "Ada"), answers=("a",))
        outcome = measure_case(case, MergingPeer(), [0.1, 0.5], KeywordScorer().count_tokens)
        assert outcome.hits == {"0.1": False, "0.5": True}
        assert (outcome.json_texts, outcome.broken_json) == (2, {"0.1": 0, "0.5": 2})
        assert outcome.kept_tokens["0.1"] == 0 < outcome.kept_tokens["0.5"]
        assert outcome.score_seconds == 0.5
        assert outcome.compress_seconds == {"0.1": 0.5, "0.5": 0.5}


def test_a_fraction_that_keeps_all_does_not_make_reading_free() -> None:
    whole = a_case(id="whole", texts=("",))
    [read, unread] = measure([a_case(), whole], KeywordScorer(), [1.0, 0.3])
    assert read.score_seconds > 0 == unread.score_seconds
    speed = read.context_tokens / read.score_seconds
    assert summarize([read, unread]).tokens_per_second == pytest.approx(speed)
    longer = replace(unread, context_tokens=10**9)
    assert summarize([read, longer]).tokens_per_second == pytest.approx(speed)


class TestRememberingScorer:
    TEXTS = ("Ada keeps it.", "Rain fell.")
    SPANS = ([Span(0, 3), Span(4, 9)], [Span(0, 4)])

    def test_the_last_call_is_remembered_and_no_other(self) -> None:
        inner = RecordingScorer()
        scorer = RememberingScorer(inner)
        plain = KeywordScorer().score_spans("Ada", self.TEXTS, self.SPANS)
        for _ in range(2):
            assert scorer.score_spans("Ada", self.TEXTS, self.SPANS) == plain
        assert len(inner.calls) == 1
        for query, texts, spans in [
            ("Rain", self.TEXTS, self.SPANS),
            ("Rain", self.TEXTS[::-1], self.SPANS[::-1]),
            ("Rain", self.TEXTS, ([Span(0, 4)], [Span(0, 4)])),
            ("Ada", self.TEXTS, self.SPANS),
        ]:
            expected = KeywordScorer().score_spans(query, texts, spans)
            assert scorer.score_spans(query, texts, spans) == expected
        assert len(inner.calls) == 5

    def test_nobody_can_change_what_it_remembers(self) -> None:
        scorer = RememberingScorer(KeywordScorer())
        first = scorer.score_spans("Ada", self.TEXTS, self.SPANS)
        first[0][0] = 9.0
        assert scorer.score_spans("Ada", self.TEXTS, self.SPANS) != first

    def test_time_grows_with_calls_alone(self) -> None:
        scorer = RememberingScorer(RecordingScorer(seconds=0.01))
        times = []
        for query in ("Ada", "Ada", "Rain"):
            scorer.score_spans(query, self.TEXTS, self.SPANS)
            times.append(scorer.score_seconds)
        assert [a < b for a, b in pairwise(times)] == [False, True]


def an_outcome(task: str, hit: bool, kept: int, seconds: float = 0.5) -> CaseOutcome:  # noqa: FBT001
    return CaseOutcome(
        id="x",
        task=task,
        hits={"0.1": hit, "0.2": True},
        kept_tokens={"0.1": kept, "0.2": 2 * kept},
        json_texts=2,
        broken_json={"0.1": int(not hit), "0.2": 0},
        context_tokens=100,
        score_seconds=seconds,
        compress_seconds={"0.1": seconds, "0.2": 2 * seconds},
    )


class TestSummary:
    def test_shares_of_cases_and_of_tokens(self) -> None:
        found = summarize([an_outcome("a", True, 10), an_outcome("a", False, 4, 1.5)])
        assert found.cases == 2
        assert found.recall == {"0.1": 0.5, "0.2": 1.0}
        assert found.recall_interval["0.1"] == pytest.approx((0.0945, 0.9055), abs=1e-4)
        assert found.kept_tokens_fraction == pytest.approx({"0.1": 0.07, "0.2": 0.14})
        assert (found.context_tokens, found.score_seconds) == (200, 2.0)
        assert (found.json_texts, found.broken_json) == (4, {"0.1": 1, "0.2": 0})
        assert found.tokens_per_second == 100

    def test_tasks_in_the_order_of_their_first_case(self) -> None:
        outcomes = [an_outcome(task, True, 1) for task in "bab"]
        tasks = ScorerEvidence(scorer="any", outcomes=outcomes).tasks()
        assert {task: found.cases for task, found in tasks.items()} == {"b": 2, "a": 1}
        assert list(tasks) == ["b", "a"]

    @pytest.mark.parametrize(("keep", "key"), [(0.05, "0.05"), (0.1, "0.1"), (1.0, "1")])
    def test_keys(self, keep: float, key: str) -> None:
        assert keep_key(keep) == key
