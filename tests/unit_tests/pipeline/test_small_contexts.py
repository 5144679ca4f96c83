"""Budgets that are hardly larger than one sentence: the best one is never passed over."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, Compression, ContextCompressor
from specprefill_integrations.testing import KeywordScorer

QUERY = "What is the pump code?"
CODE = "The pump code is 4711."
HOUSE = "The pump house is white."
THIRD = Budget(keep_fraction=0.3)


def compressed(texts: list[str], budget: Budget) -> list[Compression]:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    return compressor.compress_documents(texts, QUERY, budget=budget)


def test_one_short_sentence_is_passed_through() -> None:
    [result] = compressed([CODE], THIRD)
    assert (result.text, result.skipped_because) == (CODE, "too_small")
    assert not result.is_widened


def test_a_fraction_gives_way_to_the_best_sentence() -> None:
    [result] = compressed([f"{HOUSE} {CODE} It was built in 1950, long before the harbour."], THIRD)
    assert result.text == f"[...] {CODE} [...]"
    assert result.is_widened
    assert result.skipped_because is None


def test_of_four_short_texts_the_best_is_kept_and_not_one_that_fits() -> None:
    texts = [
        "The office opens at nine on weekdays.",
        "The pump code is 4711, ask Wim.",
        "Nine.",
        "The ferry leaves from the north pier.",
    ]
    for keep in (0.05, 0.2, 0.3):
        kept = [result.text for result in compressed(texts, Budget(keep_fraction=keep))]
        assert kept == ["", texts[1], "", ""]


def test_a_fraction_gives_way_only_as_far_as_min_tokens() -> None:
    long = f"The pump code is {'the pump code ' * 20}long. "
    [result] = compressed([long + f"{HOUSE} " * 9], Budget(keep_fraction=0.1, min_tokens=30))
    assert 11 < result.kept_tokens <= 30
    assert "pump code" in result.text
    assert "white" not in result.text


@pytest.mark.parametrize("most", [12, 13, 14])
def test_a_number_of_tokens_is_never_exceeded_and_buys_the_start_of_the_best(most: int) -> None:
    [result] = compressed([f"{HOUSE} {CODE} It was built in 1950."], Budget(max_tokens=most))
    assert result.text.startswith("[...] The pump")
    assert "white" not in result.text
    assert result.kept_tokens <= most
    assert not result.is_widened


def test_a_number_of_tokens_beside_a_fraction_is_not_exceeded() -> None:
    texts = [f"{HOUSE} {CODE} It was built in 1950, long before the harbour."]
    [result] = compressed(texts, Budget(keep_fraction=0.3, max_tokens=12))
    assert result.kept_tokens <= 12
    assert result.text == "[...] The pump [...]"
