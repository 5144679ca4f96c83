"""Correctness where answers are known, agreement where they are not, and never both at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._judging import MEANINGS, Judge
from tests.unit_tests.evaluation.ab_doubles import a_case

CASE = replace(a_case("1", answers=("Ada",)), reply="Eve keeps the light.")
RECORDED = replace(CASE, answers=())
KEPT = "Ada keeps the light."


def test_each_measure_has_its_own_score() -> None:
    scores = {by: Judge(by=by).score(CASE, KEPT, "Nobody knows.") for by in MEANINGS}
    assert scores == {"answers": 1.0, "reply": pytest.approx(2 * 2 / 6), "full": 0.0}
    assert Judge(by="reply").score(CASE, "Eve keeps the light", KEPT) == 1.0
    assert Judge(by="full").score(CASE, KEPT, KEPT) == 1.0


def test_only_what_can_be_judged_is() -> None:
    nothing = replace(RECORDED, reply=" ")
    assert [Judge(by="answers").why_not(case) for case in (CASE, RECORDED)] == [
        None,
        "no_answer_given",
    ]
    assert [Judge(by="reply").why_not(case) for case in (RECORDED, nothing)] == [
        None,
        "no_reply_recorded",
    ]
    assert Judge(by="full").why_not(nothing) is None


def test_a_right_answer_does_not_make_agreement() -> None:
    assert Judge(by="reply").score(CASE, "Ada", "Ada") == 0.0


@pytest.mark.parametrize(
    ("of_case", "default", "expected"),
    [
        (None, None, "f1"),
        (None, "rouge_l", "rouge_l"),
        ("rouge", "f1", "rouge_l"),
        ("contains", "rouge_l", "f1"),
        (None, "choice", "f1"),
    ],
)
def test_agreement_is_by_words(of_case, default, expected) -> None:
    judge = Judge(by="reply", metric=default)
    assert judge.metric_of(replace(RECORDED, metric=of_case)) == expected


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(EvaluationDataError, match="'bleu'"):
        Judge(by="full").metric_of(replace(RECORDED, metric="bleu"))


def test_what_is_thought_aloud_agrees_with_nothing() -> None:
    case = replace(RECORDED, reply="<think>Ada? Ada!</think>Eve.")
    assert Judge(by="reply").score(case, "<think>Ada? Ada!</think>Bob.", "") == 0.0
    assert Judge(by="reply").score(case, "Ada? No.</think> Eve", "") == 1.0


def test_agreement_is_never_right_or_wrong() -> None:
    assert Judge().is_binary(("contains", "choice"))
    assert not Judge().is_binary(("contains", "f1"))
    assert not Judge(by="reply").is_binary(("contains",))


def test_what_agrees_with_itself_is_not_compared() -> None:
    assert [Judge(by=by).compares_with_full for by in MEANINGS] == [True, True, False]


def test_agreement_is_called_so() -> None:
    assert Judge().meaning == "correctness"
    for by in ("reply", "full"):
        assert Judge(by=by).meaning.startswith("agreement with")
        assert Judge(by=by).meaning.endswith(", not correctness")
