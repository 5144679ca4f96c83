"""The built-in probe: what a readout may rely on when it is fitted to it."""

from __future__ import annotations

import random
import re
from collections import Counter
from hashlib import sha256

import pytest

from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._probe import _MAKERS, probe_cases
from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._facts import facts, subjects
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark
from specprefill_integrations.types import Span

CASES = probe_cases(300)
KINDS = ("facts", "chat", "contract", "log", "records", "code")
UNIT = re.compile(r"[^\n]+?(?:[.!?](?=\s)|(?=\n)|$)")


def evidence_of(case: LabeledCase) -> str:
    [[(document, span)]] = case.evidence
    return case.texts[document][span.start : span.end]


def position_of(case: LabeledCase) -> float:
    """Where the middle of the evidence stands in the texts, in [0, 1)."""
    [[(document, span)]] = case.evidence
    before = sum(map(len, case.texts[:document]))
    return (before + (span.start + span.end) / 2) / sum(map(len, case.texts))


def units_of(case: LabeledCase) -> list[str]:
    return [found[0].strip() for text in case.texts for found in UNIT.finditer(text)]


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class TestArguments:
    def test_the_same_give_the_same_cases(self) -> None:
        assert probe_cases(24, seed=3) == probe_cases(24, seed=3)

    def test_the_same_give_the_same_cases_on_every_python(self) -> None:
        found = sha256(repr(probe_cases(12)).encode()).hexdigest()
        assert found == "eb43d908a38534ff419498f96fc251dc46d5cb159bf4b705daf5f52eb084c47d"

    def test_every_kind_and_length_is_byte_for_byte_what_it_was(self) -> None:
        cases = [
            probe_cases(60, seed=seed, chars=chars) for seed in (1, 2) for chars in (1_500, 5_000)
        ]
        found = sha256(repr(cases).encode()).hexdigest()
        assert found == "bb1a3d9dddc4ddc360132ee9c28dee65ed81c93581314ee436a31743551ee2cb"

    def test_more_cases_begin_with_the_same(self) -> None:
        assert probe_cases(24)[:10] == probe_cases(10)

    def test_another_seed_gives_other_cases(self) -> None:
        ours, others = probe_cases(24, seed=0), probe_cases(24, seed=1)
        assert not {case.texts for case in ours} & {case.texts for case in others}

    def test_no_case_comes_twice(self) -> None:
        assert len({case.texts for case in CASES}) == len(CASES)

    def test_none_is_none(self) -> None:
        assert probe_cases(0) == []

    @pytest.mark.parametrize("chars", [1_500, 5_000, 20_000])
    def test_texts_are_about_as_long_as_asked(self, chars: int) -> None:
        for case in CASES if chars == 5_000 else probe_cases(24, chars=chars):
            assert 0.6 * chars <= sum(map(len, case.texts)) <= 1.4 * chars, case.kind

    def test_the_smallest_still_is_a_case(self) -> None:
        assert [case.kind for case in probe_cases(10, chars=1)]


class TestKinds:
    def test_every_other_case_tells_facts_and_the_rest_take_turns(self) -> None:
        shares = Counter(case.kind for case in CASES)
        assert shares == {"facts": 150, **dict.fromkeys(KINDS[1:], 30)}

    def test_facts_are_several_titled_passages(self) -> None:
        for case in CASES:
            if case.kind == "facts":
                assert 6 <= len(case.texts) <= 15
                assert all(len(text.split("\n")) == 2 for text in case.texts)

    def test_every_attribute_can_be_told_and_asked_in_several_ways(self) -> None:
        assert len(subjects()) >= 12
        for subject in subjects():
            assert len(subject.attributes) >= 6
            for attribute in subject.attributes:
                assert len(attribute.statements) >= 2
                assert len(attribute.questions) >= 2
                assert all("{v}" in one.lower() for one in attribute.statements)
                assert all("{name}" in one for one in attribute.questions)


