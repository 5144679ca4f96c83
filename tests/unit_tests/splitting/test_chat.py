"""Turns of a transcript."""

from __future__ import annotations

import pytest

from specprefill_integrations.splitting._chat import ChatSplitter
from tests.unit_tests.splitting.reading import needs, pieces


def test_turns_need_the_header_of_their_session():
    text = """\
Two friends talk.

[1:56 pm on 8 May, 2023]
Anna: Hi! Long time no see.
Ben: Too long.
I was at sea.

--- Monday ---
Anna: Are you back?
"""
    assert needs(ChatSplitter(), text) == {
        "Two friends talk.": [],
        "[1:56 pm on 8 May, 2023]": [],
        "Anna: Hi! Long time no see.": ["[1:56 pm on 8 May, 2023]"],
        "Ben: Too long.\nI was at sea.": ["[1:56 pm on 8 May, 2023]"],
        "--- Monday ---": [],
        "Anna: Are you back?": ["--- Monday ---"],
    }


@pytest.mark.parametrize(
    "form",
    [
        *("{}: {}", "**{}:** {}", "**{}**: {}", "<{}> {}", "[12:03] {}: {}", "{} (12:03): {}"),
        *("12:03 {}: {}", "[12/05/23, 10:15:03] {}: {}", "12/05/23, 10:15 - {}: {}", "{}：{}"),
        *("[2024-05-01 12:03] <{}> {}", "{} [12:03 PM]: {}", "@{}: {}"),
    ],
)
@pytest.mark.parametrize(
    "names", [("User", "Assistant"), ("Zoë", "李雷"), ("Dr. O'Neil", "Ann-Mai")]
)
def test_a_turn_goes_on_until_the_next_one(form, names):
    first = form.format(names[0], "What is it?")
    second = form.format(names[1], "It is this:") + "\n\n1. one thing\n2. another"
    third = form.format(names[0], "Oh.")
    assert pieces(ChatSplitter(), f"{first}\n{second}\n{third}") == [first, second, third]


@pytest.mark.parametrize(
    "header", ["2024-05-01", "Session 2", "## Session 2: later", "=== today ==="]
)
def test_headers(header):
    text = f"Ann: one\n{header}\nAnn: two"
    assert needs(ChatSplitter(), text)["Ann: two"] == [header]


@pytest.mark.parametrize(
    "line", ["[image left out]", "Note: no turn", "Result: 3", "# Shop", "----"]
)
def test_what_is_no_header_and_no_turn_belongs_to_the_turn_above(line):
    text = f"Ann: one\n{line}\nBen: two\nAnn: three\nBen: four"
    assert pieces(ChatSplitter(), text)[0] == f"Ann: one\n{line}"


def test_pieces_of_a_long_turn_need_the_speaker():
    said = "\n".join(f"Line {i} of what is said here." for i in range(6))
    found = needs(ChatSplitter(max_unit_chars=80), f"[8 May]\nAnn: {said}\nBen: Yes.\nAnn: Oh.")
    assert found["Ann:"] == ["[8 May]"]
    assert found["Line 0 of what is said here.\nLine 1 of what is said here."] == [
        "[8 May]",
        "Ann:",
    ]
    assert found["Ben: Yes."] == ["[8 May]"]
