"""What is below a heading, or in a record, is found by the words of the heading or the name."""

from __future__ import annotations

import json

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import TextHint

PEOPLE = {
    "Ada": ("Leeds", "baker"),
    "Boris": ("Oslo", "pilot"),
    "Chen": ("Turin", "nurse"),
    "Dora": ("Ghent", "welder"),
    "Emil": ("Porto", "tutor"),
    "Fay": ("Basel", "judge"),
}

RECORDS = [
    {"name": name, "city": city, "job": job, "remark": "nothing else is known of this one"}
    for name, (city, job) in PEOPLE.items()
]

TEXTS = {
    "json": json.dumps(RECORDS, indent=1),
    "json lines": "\n".join(map(json.dumps, RECORDS)),
    "markdown": "\n\n".join(f"## {n}\n\nHome is {c}. Works: {j}." for n, (c, j) in PEOPLE.items()),
    "below lines": "\n\n".join(
        f"{n}\n{'-' * len(n)}\n\nHome is {c}. Works: {j}." for n, (c, j) in PEOPLE.items()
    ),
    "html": "<body>"
    + "".join(f"<h2>{n}</h2><p>Home is {c}. Works: {j}.</p>" for n, (c, j) in PEOPLE.items())
    + "</body>",
}


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_heading_or_a_name_leads_to_what_is_below(kind, name):
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    budget = Budget(keep_fraction=0.35, min_tokens=0)
    hint = TextHint(kind="markdown") if kind == "below lines" else None
    kept = compressor.compress(TEXTS[kind], f"{name}?", budget=budget, hint=hint).text
    assert name in kept
    assert PEOPLE[name][0] in kept


def test_what_is_below_a_heading_keeps_its_own_order():
    text = "# Notes\n\nQuay.\n\n## Ferries\n\nRain. It leaves at noon. Wind.\n\n## Bus\n\nFog."
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    budget = Budget(max_tokens=16)
    kept = compressor.compress(text, "When does one of the ferries leave? noon", budget=budget).text
    assert "It leaves at noon." in kept
    assert "Fog" not in kept
