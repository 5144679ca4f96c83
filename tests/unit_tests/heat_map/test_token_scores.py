"""Heat maps cost no second reading and change no score."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.evaluation._case_compressor import RememberingScorer
from specprefill_integrations.heat_map._token_scores import TokenHeatRecorder
from specprefill_integrations.testing import KeywordScorer

TEXT = "A cat sat. The dog \ud800 ran far away. A bird sang in the tree."


class CountingScorer(KeywordScorer):
    """Counts how often it is asked."""

    calls = 0

    def score_spans(self, query, texts, spans):
        type(self).calls += 1
        return super().score_spans(query, texts, spans)


@pytest.fixture(autouse=True)
def _no_calls():
    CountingScorer.calls = 0


def test_units_score_as_without_it_and_tokens_are_noted():
    recorder = TokenHeatRecorder(CountingScorer())
    budget = Budget(max_tokens=12)
    plain = ContextCompressor(KeywordScorer()).compress(TEXT, "dog", budget=budget)
    watched = ContextCompressor(recorder).compress(TEXT, "dog", budget=budget)
    assert (watched.text, watched.kept) == (plain.text, plain.kept)
    assert CountingScorer.calls == 1
    heat = recorder.heat_of(TEXT)
    assert [TEXT[span.start : span.end] for span, _ in heat][:3] == ["A", "cat", "sat"]
    assert [TEXT[span.start : span.end] for span, score in heat if score == 1.0] == ["dog"]


def test_a_text_that_was_not_read_has_no_heat():
    assert TokenHeatRecorder(KeywordScorer()).heat_of("unread") == []


def test_a_scorer_that_does_not_know_its_tokens_is_named():
    class Blind:
        def score_spans(self, query, texts, spans):
            return [[0.0] * len(found) for found in spans]

        def count_tokens(self, texts):
            return [len(text) for text in texts]

    with pytest.raises(TypeError, match="Blind"):
        TokenHeatRecorder(Blind())


class LogarithmScorer(KeywordScorer):
    """Says that its scores are logarithms."""

    scores_are_logarithms = True


def test_logarithms_are_told_of_stretches_that_stay_within_the_unit():
    """One word that is asked for warms the words around it, not the next sentence."""
    text = "A b c d e f g h i j dog k. Long after that nothing was heard."
    recorder = TokenHeatRecorder(LogarithmScorer())
    ContextCompressor(recorder).compress(text, "dog", budget=Budget(max_tokens=13))
    warm = [text[span.start : span.end] for span, score in recorder.heat_of(text) if score > 0]
    assert warm == ["e", "f", "g", "h", "i", "j", "dog", "k", "."]


@pytest.mark.parametrize("scorer", [KeywordScorer, LogarithmScorer])
@pytest.mark.parametrize("wrap", [TokenHeatRecorder, RememberingScorer])
def test_a_share_of_attention_means_the_same_in_a_wrapper(scorer, wrap):
    budget = Budget(attention_mass=0.5)
    plain = ContextCompressor(scorer()).compress(TEXT, "dog", budget=budget)
    wrapped = ContextCompressor(wrap(scorer())).compress(TEXT, "dog", budget=budget)
    assert wrapped.kept == plain.kept
    densities = ContextCompressor(KeywordScorer()).compress(TEXT, "dog", budget=budget)
    assert (plain.kept == densities.kept) == (scorer is KeywordScorer)