class TestEvidence:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
    def test_it_is_one_trimmed_line_or_sentence_that_stands_once(self, case: LabeledCase) -> None:
        evidence = evidence_of(case)
        assert evidence == evidence.strip()
        assert evidence
        assert "\n" not in evidence
        assert sum(text.count(evidence) for text in case.texts) == 1

    def test_a_fact_is_a_whole_sentence(self) -> None:
        for case in CASES:
            if case.kind == "facts":
                assert evidence_of(case) in units_of(case)

    @pytest.mark.parametrize("kind", KINDS)
    def test_nothing_but_it_gives_the_answer(self, kind: str) -> None:
        rng = random.Random(5)  # noqa: S311 - texts, no secrets
        cases = [_MAKERS[kind](Draw(rng), 5_000) for _ in range(40)]
        sound = [case for case in cases if case.is_sound()]
        assert len(sound) >= 20, "redrawing is for rare accidents"
        for marked in sound:
            case, answer = marked.labeled(kind), marked.answer.lower()
            evidence = evidence_of(case)
            assert answer in evidence.lower()
            word = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)")
            lines = [unit.lower() for text in case.texts for unit in text.split("\n")]
            assert sum(len(word.findall(line)) for line in lines) == len(
                word.findall(evidence.lower())
            )
            assert not word.search(case.query.lower())

    def test_it_stands_everywhere(self) -> None:
        thirds = Counter(int(3 * position_of(case)) for case in CASES)
        expected = len(CASES) / 3
        chi_square = sum((thirds[third] - expected) ** 2 / expected for third in range(3))
        assert chi_square < 9.2  # 1 % of fair draws of two degrees of freedom lie above

    def test_it_stands_in_every_third_of_the_passages(self) -> None:
        several = [case for case in CASES if len(case.texts) > 2]
        thirds = Counter(3 * case.evidence[0][0][0] // len(case.texts) for case in several)
        assert all(thirds[third] > len(several) / 5 for third in range(3))

    def test_it_stands_in_every_third_of_its_passage(self) -> None:
        own = [case for case in CASES if case.kind == "facts"]
        spans = [(span, len(case.texts[place])) for case in own for place, span in case.evidence[0]]
        thirds = Counter(3 * (span.start + span.end) // (2 * size) for span, size in spans)
        assert all(thirds[third] > len(own) / 6 for third in range(3))


class TestHardness:
    def test_sharing_words_with_the_question_helps_but_does_not_do(self) -> None:
        found = chance = 0.0
        own = [case for case in CASES if case.kind == "facts"]
        for case in own:
            units, asked = units_of(case), words_of(case.query)
            shared = {unit: len(words_of(unit) & asked) for unit in units}
            best = [unit for unit in units if shared[unit] == max(shared.values())]
            found += (evidence_of(case) in best) / len(best)
            chance += 1 / len(units)
        assert 2 * chance < found < 0.7 * len(own)

    def test_passages_of_the_same_sort_tell_the_asked_attribute_of_others(self) -> None:
        rng = random.Random(6)  # noqa: S311 - texts, no secrets
        crowded = 0
        for _ in range(30):
            case = facts(Draw(rng), 5_000)
            [evidence] = [
                found for text in case.texts for found in re.findall("\x02(.*)\x03", text)
            ]
            rest = [word for word in evidence.replace(case.answer, " ").split() if len(word) > 3]
            others = [text for text in case.texts if "\x02" not in text]
            crowded += any(sum(word in text for word in rest) > len(rest) / 2 for text in others)
        assert crowded > 15


class TestMarkedCase:
    def case(self, **changes: object) -> MarkedCase:
        parts = {
            "query": "How tall is it?",
            "answer": "30 metres",
            "texts": ("It is old.", f"It is red. {mark('It has 30 metres.')} It is far."),
        }
        return MarkedCase(**{**parts, **changes})

    def test_the_marks_become_a_span(self) -> None:
        case = self.case().labeled("facts")
        assert case.texts == ("It is old.", "It is red. It has 30 metres. It is far.")
        assert case.evidence == (((1, Span(11, 28)),),)
        assert evidence_of(case) == "It has 30 metres."

    def test_the_answer_stands_in_the_evidence_alone(self) -> None:
        assert self.case().is_sound()
        assert self.case(texts=("It has 130 metres.", mark("It has 30 Metres."))).is_sound()
        assert not self.case(texts=("It has 30 metres.", mark("It has 30 metres."))).is_sound()
        assert not self.case(query="Has it 30 metres?").is_sound()
        assert not self.case(answer="31 metres").is_sound()
        assert not self.case(texts=("It has 30 metres.",)).is_sound()
