"""What is asked survives in a question, whatever is pasted into it; laws and examples."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.pipeline import asks_about_whole_text, needs_every_word
from specprefill_integrations.pipeline._pasted_text import both_ends, without_pasted_text
from specprefill_integrations.testing import KeywordScorer

DRAW = random.Random(5)  # noqa: S311 - no secrets


def of_server(n: int) -> str:
    level = DRAW.choice(["INFO", "WARN", "DEBUG"])
    return f"2024-05-01 12:{n // 60 % 60:02}:{n % 60:02} {level} worker-{n % 9} took {n * 7} ms"


def of_tests(n: int) -> str:
    return f"FAILED tests/test_{n % 40}.py::test_{n} - AssertionError: short test summary {n}"


def of_compiler(n: int) -> str:
    return f"src/main{n % 30}.c:{n}:{n % 80}: warning: unused variable 'x{n}' [-Wunused-variable]"


def of_kernel(n: int) -> str:
    return f"[{n:6}.{n * 37 % 10**6:06}] usb 1-{n % 4}: how many times device {n} was reset"


def of_table(n: int) -> str:
    return f"{n},{n * n},Name {n},{DRAW.choice(['open', 'shut'])}"


def of_mail(n: int) -> str:
    words = DRAW.sample(["rain", "hill", "dog", "gate", "noon", "calm"], 4)
    return f"> We should count the {' '.join(words)} and summarize part {n}."


PASTED = [of_server, of_tests, of_compiler, of_kernel, of_table, of_mail]

FORMS = ["{q}\n{p}", "{q}\n\n{p}", "{p}\n{q}", "{p}\n\n{q}\n", "{q}\n```\n{p}\n```"]

# What is asked, does it need an overview, does it need every word of code.
QUESTIONS = [
    ("Why does worker-3 stop answering?", False, False),
    ("Fix the failing test.", False, True),
    ("worker-3 restart reason", False, False),
    ("Summarize this for my manager.", True, False),
    ("Warum bricht der Build ab?", False, False),
    ("請告訴我哪個測試失敗", False, False),
]


@pytest.mark.parametrize("row", PASTED)
@pytest.mark.parametrize(("question", "whole", "every"), QUESTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_a_question_beside_a_long_log_survives(row, question, whole, every, form) -> None:
    query = form.format(q=question, p="\n".join(map(row, range(2000))))
    asked = without_pasted_text(query)
    assert question in asked.splitlines()
    assert len(asked) < 2500
    assert asks_about_whole_text(asked) is whole
    assert needs_every_word(asked, "code") is every


@pytest.mark.parametrize("row", PASTED)
def test_a_question_between_two_logs_survives(row) -> None:
    rows = list(map(row, range(600)))
    question = "Why are these two runs different?"
    query = "\n".join(["The first run:", *rows, question, *rows])
    asked = without_pasted_text(query).splitlines()
    assert asked[0] == "The first run:"
    assert question in asked


def test_what_failed_survives() -> None:
    frames = "".join(f'  File "app/part{n}.py", line {n}, in call_{n}\n' for n in range(200))
    trace = f"Traceback (most recent call last):\n{frames}KeyError: 'gate_7'"
    for query in (f"Why?\n{trace}", f"{trace}\nWhy?", f"Why?\n```\n{trace}\n```\nThanks."):
        assert "KeyError: 'gate_7'" in without_pasted_text(query)


def test_a_long_instruction_stays() -> None:
    instruction = "\n".join(f"{n}. Look at part {n} and note what is odd there." for n in range(30))
    assert len(instruction) > 1000
    assert without_pasted_text(instruction) == instruction
    steps = [
        "Do this.",
        "Open the report of the week.",
        "Find who signed it and when.",
        "End.",
    ]
    query = "\n".join([*steps[:2], *map(of_server, range(500)), *steps[2:]])
    assert [line for line in without_pasted_text(query).splitlines() if line in steps] == steps


def test_an_issue_keeps_all_but_its_fenced_texts() -> None:
    said = [
        "Saving a gate twice loses the name of its guard",
        "When a gate is saved while another request is reading it, the guard's",
        "name is gone afterwards. It was there in version 2.1, and with SQLite it",
        "still is",
        "- version 2.3",
        "- PostgreSQL",
    ]
    code = [f"gate.save(name={chr(97 + n % 26) * 9}, at={n})" for n in range(70)]
    query = "\n".join([*said[:4], "```python", *code, "```", *said[4:]])
    assert [line for line in without_pasted_text(query).splitlines() if line in said] == said
    assert len(without_pasted_text(query)) < len("\n".join(said)) + 200


def test_sentences_among_pasted_lines_survive() -> None:
    needed = "The pump was replaced in March by the night shift."
    lines = list(map(of_table, range(300)))
    query = "\n".join(["Report", *lines[:150], needed, *lines[150:], "Thanks."])
    assert needed in without_pasted_text(query)


def test_the_compressor_asks_what_is_asked() -> None:
    log = "\n".join(f"short test summary {n}: rain fell" for n in range(500))
    text = " ".join([*["Rain fell on the hills."] * 40, "The dog barked at noon.", "It was calm."])
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    result = compressor.compress(
        text, f"When did the dog bark at noon?\n```\n{log}\n```", budget=Budget(max_tokens=16)
    )
    assert "The dog barked at noon." in result.text


ANY_LINE = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["```", "~~~", "Why?", "It is a fine day here."]
)


@given(st.lists(ANY_LINE, max_size=90))
def test_lines_are_the_questions_own_in_their_order(lines: list[str]) -> None:
    query = "\n".join(lines * 3)
    remaining = iter(query.splitlines())
    if without_pasted_text(query) != query:
        for line in without_pasted_text(query).splitlines():
            assert line in remaining
    assert without_pasted_text(query).strip() or not query.strip()


@given(st.text(max_size=3000), st.integers(min_value=2, max_value=1000))
def test_both_ends_of_a_text(text: str, chars: int) -> None:
    found = both_ends(text, chars)
    assert found == text or len(found) <= chars + 5
    assert text.startswith(found.partition(" ... ")[0])


@pytest.mark.parametrize("line", ["```", "a?", "1", "Aa bb cc dd ee.", "a " * 50, "0" * 99])
def test_a_megabyte_of_anything_takes_little_time(line: str) -> None:
    for text in (f"{line}\n" * (10**6 // (len(line) + 1)), line * (10**6 // len(line))):
        started = time.process_time()
        assert without_pasted_text(text)
        assert time.process_time() - started < 5
