"""Links from units that a question finds to units that it does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.scoring import ScoreRequest, WordScorer
from specprefill_integrations.scoring._lexical import ScoredUnit
from specprefill_integrations.scoring._links import links
from specprefill_integrations.scoring._text_names import is_mentioned, name_of, title_end
from specprefill_integrations.splitting import ProseSplitter

HARBOR = "Silver Harbor\n\nThe Silver Harbor is a boat. It was built by Ada Quist in 1931."
QUIST = "Ada Quist (builder)\n\nShe was the third of nine. She liked tea. She was born in Ross."
RAIN = "Rain\n\nIt fell on the hills. Nobody came."
PLACE = "Where was the builder of Silver Harbor born?"


def linked(query: str, texts: Sequence[str], best: str) -> list[tuple[str, str]]:
    """The pairs of a unit and of the one that leads to it, where the unit `best` scores most."""
    spans = [ProseSplitter()(text) for text in texts]
    units = [
        ScoredUnit(number, span, texts[number][span.start : span.end])
        for number, own in enumerate(spans)
        for span in own
    ]
    scores = np.array(
        [float(unit.content == best) - place / 99 for place, unit in enumerate(units)]
    )
    found = links(ScoreRequest(query, texts, spans), units, scores)
    return [(units[unit].content, units[source].content) for unit, source in found]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (QUIST, "Ada Quist"),
        ("# **Ada Quist**\n\nShe built boats.", "Ada Quist"),
        ("The Silver Harbor is a boat.", "Silver Harbor"),
        ("Ada Quist (1902-1971) built boats.", "Ada Quist"),
        ("House of the Rising Sun, a song, is old.", "House of the Rising Sun"),
        ("Rain fell on the hills.", ""),
        ("it is late.", ""),
        ("Rye is a town.", ""),
        ("However, Ada Quist (the builder) left.", ""),
        ("What Ada Quist is, nobody knew.", ""),
        ("In March Ada Quist was old.", ""),
        ("Table 1 (grapes) lists farms.", ""),
        ("Rye\n\nIt is a town.", ""),
        ("Harbor\n\nIt was late.", "Harbor"),
        ("import os and sys\n\nimport json", ""),
        ("[Ada Quist](quist.md)\n\nShe built boats.", ""),
        ("", ""),
    ],
)
def test_a_text_is_named_by_its_title_or_what_its_first_sentence_is_about(text, name):
    assert name_of(text) == name


def test_a_name_is_mentioned_as_a_whole():
    assert is_mentioned("Ada Quist", "Ada Quist's boats.")
    assert not is_mentioned("Ada Quist", "It was built by Ada Quistel.")
    assert not is_mentioned("Open Source", "An Open Source-like licence, SOpen Source.")
    assert is_mentioned("Harbor", "It lies in Harbor, by the sea.")
    assert not is_mentioned("Harbor", "Harbor was built late. Harbor is old.")
    assert not is_mentioned("Harbor", "It lies in Harbor Bay, behind Silver Harbor.")
    assert not is_mentioned("March", "It was built in March 1902.")
    assert is_mentioned("水手の歌集", "彼は水手の歌集を書いた。")


def test_the_best_unit_leads_to_the_text_that_it_names():
    found = linked(PLACE, [HARBOR, QUIST, RAIN], "It was built by Ada Quist in 1931.")
    built = "It was built by Ada Quist in 1931."
    # The first unit below the title, and the best two.
    assert len(found) == len(set(found)) == 3
    assert ("She was the third of nine.", built) in found
    assert not any("hills" in unit or "Nobody" in unit for unit, _ in found)


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        (PLACE, [HARBOR]),
        (PLACE, [HARBOR, *[QUIST] * 4]),  # a topic
        (PLACE, [HARBOR, "Quist & Sons\n\nIt was founded in Ross."]),
    ],
)
def test_other_names_lead_nowhere(query, texts):
    found = linked(query, texts, "It was built by Ada Quist in 1931.")
    assert all(unit in HARBOR for unit, _ in found)


def test_the_question_leads_to_the_text_that_it_names():
    found = linked(
        "How old was Ada Quist in 1931?", [HARBOR, QUIST, RAIN], "The Silver Harbor is a boat."
    )
    assert ("She was the third of nine.", "The Silver Harbor is a boat.") in found


@pytest.mark.parametrize(("end", "count"), [(".", 1), (";", 0)])
def test_identifiers_lead_from_sentence_to_sentence_and_not_in_code(end, count):
    text = f"AB-0098 repeats XQ-0077.\nXQ-0077 has a fuse{end}"
    spans = [Span(0, 24), Span(25, len(text))]
    units = [ScoredUnit(0, span, text[span.start : span.end]) for span in spans]
    found = links(ScoreRequest("AB-0098?", [text], [spans]), units, np.zeros(2))
    assert len(list(found)) == count


def test_the_first_unit_is_that_of_the_text_though_another_is_scored_first():
    text = "Ada Quist\n\nShe was third. She liked tea. She was born in Ross. She left."
    texts = [HARBOR, text]
    spans = [ProseSplitter()(text) for text in texts]
    units = [
        ScoredUnit(number, span, texts[number][span.start : span.end])
        for number, own in enumerate(spans)
        for span in own
        if texts[number][span.start : span.end] != "She was third."
    ]
    scores = np.arange(len(units), dtype=np.float64)
    found = links(ScoreRequest("Who?", texts, spans), units, scores)
    assert "She liked tea." not in {units[unit].content for unit, _ in found}


def test_chunks_of_one_page_do_not_lead_to_each_other():
    chunks = ["Silver Harbor\n\nThe Silver Harbor sank.", "Silver Harbor\n\nIt was blue."]
    assert not linked("What sank?", chunks, "The Silver Harbor sank.")


def test_what_a_named_text_says_is_kept_though_it_shares_few_words_with_the_question():
    rain = [
        f"Day {day}\n\nRain fell all day. The builder slept. Few were born." for day in range(30)
    ]
    compressor = ContextCompressor(WordScorer())
    kept = compressor.compress_documents(
        [HARBOR, *rain, QUIST], PLACE, budget=Budget(keep_fraction=0.1)
    )
    assert "built by Ada Quist" in kept[0].text
    assert "She was born in Ross." in kept[-1].text


def test_what_an_unrelated_text_says_is_not_lifted_by_its_first_words():
    texts = [
        "The pier of Rye was rebuilt. It cost nine million.",
        "What is a grape? It is a fruit.",
        "There are grapes in Peru. They are red.",
        "Summary\n\nBoats use it. It is long.",
    ]
    for query in ("What was the cost of the pier?", "There is a pier, who rebuilt it? Summary"):
        found = linked(query, texts, "The pier of Rye was rebuilt.")
        assert not found


@given(st.lists(st.sampled_from([HARBOR, QUIST, RAIN, "Ada Quist is old.", "x"]), max_size=5))
def test_no_link_leads_to_its_source_or_a_title(texts):
    spans = [ProseSplitter()(text) for text in texts]
    units = [
        ScoredUnit(number, span, texts[number][span.start : span.end])
        for number, own in enumerate(spans)
        for span in own
    ]
    scores = np.arange(len(units), dtype=np.float64)
    for unit, source in links(ScoreRequest(PLACE, texts, spans), units, scores):
        assert unit != source
        assert units[unit].span.start >= title_end(texts[units[unit].text])
