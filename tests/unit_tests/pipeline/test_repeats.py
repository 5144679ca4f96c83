"""Text that occurs more than once in a call counts once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, Compression, ContextCompressor, TextHint
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind

QUERY = "Who built the pump and what is the pump code number?"
PUMP = (
    "The pump of the harbour was built by Wim Aalst. The pump code is on the label. "
    "The pump is checked each Monday by the staff of the pump house."
)
CODE = "Gulls nest on the roof. Coffee is sold from a van. The label says code number 4711."


def compressed(
    texts: list[str],
    budget: Budget,
    *,
    query: str = QUERY,
    kind: Kind = "prose",
    drop_repeats: bool = True,
) -> list[Compression]:
    compressor = ContextCompressor(KeywordScorer(), drop_repeats=drop_repeats, on_error="raise")
    hints = [TextHint(kind=kind)] * len(texts)
    return compressor.compress_documents(texts, query, budget=budget, hints=hints)


@pytest.mark.parametrize("copies", [1, 2, 5, 20])
def test_a_passage_retrieved_often_costs_no_more_than_once(copies: int) -> None:
    results = compressed([PUMP] * copies + [CODE], Budget(max_tokens=55))
    kept = "\n".join(result.text for result in results)
    assert kept.count("Wim Aalst") == 1
    assert "4711" in kept
    assert [result.text for result in results[1:-1]] == [""] * (copies - 1)
    assert all(result.repeated for result in results[1:-1])


def test_it_can_be_switched_off() -> None:
    results = compressed([PUMP] * 5 + [CODE], Budget(max_tokens=55), drop_repeats=False)
    assert sum("The pump" in result.text for result in results) > 1
    assert not any(result.repeated for result in results)


def test_overlapping_chunks_say_what_is_repeated() -> None:
    shared = "The pump code is on the label beside the door."
    texts = [
        f"The mole is old and gulls sit on it at noon. {shared}",
        f"{shared} The label says code number 4711 in white.",
    ]
    first, second = compressed(texts, Budget(max_tokens=36), query="pump code label number")
    assert shared in first.text
    assert second.text == "[... repeated ...] The label says code number 4711 in white."
    assert [texts[1][a:b] for a, b in second.repeated] == [shared]


def test_markup_and_white_space_make_no_difference() -> None:
    texts = [
        "The pump code is on the label.",
        f"- **The pump   code is on\n  the label**\n\n{CODE}",
    ]
    results = compressed(texts, Budget(max_tokens=30), kind="markdown")
    assert results[1].repeated


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Door 1 of the pump house is open.", "Door 2 of the pump house is open."),
        ("The pump was built by Wim Aalst.", "The pump was built by Wim Aalst Jr."),
        ("The tide fell by 1.5 metres today.", "The tide fell by 15 metres today."),
        ("It was +5 degrees in the pump house.", "It was -5 degrees in the pump house."),
        ("The pump house is now open again.", "The pump house is not open again."),
        ("Ask for Will at the pump house door.", "Ask for will at the pump house door."),
        ("Yes, it is.", "Yes, it is."),
    ],
)
def test_what_may_tell_facts_apart_or_is_short_is_no_repeat(one: str, other: str) -> None:
    results = compressed([f"{one} {PUMP}", f"{other} {CODE}"], Budget(max_tokens=60))
    assert not any(result.repeated for result in results)


@pytest.mark.parametrize("kind", ["log", "lines", "csv", "code", "yaml", "diff", "json"])
def test_equal_lines_of_programs_are_different_events(kind: Kind) -> None:
    line = '"2024-05-01 12:00:01 ERROR pump: no answer"'
    text = f"[{line},\n{line},\n{line},\n{line}]" if kind == "json" else f"{line}\n" * 4
    [result] = compressed([text], Budget(max_tokens=50), kind=kind)
    assert not result.repeated


def test_the_score_of_a_copy_counts_for_the_first() -> None:
    class LastScorer(KeywordScorer):
        def score_spans(self, query, texts, spans):  # type: ignore[no-untyped-def]
            return [[float(number)] * len(found) for number, found in enumerate(spans)]

    texts = ["The pump code is on the label.", "It rained all day in Vessel Bay.", ""]
    texts[2] = texts[0]
    compressor = ContextCompressor(LastScorer(), on_error="raise")
    results = compressor.compress_documents(texts, QUERY, budget=Budget(max_tokens=9))
    assert [result.text for result in results] == [texts[0], "", ""]


def test_attention_mass_is_a_share_of_what_can_be_kept() -> None:
    [first, *_, last] = compressed([PUMP] * 9 + [CODE], Budget(attention_mass=0.2))
    assert first.text != PUMP
    assert last.text != CODE


@given(st.lists(st.sampled_from([PUMP, CODE]), min_size=2, max_size=6), st.integers(12, 60))
def test_copies_change_nothing_for_the_others(texts: list[str], limit: int) -> None:
    firsts = [text for i, text in enumerate(texts) if text not in texts[:i]]
    alone = compressed(firsts, Budget(max_tokens=limit))
    if any(result.skipped_because for result in alone):
        return
    results = compressed(texts, Budget(max_tokens=limit))
    assert [r.text for i, r in enumerate(results) if texts[i] not in texts[:i]] == [
        result.text for result in alone
    ]


CUT = "The pump in the cellar of the tower was built by Wim Aalst in 1931."


@pytest.mark.parametrize("at", [m.start() for m in re.finditer(" ", CUT)][5:-5])
def test_a_sentence_that_a_chunk_cuts_counts_once(at: int) -> None:
    texts = [f"Gulls nest on the roof. {CUT[:at]}", f"{CUT} The code is 4711."]
    first, second = compressed(texts, Budget(max_tokens=26), query="Wim Aalst pump code")
    assert [texts[0][a:b] for a, b in first.repeated] == [CUT[:at]]
    assert "4711" in second.text
    texts = [f"Gulls nest on the roof. {CUT}", f"{CUT[at + 1 :]} The code is 4711."]
    first, second = compressed(texts, Budget(max_tokens=26), query="Wim Aalst pump code")
    if CUT[at + 1].islower():
        assert [texts[1][a:b] for a, b in second.repeated] == [CUT[at + 1 :]]
    assert "Wim Aalst" in first.text


@pytest.mark.parametrize(
    "texts",
    [
        ["Gulls nest. The pump was built by Wim Aalst.", f"Hm. {CUT}"],
        [
            "Open today:\n\nThe pump house at the pier",
            "Gulls. The pump house at the pier burnt.",
        ],
        ["The pump house at the pier", "The pump house at the pierhead was sold."],
    ],
)
def test_what_a_chunk_does_not_cut_is_another_fact(texts: list[str]) -> None:
    results = compressed(texts, Budget(max_tokens=12), query="pump")
    assert not any(result.repeated for result in results)
