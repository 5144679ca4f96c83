"""Laws of the scorers that need no model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.evaluation._baselines import (
    BASELINES,
    Bm25Scorer,
    HeadTailScorer,
    RandomScorer,
)
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.testing import KeywordScorer
from tests.laws.texts import spans_in, texts

Call = tuple[str | None, list[str], list[list[Span]]]

COUNT = KeywordScorer().count_tokens
STOP_WORDS = {"the", "and"}

sentences = st.lists(
    st.sampled_from(["dog", "cat", "rain", "7", "x", "the", "and", "Dog", "雨", "猫"]), min_size=1
)

every_baseline = pytest.mark.parametrize(
    "scorer", [make(COUNT) for make in BASELINES.values()], ids=list(BASELINES)
)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Some texts without lone surrogates, some of their spans, and perhaps a question."""
    found = [encodable(text) for text in draw(st.lists(texts, min_size=1, max_size=4))]
    query = draw(st.one_of(st.none(), texts.map(encodable)))
    return query, found, [draw(spans_in(text)) for text in found]


def words_of(text: str) -> list[Span]:
    return [Span(m.start(), m.end()) for m in re.finditer(r"\S+", text)]


@pytest.mark.parametrize("make", [Bm25Scorer, RandomScorer, HeadTailScorer])
def test_a_baseline_counts_as_it_is_told(make: type[Bm25Scorer]) -> None:
    assert make(COUNT).count_tokens(["one two.", ""]) == [3, 0]


@every_baseline
class TestEveryBaseline:
    @given(calls())
    def test_one_finite_number_a_span(self, scorer: SpanScorer, call: Call) -> None:
        _, _, spans = call
        scores = scorer.score_spans(*call)
        assert [len(found) for found in scores] == [len(found) for found in spans]
        assert all(type(score) is float for found in scores for score in found)
        assert all(math.isfinite(score) for found in scores for score in found)

    @given(calls())
    def test_the_same_call_gives_the_same_scores(self, scorer: SpanScorer, call: Call) -> None:
        query, found, spans = call
        copied = query, list(found), [list(some) for some in spans]
        assert scorer.score_spans(*call) == scorer.score_spans(*copied)
        assert copied == (query, found, spans)

    @given(calls(), st.randoms(use_true_random=False))
    def test_documents_may_come_in_any_order(
        self, scorer: SpanScorer, call: Call, random: st.DataObject
    ) -> None:
        query, found, spans = call
        order = list(range(len(found)))
        random.shuffle(order)
        scores = scorer.score_spans(query, found, spans)
        shuffled = scorer.score_spans(query, [found[i] for i in order], [spans[i] for i in order])
        for place, document in enumerate(order):
            assert shuffled[place] == pytest.approx(scores[document], rel=1e-5)

    def test_serves_the_compressor(self, scorer: SpanScorer) -> None:
        text = " ".join(f"Sentence number {i} is about nothing." for i in range(20))
        compressor = ContextCompressor(scorer, on_error="raise")
        result = compressor.compress(text, "number 7", budget=Budget(keep_fraction=0.3))
        assert 0 < result.keep_fraction <= 0.3


def reference_bm25(query: list[str], units: Sequence[list[str]]) -> list[float]:
    """The formula as Lucene computes it, written out (k1 = 1.2, b = 0.75)."""
    mean_length = sum(map(len, units)) / len(units)
    scores = []
    for unit in units:
        counts = Counter(unit)
        score = 0.0
        for word in query:
            holding = sum(word in other for other in units)
            rarity = math.log(1 + (len(units) - holding + 0.5) / (holding + 0.5))
            length = 1.2 * (1 - 0.75 + 0.75 * len(unit) / mean_length)
            score += rarity * counts[word] / (counts[word] + length)
        scores.append(score)
    return scores


