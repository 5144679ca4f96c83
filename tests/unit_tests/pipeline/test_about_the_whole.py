"""Which questions are about the whole of a text."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.pipeline._query_intent import asks_about_whole_text
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.testing import KeywordScorer


@pytest.mark.parametrize(
    "query",
    [
        None,
        "",
        "  ",
        "Please summarize the report.",
        "Summarise it in three sentences",
        "Can you sum up this thread?",
        "Give me an overview",
        "What are the main points?",
        "list all the dates in this contract",
        "What is this document about?",
        "TL;DR",
    ],
)
def test_some_need_all_of_it(query):
    assert asks_about_whole_text(query)


@pytest.mark.parametrize(
    "query",
    [
        "Who wrote the summons?",
        "how many characters are in an ICD-10 code",
        "When was the overviewer founded?",
        "what is the capital of France",
        "Which function lists files?",
    ],
)
def test_most_need_one_place(query):
    assert not asks_about_whole_text(query)


TEXTS = [
    "A whale swam by. A whale sang. A whale dived. A whale ate. A whale slept. A whale left. " * 2,
    "The harbor was empty. Nobody was there. Boats were tied up. It was dark. Gulls slept.",
    "Snow fell on the hills. It was deep. Roads were closed. Children played. It was cold.",
]


def kept_of(query, **options):
    compressor = ContextCompressor(
        KeywordScorer(), gaps=GapStyle(marker="…", mark_ends=False), **options
    )
    results = compressor.compress_documents(TEXTS, query, budget=Budget(max_tokens=48))
    return [bool(result.text) for result in results]


def test_a_summary_has_something_of_every_document_and_a_question_has_not():
    assert kept_of("summarize what the whale did") == [True, True, True]
    assert kept_of("what did a whale do") == [True, False, False]


def test_the_caller_decides_otherwise():
    from specprefill_integrations.pipeline._selection import select_best  # noqa: PLC0415

    query = "summarize what a whale did"
    assert kept_of(query, selector=select_best) == kept_of("what did a whale do")


def test_a_mass_keeps_as_much_as_the_question_finds():
    compressor = ContextCompressor(KeywordScorer())

    def kept(query, **limits):
        results = compressor.compress_documents(
            TEXTS, query, budget=Budget(attention_mass=0.9, **limits)
        )
        return sum(result.kept_tokens for result in results)

    assert 0 < kept("harbor") < kept("whale")
    assert kept("whale", max_tokens=5) <= 5
