"""What the draft does not read ranks behind what it reads, whose scores stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.scoring import _prefilter
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._encoder_scorer import EncoderSpanScorer
from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring._prefilter import LEAST_TOKENS, units_to_read, word_scores
from specprefill_integrations.scoring._request_reading import RequestReading
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring.readouts import CalibratedDifferenceReadout
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span
from tests.laws.test_batch_scoring import LINEAR
from tests.tiny_models import tiny_model, tiny_tokenizer

QUESTION = "When does the ferry leave the harbor?"
FERRY = "The ferry leaves the harbor at noon. "
RAIN = "It rained all day and nobody minded. "
TEXTS = (RAIN * 20 + FERRY + RAIN * 20, RAIN * 30 + FERRY * 2)
WORDS = st.sampled_from(["ferry", "harbor", "leave", "rain", "noon", "tea", "cat"])
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=12).map(" ".join), max_size=40)


def scorer(prefilter=None, readout=LINEAR, dtype=torch.float64, **plan):
    draft = DraftModel.from_pair(tiny_model("llama", dtype=dtype), tiny_tokenizer())
    return AttentionScorer(
        draft,
        readout,
        ReadingPlan(window_tokens=200, cache_bytes=0, prefilter=prefilter, **plan),
    )


def request_of(query=QUESTION, texts=TEXTS):
    return ScoreRequest(query, list(texts), [ProseSplitter()(text) for text in texts])


def reading_of(request):
    return RequestReading(request, DraftTokenizer(tiny_tokenizer()), LINEAR.around_tokens)


def tokens_read(asked, request):
    """The number of text tokens in the contexts that the draft reads."""
    read = []
    tokens = RequestReading.tokens

    def spy(self, window):
        ids, is_text = tokens(self, window)
        read.append(sum(is_text))
        return ids, is_text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RequestReading, "tokens", spy)
        scores = asked.score_spans(request.query, request.texts, request.spans)
    return sum(read), scores


def flat(scores):
    return np.concatenate(scores)


@pytest.fixture(autouse=True)
def small_texts_too(monkeypatch):
    monkeypatch.setattr(_prefilter, "LEAST_TOKENS", 40)
    monkeypatch.setattr(_prefilter, "_PLACE_TOKENS", 16)


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(SENTENCES.map(". ".join), min_size=1, max_size=4).filter(any),
    share=st.floats(0.01, 1),
    least=st.integers(1, 60),
)
def test_no_more_than_the_share_is_read_and_the_best_place_always(texts, share, least):
    request = ScoreRequest("ferry harbor leave", texts, [ProseSplitter()(text) for text in texts])
    reading = reading_of(request)
    lengths = np.concatenate([own[:, 1] - own[:, 0] for own in reading._own])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_prefilter, "LEAST_TOKENS", least)
        is_read = units_to_read(reading.matcher, reading._own, share)
    assert len(is_read) == len(lengths)
    if reading.matcher.known_share() < 0.5 or lengths.sum() <= max(least, share * lengths.sum()):
        assert is_read.all()
        return
    assert is_read[np.argmax(word_scores(reading.matcher))]
    most = max(least, share * lengths.sum())
    places = _prefilter._places(lengths, np.cumsum([len(own) for own in reading._own]))
    assert lengths[is_read].sum() <= most or len(set(places[is_read])) == 1
    # Slowly: no unread place is better than a read one, unless those before it fill the share.
    scores = word_scores(reading.matcher)
    best = {place: scores[places == place].max() for place in set(places.tolist())}
    total = 0
    for place in sorted(best, key=lambda place: (-best[place], place)):
        tokens = lengths[places == place].sum()
        total += tokens
        assert is_read[places == place].all() == (total <= most or total == tokens)


def test_half_is_read_and_the_unread_rank_behind_in_the_order_of_their_words():
    request = request_of()
    everything, _ = tokens_read(scorer(), request)
    half, scores = tokens_read(scorer(0.5), request)
    assert 0.3 * everything < half <= 0.5 * everything
    reading = reading_of(request)
    is_read = units_to_read(reading.matcher, reading._own, 0.5)
    found = flat(scores)
    assert found[~is_read].max() <= found[is_read].min()
    words = word_scores(reading.matcher)[~is_read]
    assert (np.diff(found[~is_read][np.argsort(words, kind="stable")]) >= 0).all()


def test_what_is_read_is_scored_like_texts_that_have_only_that():
    """Word matches apart, which compare with all units: so the weights are those of attention."""
    texts = (RAIN * 20 + FERRY + RAIN * 20, FERRY * 2 + RAIN * 30)
    request = request_of(texts=texts)
    reading = reading_of(request)
    is_read = np.split(units_to_read(reading.matcher, reading._own, 0.1), [len(request.spans[0])])
    kept = [
        text[found[0].start : found[-1].end]
        for text, spans, marks in zip(texts, request.spans, is_read, strict=True)
        for found in [[span for span, mark in zip(spans, marks, strict=True) if mark]]
    ]
    alone = [
        [Span(span.start - first, span.end - first) for span in found]
        for spans, marks in zip(request.spans, is_read, strict=True)
        for found in [[span for span, mark in zip(spans, marks, strict=True) if mark]]
        for first in [found[0].start]
    ]
    # Runs must be one a text for this comparison.
    assert all((np.diff(np.flatnonzero(marks)) == 1).all() for marks in is_read)
    attention_only = scorer(0.1, CalibratedDifferenceReadout())
    scores = flat(attention_only.score_spans(QUESTION, texts, request.spans))
    expected = flat(scorer(None, CalibratedDifferenceReadout()).score_spans(QUESTION, kept, alone))
    assert scores[np.concatenate(is_read)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        (None, TEXTS),
        ("Wann verlässt das Schiff den Hafen?", TEXTS),
        (QUESTION, (RAIN * 3,)),
    ],
)
def test_all_is_read_without_a_question_or_its_words_or_many_tokens(query, texts, monkeypatch):
    monkeypatch.setattr(_prefilter, "LEAST_TOKENS", 100)
    request = request_of(query, texts)
    everything, expected = tokens_read(scorer(), request)
    read, scores = tokens_read(scorer(0.1), request)
    assert read == everything
    assert flat(scores) == pytest.approx(flat(expected), abs=1e-9)


def test_a_share_of_one_changes_nothing():
    request = request_of()
    _, expected = tokens_read(scorer(), request)
    _, scores = tokens_read(scorer(1.0), request)
    assert scores == expected


def test_overlapping_spans_are_read_once():
    text = RAIN * 20 + FERRY + RAIN * 20
    words = [Span(at, at + 5) for at in range(0, len(text) - 5, 3)]
    request = ScoreRequest(QUESTION, [text], [words])
    everything, _ = tokens_read(scorer(), request)
    read, [scores] = tokens_read(scorer(0.3), request)
    assert read < everything
    assert len(scores) == len(words)
    assert np.isfinite(scores).all()


def test_requests_of_a_batch_are_filtered_as_if_alone():
    requests = [request_of(), request_of("Who minded the rain?"), request_of(None)]
    half = scorer(0.5)
    alone = [half.score_spans(r.query, r.texts, r.spans) for r in requests]
    for together, by_itself in zip(half.score_batch(requests), alone, strict=True):
        assert flat(together) == pytest.approx(flat(by_itself), abs=1e-6)


def test_the_published_algorithm_and_encoders_read_all():
    with pytest.raises(ValueError, match="published algorithm"):
        ContextCompressor.from_draft_model(
            (tiny_model("llama"), tiny_tokenizer()), scorer="published", prefilter=0.5
        )
    with pytest.raises(ValueError, match="an encoder reads all"):
        EncoderSpanScorer.from_pretrained("nowhere", plan=ReadingPlan(prefilter=0.5))


def test_the_evidence_survives_in_a_compressor():
    compressor = ContextCompressor.from_draft_model(
        (tiny_model("llama", dtype=torch.float32), tiny_tokenizer()), readout=LINEAR, prefilter=0.3
    )
    found = compressor.compress(TEXTS[0], QUESTION, budget=Budget(keep_fraction=0.2))
    assert found.kept_tokens < found.original_tokens
    assert LEAST_TOKENS == 512


def test_known_words_are_counted_over_all_texts():
    texts = ["The ferry.", "The harbor."]
    matcher = LexicalMatcher(
        request=ScoreRequest("ferry harbor tea leave", texts, [[], []]),
        own=[np.zeros((0, 2), int)] * 2,
        around=[np.zeros((0, 2), int)] * 2,
    )
    assert matcher.known_share() == 0.5
