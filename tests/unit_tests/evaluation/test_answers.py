"""How replies are judged, against values from elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._judging import MetricName, metric_of, score_reply
from tests.unit_tests.evaluation.ab_doubles import a_case

METRICS: list[MetricName] = ["contains", "exact_match", "f1", "choice", "rouge_l"]


class TestWhichMetric:
    @pytest.mark.parametrize(
        ("answers", "metric", "default", "expected"),
        [
            (("Ada",), None, None, "contains"),
            (("B",), None, None, "choice"),
            (("b", "C"), None, None, "choice"),
            (("7",), None, None, "contains"),
            ((), None, None, "contains"),
            (("B",), None, "f1", "f1"),
            (("B",), "rouge", "f1", "rouge_l"),
            (("B",), "exact_match", None, "exact_match"),
        ],
    )
    def test_rule(
        self, answers: tuple[str, ...], metric: str, default: MetricName, expected: str
    ) -> None:
        assert metric_of(a_case("1", answers=answers, metric=metric), default) == expected

    def test_an_unknown_one_is_named(self) -> None:
        with pytest.raises(EvaluationDataError, match="'bleu'; known metrics: choice, contains"):
            metric_of(a_case("1", metric="bleu"))


@pytest.mark.parametrize(
    ("metric", "answer", "reply", "score"),
    [
        ("contains", "Ada", "It is ada.", 1),
        ("contains", "Ada", "It is Eve.", 0),
        ("exact_match", "The Lighthouse", "a lighthouse!", 1),
        ("exact_match", "lighthouse", "lighthouse keeper", 0),
        ("exact_match", "北京。", "北京", 1),
        ("f1", "Ada Byron", "the Ada", 2 / 3),
        ("f1", "Ada", "Eve", 0),
        ("f1", "to be or not to be", "to be", 0.5),
        ("f1", "北京市", "北京", 0.8),
        ("choice", "B", "B", 1),
        ("choice", "b", "(B)", 1),
        ("choice", "B", "b. because", 1),
        ("choice", "B", "The answer is B.", 1),
        ("choice", "B", "answer: **B**", 1),
        ("choice", "B", "I would say\n**B**", 0),  # I or B?
        ("choice", "B", "Surely option (B), as the text says.", 1),
        ("choice", "A", "A good question", 1),  # the only letter that stands alone
        ("choice", "A", "A good reason speaks for B", 0),
        ("choice", "A", "the answer is a good one", 0),
        ("choice", "A", "", 0),
        # As rouge-score 0.1.2 says, without stemming.
        ("rouge_l", "While the cat sat quietly, the dog barked at the mat.",
         "The cat sat on the mat while the dog barked.", 0.571429),
        ("rouge_l", "The bank said that rates rose 3.5 percent in 2024.",
         "Rates rose by 3.5% in 2024, the bank said; it won't cut them.", 0.461538),
        ("rouge_l", "Ada keeps it", "", 0),
    ],
)  # fmt: skip
def test_scores(metric: MetricName, answer: str, reply: str, score: float) -> None:
    assert score_reply(a_case("1", answers=(answer,)), reply, metric) == pytest.approx(
        score, abs=1e-6
    )


@pytest.mark.parametrize("metric", ["exact_match", "f1", "rouge_l"])
def test_the_best_answer_counts(metric: MetricName) -> None:
    case = a_case("1", answers=("Eve Moneypenny", "Ada Byron"))
    assert score_reply(case, "Ada Byron", metric) == 1


def test_all_are_needed_where_the_case_says_so() -> None:
    case = a_case("1", answers=("Ada", "Eve"), needs_all=True)
    assert score_reply(case, "Ada and Eve", "contains") == 1
    assert score_reply(case, "Ada", "contains") == 0


def test_what_is_thought_aloud_is_no_reply() -> None:
    case = a_case("1", answers=("Ada",))
    assert score_reply(case, "<think>Ada? No.</think>Eve", "contains") == 0
    assert score_reply(case, "<think>Eve? No.</think>\n\nAda", "exact_match") == 1


@given(st.sampled_from(METRICS), st.text(), st.text(min_size=1))
@settings(max_examples=100)
def test_scores_are_shares(metric: MetricName, reply: str, answer: str) -> None:
    assert 0 <= score_reply(a_case("1", answers=(answer,)), reply, metric) <= 1


@given(
    st.sampled_from(["contains", "f1", "rouge_l", "exact_match"]), st.text("abc é北 ", min_size=1)
)
@settings(max_examples=50)
def test_the_answer_itself_is_right(metric: MetricName, answer: str) -> None:
    expected = 1 if answer.strip() or metric != "rouge_l" else 0
    assert score_reply(a_case("1", answers=(answer,)), answer, metric) == expected
