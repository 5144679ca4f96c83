"""Labels: of each piece of evidence the places, and no other occurrence of an answer."""

from __future__ import annotations

import pytest

from specprefill_integrations.calibration._labeled_cases import LabeledCase, find_evidence
from specprefill_integrations.types import Span

TEXTS = (
    "In 1931 the tower burned. Ada rebuilt it in 1931, with Bela.",
    "Ada was born in Tarn. BELA WAS BORN IN ULM. Ulm is far.",
)


def strings_of(pieces, texts=TEXTS):
    return [[texts[document][span.start : span.end] for document, span in one] for one in pieces]


def test_only_occurrences_within_the_marked_evidence_count():
    marked = ["Ada rebuilt it in 1931, with Bela."]
    assert find_evidence(TEXTS, ["1931"], marked) == (((0, Span(44, 48)),),)
    assert strings_of(find_evidence(TEXTS, ["1931"])) == [["1931", "1931"]]


def test_any_answer_will_do_unless_all_are_needed():
    answers = ["Tarn", "Ulm"]
    assert strings_of(find_evidence(TEXTS, answers)) == [["Tarn", "ULM", "Ulm"]]
    every = find_evidence(TEXTS, answers, needs_all=True)
    assert strings_of(every) == [["Tarn"], ["ULM", "Ulm"]]
    marked = ["Ada was born in Tarn.", "Bela was born in Ulm."]
    every = find_evidence(TEXTS, answers, marked, needs_all=True)
    assert strings_of(every) == [["Tarn"], ["ULM"]]


def test_evidence_without_the_words_of_the_answer_is_the_evidence():
    marked = ["Ada rebuilt it in 1931, with Bela."]
    assert strings_of(find_evidence(TEXTS, ["Lovelace"], marked)) == [marked]
    assert strings_of(find_evidence(TEXTS, ["Tarn"], marked)) == [marked]


def test_marked_evidence_that_is_nowhere_is_as_if_unmarked():
    assert find_evidence(TEXTS, ["Tarn"], ["as in the log"]) == find_evidence(TEXTS, ["Tarn"])


def test_the_same_answer_twice_is_one_piece():
    found = find_evidence(TEXTS, ["Tarn", "Tarn"], needs_all=True)
    assert strings_of(found) == [["Tarn"]]


@pytest.mark.parametrize(
    ("answers", "needs_all", "is_found"),
    [
        (["Zoe"], False, False),
        (["Zoe", "Tarn"], False, True),
        (["Zoe", "Tarn"], True, False),
        ([" "], False, False),
        ([], False, False),
        ([], True, False),
        ([" Tarn\n"], True, True),
    ],
)
def test_a_piece_that_is_nowhere_leaves_the_case_without_evidence(answers, needs_all, is_found):
    assert bool(find_evidence(TEXTS, answers, needs_all=needs_all)) == is_found


def test_answers_are_no_patterns():
    assert find_evidence(["a.c abc"], ["A.C"]) == (((0, Span(0, 3)),),)


@pytest.mark.parametrize(
    "evidence",
    [
        (),
        ((),),
        (((0, Span(0, 3)),), ()),
        (((0, Span(5, 5)),),),
        (((0, Span(0, 999)),),),
        (((2, Span(0, 3)),),),
        (((0, Span(0, 3)), (0, Span(3, 2))),),
        (((-1, Span(0, 1)),),),
        (((0, Span(-1, 2)),),),
    ],
)
def test_a_case_needs_evidence_that_stands_in_it(evidence):
    with pytest.raises(ValueError, match="evidence"):
        LabeledCase(kind="", query="?", texts=("one text", "two"), evidence=evidence)
