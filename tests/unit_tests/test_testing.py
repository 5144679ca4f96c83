"""The scorer that we ship for other people's tests."""

from __future__ import annotations

from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Span


def test_it_is_a_scorer() -> None:
    scorer: SpanScorer = KeywordScorer()
    assert isinstance(scorer, SpanScorer)


def test_a_score_is_the_share_of_words_that_stand_in_the_question() -> None:
    text = "The cat sat. A dog."
    scores = KeywordScorer().score_spans(
        "CAT sat?", [text, "cat"], [[Span(0, 11), Span(13, 19)], []]
    )
    assert scores == [[2 / 3, 0.0], []]


def test_without_a_question_the_beginning_scores_higher() -> None:
    for nothing in (None, ""):
        [scores] = KeywordScorer().score_spans(nothing, ["a b c"], [[Span(0, 1), Span(2, 3)]])
        assert scores[0] > scores[1]


def test_a_token_is_a_word_or_a_mark() -> None:
    scorer = KeywordScorer()
    text = "Don't stop, 你好!"
    tokens = [text[a:b] for a, b in scorer.token_spans(text)]
    assert tokens == ["Don", "'", "t", "stop", ",", "你好", "!"]
    assert scorer.count_tokens([text, ""]) == [7, 0]