class TestBm25:
    @given(
        st.lists(st.tuples(sentences, sentences), min_size=1, max_size=4),
        sentences,
    )
    def test_equals_the_formula(
        self, documents: list[tuple[list[str], list[str]]], asked: list[str]
    ) -> None:
        lines = [[" ".join(words) for words in document] for document in documents]
        found = ["\n".join(parts) for parts in lines]
        spans = [[Span(0, len(a)), Span(len(a) + 1, len(a) + 1 + len(b))] for a, b in lines]
        units = [
            [word.lower() for word in words if word not in STOP_WORDS]
            for document in documents
            for words in document
        ]
        query = [word.lower() for word in asked if word not in STOP_WORDS]
        scores = Bm25Scorer(COUNT).score_spans("? ".join(asked), found, spans)
        expected = reference_bm25(query, units) if any(units) else [0.0] * len(units)
        assert [s for some in scores for s in some] == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("query", [None, "", "the and of", "?!", "zebra"])
    def test_nothing_shared_is_zero(self, query: str | None) -> None:
        text = "The dog barked. And the rain fell."
        [scores] = Bm25Scorer(COUNT).score_spans(query, [text], [words_of(text)])
        assert scores == [0.0] * 7

    def test_spans_without_words_are_zero(self) -> None:
        assert Bm25Scorer(COUNT).score_spans("dog", ["...", ""], [[Span(0, 3)], []]) == [[0.0], []]

    @pytest.mark.parametrize(
        ("query", "text", "best"),
        [
            ("Which DOG?", "cat dog bird", 1),
            ("vitamin C", "a b c d", 2),
            ("in 7 days", "6 7 8", 1),
            ("雨は?", "今日は晴れ 明日は雨 猫がいる", 1),
            ("ฝน", "แมวกิน ฝนตก", 1),
            ("école", "lycée école", 1),
        ],
    )
    def test_the_shared_word_wins(self, query: str, text: str, best: int) -> None:
        [scores] = Bm25Scorer(COUNT).score_spans(query, [text], [words_of(text)])
        assert scores.index(max(scores)) == best
        assert scores.count(max(scores)) == 1

    def test_a_rare_word_counts_more_and_all_texts_are_one_index(self) -> None:
        found = ["dog dog2", "dog rain"]
        common, rare = Bm25Scorer(COUNT).score_spans(
            "dog rain", found, [words_of(text) for text in found]
        )
        assert rare[1] > common[0] == rare[0] > common[1] == 0

    def test_prints_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        Bm25Scorer(COUNT).score_spans("dog", ["a dog"], [[Span(0, 5)]])
        assert capfd.readouterr() == ("", "")


class TestRandom:
    def test_looks_random(self) -> None:
        text = "x " * 2000
        [scores] = RandomScorer(COUNT).score_spans("?", [text], [words_of(text)])
        assert 0 <= min(scores) < max(scores) < 1
        assert len(set(scores)) == len(scores)
        assert sum(scores) / len(scores) == pytest.approx(0.5, abs=0.03)
        assert sum(a < b for a, b in pairwise(scores)) in range(900, 1100)

    def test_seed_question_text_and_place_all_matter(self) -> None:
        def score(seed: int, query: str | None, text: str, start: int) -> float:
            [[found]] = RandomScorer(COUNT, seed).score_spans(query, [text], [[Span(start, 5)]])
            return found

        drawn = {
            score(0, None, "a text", 0),
            score(1, None, "a text", 0),
            score(0, "why", "a text", 0),
            score(0, None, "another", 0),
            score(0, None, "a text", 1),
        }
        assert len(drawn) == 5

    @given(calls())
    def test_a_document_does_not_see_the_others(self, call: Call) -> None:
        query, found, spans = call
        scorer = RandomScorer(COUNT)
        alone = [
            scorer.score_spans(query, [text], [some])[0]
            for text, some in zip(found, spans, strict=True)
        ]
        assert scorer.score_spans(query, found, spans) == alone


class TestHeadTail:
    @pytest.mark.parametrize(
        ("count", "order"), [(0, []), (1, [0]), (2, [0, 1]), (5, [0, 4, 1, 3, 2])]
    )
    def test_from_both_ends_in_turn(self, count: int, order: list[int]) -> None:
        text = "x " * count
        [scores] = HeadTailScorer(COUNT).score_spans("?", [text], [words_of(text)])
        assert sorted(range(count), key=lambda i: -scores[i]) == order
        assert len(set(scores)) == count

    def test_a_budget_keeps_both_ends(self) -> None:
        text = " ".join(f"Sentence {i} says nothing." for i in range(20))
        compressor = ContextCompressor(HeadTailScorer(COUNT), on_error="raise")
        kept = compressor.compress(text, "?", budget=Budget(keep_fraction=0.3)).kept
        assert len(kept) == 2
        assert (kept[0].start, kept[1].end) == (0, len(text))

    def test_documents_are_equal(self) -> None:
        scores = HeadTailScorer(COUNT).score_spans("?", ["a b", "a b"], [words_of("a b")] * 2)
        assert scores[0] == scores[1]
