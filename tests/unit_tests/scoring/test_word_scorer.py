"""Scores by words alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.scoring import LinearReadout, WordScorer
from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._word_scorer import _WEIGHTS, word_scores

HARBOR = "Silver Harbor\n\nThe boat was built by Ada Quist in 1931. It is blue."
QUIST = "Ada Quist\n\nShe was born in Ross. She liked tea."
RAIN = "Rain\n\nIt fell on the hills. Nobody came."


def halves(text: str) -> list[Span]:
    """The title and both sentences."""
    title, body = text.index("\n"), text.rindex(". ") + 1
    return [Span(0, title), Span(title + 2, body), Span(body + 1, len(text))]


def test_the_unit_with_the_words_of_the_question_scores_highest():
    [scores] = WordScorer().score_spans("Who built the boat?", [HARBOR], [halves(HARBOR)])
    assert scores[1] == max(scores)
    assert scores[1] > scores[2]


def test_words_of_the_best_units_lead_to_another_text():
    texts = [HARBOR, QUIST, RAIN]
    scores = WordScorer().score_spans(
        "Where was the builder of Silver Harbor born?", texts, [halves(text) for text in texts]
    )
    assert scores[1][1] > scores[1][2] > scores[2][1]


def test_it_is_a_linear_readout_without_heads():
    texts = [HARBOR, QUIST, RAIN]
    spans = [halves(text) for text in texts]
    edges = [np.array([(one.start, one.end) for one in own]) for own in spans]
    request = ScoreRequest("Where was the builder of Silver Harbor born?", texts, spans)
    matcher = LexicalMatcher(request=request, own=edges, around=edges)
    readout = LinearReadout(
        heads=(),
        passes=(),
        own_weights=(),
        around_weights=(),
        lexical_weights=tuple(_WEIGHTS.tolist()),
        feedback_units=2,
    )
    expected = readout.score_units(matcher.features(), matcher)
    assert word_scores(matcher).tolist() == expected.tolist()


def test_it_compresses_without_torch():
    script = (
        "import sys; from specprefill_integrations import Budget, ContextCompressor; "
        "from specprefill_integrations.scoring import WordScorer; "
        "compressor = ContextCompressor(WordScorer(), on_error='raise'); "
        "text = 'A dog barked at the old lamp. ' + 'Rain fell on the hills. ' * 20; "
        "print(compressor.compress(text, 'dog', budget=Budget(max_tokens=12)).text); "
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["A dog barked at the old lamp. [...]", "set()"]


def test_a_budget_is_about_the_callers_tokens_if_they_are_counted():
    compressor = ContextCompressor(WordScorer(), count_tokens=lambda text: len(text.split()))
    kept = compressor.compress(HARBOR, "Who built the boat?", budget=Budget(max_tokens=13))
    assert kept.kept_tokens == len(kept.text.split()) <= 13
    assert "Ada Quist" in kept.text
