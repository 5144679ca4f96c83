"""Chains of identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.scoring import WordScorer
from specprefill_integrations.scoring._identifier_chains import chains, identifiers

TICKETS = [
    "INC-0098 repeats INC-0077.",
    "The weather was fine.",
    "INC-0077 was closed by Ada.",
    "PO-4471 came late.",
]
names = st.sampled_from(["ABC-1", "ABC-2", "x_y", "QRST", "4711", "rain", "Ada"])
sentences_of_names = st.lists(st.lists(names, max_size=4).map(" ".join), max_size=12)


@pytest.mark.parametrize(
    "word", ["INC-0098", "8f3a", "parse_line", "PSQWU", "60743", "4711", "COVID-19", "v2-beta"]
)
def test_names_in_registers_and_programs_are_identifiers(word):
    assert identifiers(f"See {word}, please.") == {word}


@pytest.mark.parametrize(
    "word", ["1987", "2024", "1990s", "50kg", "USA", "Rain", "well-known", "_"]
)
def test_words_and_years_are_none(word):
    assert not identifiers(f"See {word}, please.")


def test_a_chain_leads_from_the_question_to_the_last_sentence():
    sentences = ["VAR BBBB = VAR AAAA.", "VAR AAAA = 60743.", "It rained.", "VAR CCCC = VAR BBBB."]
    found = list(chains("Which variables are 60743?", sentences, sentences))
    assert found == [(0, 1), (3, 0)]


@pytest.mark.parametrize(
    "query", ["Who closed the ticket?", "INC-1111?", "INC-0098, PO-4471, AB-1234 and CD-1234?"]
)
def test_nothing_is_followed_without_few_identifiers_that_the_texts_hold(query):
    assert not list(chains(query, TICKETS, TICKETS))


def test_an_identifier_of_many_sentences_is_a_topic():
    sentences = [*TICKETS, "INC-0077 again.", "INC-0077 once more."]
    assert not list(chains("INC-0098?", sentences, sentences))


@given(st.lists(names, max_size=4).map(" ".join), sentences_of_names)
def test_each_link_is_an_identifier_that_both_sentences_hold(query, sentences):
    asked = identifiers(query)
    reached = {number for number, one in enumerate(sentences) if identifiers(one) & asked}
    for number, source in chains(query, sentences, sentences):
        assert source in reached
        assert number not in reached
        assert (identifiers(sentences[number]) & identifiers(sentences[source])) - asked
        reached.add(number)


def test_what_a_ticket_repeats_is_kept_though_it_shares_no_word_with_the_question():
    rain = " ".join(f"On day {day} rain fell on the hills of the island." for day in range(40))
    text = (
        f"{rain} Ticket INC-0098 repeats INC-0077. {rain} INC-0077 was solved by a new fuse. {rain}"
    )
    compressor = ContextCompressor(WordScorer(), drop_repeats=False)
    kept = compressor.compress(
        text, "What became of ticket INC-0098?", budget=Budget(keep_fraction=0.04)
    ).text
    assert "Ticket INC-0098 repeats INC-0077." in kept
    assert "INC-0077 was solved by a new fuse." in kept
