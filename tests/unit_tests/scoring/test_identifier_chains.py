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


@pytest.mark.parametrize("word", ["INC-0098", "8f3a", "parse_line", "größe_max", "COVID-19"])
def test_names_in_registers_and_programs_are_identifiers(word):
    assert identifiers(f"See {word}, please.", with_doubtful=False) == {word}


@pytest.mark.parametrize("word", ["PSQWU", "60743", "4711", "NASA"])
def test_numbers_and_capitals_are_identifiers_only_where_they_are_asked_or_assigned(word):
    assert identifiers(f"See {word}, please.", with_doubtful=True) == {word}
    assert not identifiers(f"See {word}, please.", with_doubtful=False)


@pytest.mark.parametrize(
    "word",
    ["1987", "1990s", "50kg", "16GB", "FY2024", "USA", "Rain", "well-known", "_", "0.3333"],
)
def test_words_years_and_amounts_are_none(word):
    assert not identifiers(f"See {word}, please.", with_doubtful=True)


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


def every(sentence: str) -> frozenset[str]:
    return identifiers(sentence, with_doubtful=True)


def test_a_chain_has_a_limited_number_of_links():
    sentences = ["Start-1 is part-0."] + [f"It is part-{n}, not part-{n + 1}." for n in range(99)]
    assert len(list(chains("Start-1?", sentences, sentences))) == 32


def test_words_in_capitals_lead_nowhere_without_an_assignment():
    sentences = ["NASA filmed it with the ABCD.", "The ABCD costs more.", "It rained."]
    assert not list(chains("Who filmed it for NASA?", sentences, sentences))


@given(st.lists(names, max_size=4).map(" ".join), sentences_of_names)
def test_each_link_is_an_identifier_that_both_sentences_hold(query, sentences):
    asked = identifiers(query, with_doubtful=True)
    reached = {
        number
        for number, one in enumerate(sentences)
        if identifiers(one, with_doubtful=True) & asked
    }
    for number, source in chains(query, sentences, sentences):
        assert source in reached
        assert number not in reached
        assert (every(sentences[number]) & every(sentences[source])) - asked
        reached.add(number)


def test_what_a_ticket_repeats_is_kept_though_it_shares_no_word_with_the_question():
    rain = " ".join(f"On day {day} rain fell on the hills of the island." for day in range(40))
    text = f"{rain} Ticket AB-0098 repeats XQ-0077. {rain} XQ-0077 has a new fuse. {rain}"
    compressor = ContextCompressor(WordScorer(), drop_repeats=False)
    query, budget = "What became of ticket AB-0098?", Budget(keep_fraction=0.04)
    kept = compressor.compress(text, query, budget=budget).text
    assert "Ticket AB-0098 repeats XQ-0077." in kept
    assert "XQ-0077 has a new fuse." in kept
