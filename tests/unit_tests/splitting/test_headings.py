"""What heads what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.splitting._headings import heading_links
from specprefill_integrations.splitting._prose import ProseSplitter

GUIDE = """\
# Guide

Read this first.

## Install

Run pip. Then wait.

### On Windows

Use the other one.

## Use

Call it.
"""


def headings_of(text: str) -> dict[str, list[str]]:
    """Each unit and the units above it."""
    units = ProseSplitter()(text)
    links = heading_links(text, units)
    words = [text[unit.start : unit.end] for unit in units]
    return {word: [words[i] for i in above] for word, above in zip(words, links, strict=True)}


def test_markdown_headings_head_what_is_below_them():
    found = headings_of(GUIDE)
    assert found["Read this first."] == ["# Guide"]
    assert found["Then wait."] == ["# Guide", "## Install"]
    assert found["Use the other one."] == ["# Guide", "## Install", "### On Windows"]
    assert found["Call it."] == ["# Guide", "## Use"]
    assert found["## Use"] == ["# Guide"]


def test_a_first_line_without_a_full_stop_is_the_title_of_all():
    found = headings_of("Salt Meridian\nIt was written in 1931. Nobody read it.")
    assert found["It was written in 1931."] == ["Salt Meridian"]
    assert found["Nobody read it."] == ["Salt Meridian"]


def test_numbered_and_capitalized_lines_head_clauses():
    text = (
        "SUPPLY AGREEMENT\n\n1. Term\n\nIt runs for a year.\n\n"
        "1.1 Renewal\n\nIt may be renewed.\n\n"
        "2. Law\n\nThe law of the land.\n\nANNEX\n\nPrices are net."
    )
    found = headings_of(text)
    assert found["It may be renewed."] == ["SUPPLY AGREEMENT", "1. Term", "1.1 Renewal"]
    assert found["The law of the land."] == ["SUPPLY AGREEMENT", "2. Law"]
    assert found["Prices are net."] == ["SUPPLY AGREEMENT", "ANNEX"]


def test_a_short_line_alone_above_a_paragraph_heads_it_below_all_other_headings():
    text = (
        "The lighthouse\n\nIt is old.\n\n1. History\n\nMonks lit a fire.\n\n"
        "The old lamp\n\nIt turned in mercury. It was worn.\n\n"
        "The new light\n\nIt draws 72 watts.\n\n2. Visits\n\nOn Sundays only."
    )
    found = headings_of(text)
    assert found["It was worn."] == ["The lighthouse", "1. History", "The old lamp"]
    assert found["It draws 72 watts."] == ["The lighthouse", "1. History", "The new light"]
    assert found["On Sundays only."] == ["The lighthouse", "2. Visits"]


@pytest.mark.parametrize(
    "line",
    [
        "and so it went on",
        "It was over.",
        "He said:",
        "42",
        "See https://example.com",
        "Ada Quist, builder",
        "The keeper wrote that they had lived on limpets and potatoes for a whole winter",
    ],
)
@pytest.mark.parametrize("below", ["It rained. Nobody came.", "Best regards"])
def test_a_line_that_may_be_part_of_a_text_heads_nothing(line, below):
    text = f"It began in May. They waited.\n\n{line}\n\n{below}"
    assert not any(headings_of(f"{text}\n\n{line}\n\nThe end. It was good.").values())


def test_a_single_plain_line_may_be_anything():
    text = "It began in May. They waited.\n\nAdvertisement\n\nIt rained. Nobody came."
    assert not any(headings_of(text).values())


@pytest.mark.parametrize("text", ["Yours\n\nAda", "The old lamp\nIt turned in mercury."])
def test_a_plain_heading_needs_a_blank_line_and_a_sentence_below(text):
    assert not any(headings_of(f"It began in May.\n\n{text}").values())


@pytest.mark.parametrize(
    "text",
    [
        "It rained all day. Nobody came.",
        "A sentence on a line of its own.\nAnother one.",
        "Only a title",
        "A title without anything\n\n",
        "x" * 101 + "\nAll of this is below a line that is too long to be a title.",
        "42\nThe number above is no title.",
    ],
)
def test_what_is_not_clearly_a_heading_is_none(text):
    assert not any(headings_of(text).values())


@given(st.text(st.sampled_from("ab. #\n1A-"), max_size=120))
def test_links_lead_upwards_and_hold_all_that_is_above(text):
    units = ProseSplitter()(text)
    links = heading_links(text, units)
    assert len(links) == len(units)
    for index, above in enumerate(links):
        assert list(above) == sorted(set(above))
        assert all(i < index for i in above)
        assert all(set(links[i]) <= set(above) for i in above)
