"""What the draft does not read ranks behind what it reads, whose scores stay what they were."""

from __future__ import annotations

from dataclasses import replace

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
from specprefill_integrations.scoring._request_reading import RequestReading
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._word_scorer import word_scores
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
    monkeypatch.setattr(_prefilter, "_STRETCH_TOKENS", 16)
    monkeypatch.setattr(_prefilter, "_LONGEST_STRETCH", 20)


def read_ranges(request, share):
    """What is read of each text."""
    reading = reading_of(request)
    reading.read_only(share)
    return [
        [(run.start, run.end) for run in reading._runs if run.document == number]
        for number in range(len(request.texts))
    ]


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(SENTENCES.map(". ".join), min_size=1, max_size=4).filter(any),
    share=st.floats(0.01, 1),
    least=st.integers(20, 60),
)
def test_no_more_than_the_share_is_read_and_always_the_best_place(texts, share, least):
    request = ScoreRequest("ferry harbor leave", texts, [ProseSplitter()(text) for text in texts])
    reading = reading_of(request)
    total = sum(len(text.ids) for text in reading._texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_prefilter, "LEAST_TOKENS", least)
        read = read_ranges(request, share)
    room = max(least, int(share * total))
    tokens = sum(end - start for found in read for start, end in found)
    if reading.matcher.known_share() < 0.5 or total <= room:
        assert tokens == total
        return
    assert tokens <= room
    assert room - tokens < 2 * _prefilter._LONGEST_STRETCH
    scores = word_scores(reading.matcher)
    places = [
        (number, start) for number, own in enumerate(reading._own) for start, end in own.tolist()
    ]
    best = {place for place, score in zip(places, scores, strict=True) if score == scores.max()}
    assert any(start <= place < end for number, place in best for start, end in read[number])


def test_half_is_read_and_the_unread_rank_behind_in_the_order_of_their_words():
    request = request_of()
    everything, _ = tokens_read(scorer(), request)
    half, scores = tokens_read(scorer(0.5), request)
    assert 0.4 * everything < half <= 0.5 * everything
    reading = reading_of(request)
    reading.read_only(0.5)
    read = read_marks(request, 0.5)
    found = flat(scores)
    assert found[~read].max() <= found[read].min()
    words = reading.words[~read]
    assert (np.diff(found[~read][np.argsort(words, kind="stable")]) >= 0).all()


def read_marks(request, share):
    """Which spans are read: half of their tokens at least."""
    reading = reading_of(request)
    runs = read_ranges(request, share)
    return np.array(
        [
            2 * sum(max(0, min(end, stop) - max(start, first)) for first, stop in runs[number])
            >= end - start
            for number, own in enumerate(reading._own)
            for start, end in own.tolist()
        ]
    )


def test_without_a_profile_the_unread_keep_the_order_of_their_words_too():
    request = request_of()
    calibrated = scorer(0.3, CalibratedDifferenceReadout())
    found = flat(calibrated.score_spans(request.query, request.texts, request.spans))
    read = read_marks(request, 0.3)
    reading = reading_of(request)
    reading.read_only(0.3)
    assert found[~read].max() <= found[read].min()
    assert len(set(found[~read])) == len(set(reading.words[~read]))


def test_what_is_read_is_scored_like_texts_that_have_only_that(monkeypatch):
    """Word matches apart, which compare with all units: so the weights are those of attention."""
    monkeypatch.setattr(_prefilter, "LEAST_TOKENS", 70)
    monkeypatch.setattr(_prefilter, "_STRETCH_TOKENS", 60)
    monkeypatch.setattr(_prefilter, "_LONGEST_STRETCH", 70)
    text = RAIN * 20 + FERRY + RAIN * 20
    request = request_of(texts=(text,))
    [[(start, end)]] = read_ranges(request, 0.01)
    reading = reading_of(request)
    own, offsets = reading._own[0], reading._texts[0].offsets
    inside = [n for n, (first, stop) in enumerate(own.tolist()) if start <= first and stop <= end]
    begin = int(offsets[start, 0])
    kept = text[begin : int(offsets[end - 1, 1])]
    alone = [
        Span(request.spans[0][n].start - begin, request.spans[0][n].end - begin) for n in inside
    ]
    readout = replace(LINEAR, around_tokens=0, lexical_weights=(0.0,))
    scores = flat(scorer(0.01, readout).score_spans(QUESTION, [text], request.spans))
    expected = flat(scorer(None, readout).score_spans(QUESTION, [kept], [alone]))
    assert scores[inside] == pytest.approx(expected, abs=1e-9)


def test_spans_within_others_do_not_change_what_is_read():
    request = request_of()
    nested = [
        sorted({*spans, *(Span(at, at + 3) for s in spans for at in range(s.start, s.end - 3, 4))})
        for spans in request.spans
    ]
    assert read_ranges(replace(request, spans=nested), 0.3) == read_ranges(request, 0.3)


def test_a_span_that_shares_a_token_with_what_is_read_is_not_read():
    request = request_of()
    wide = replace(
        request,
        spans=[
            [Span(span.start, min(span.end + 1, len(text))) for span in spans]
            for text, spans in zip(request.texts, request.spans, strict=True)
        ],
    )
    everything, _ = tokens_read(scorer(), wide)
    half, scores = tokens_read(scorer(0.4), wide)
    read = read_marks(wide, 0.4)
    assert half < everything
    assert flat(scores)[~read].max() <= flat(scores)[read].min()


def test_there_is_no_calibration_with_a_prefilter():
    draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
    asked = AttentionScorer(draft, LINEAR, ReadingPlan(prefilter=0.5))
    assert asked.score_calibration is None
    assert not asked.may_be_calibrated


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
        (tiny_model("llama", dtype=torch.float32), tiny_tokenizer()),
        readout=replace(LINEAR, lexical_weights=(5.0,)),
        prefilter=0.3,
    )
    found = compressor.compress(TEXTS[0], QUESTION, budget=Budget(keep_fraction=0.2))
    assert FERRY.strip() in found.text
    assert found.kept_tokens < found.original_tokens


def test_known_words_are_counted_over_all_texts():
    texts = ["The ferry.", "The harbor."]
    matcher = LexicalMatcher(
        request=ScoreRequest("ferry harbor tea leave", texts, [[], []]),
        own=[np.zeros((0, 2), int)] * 2,
        around=[np.zeros((0, 2), int)] * 2,
    )
    assert matcher.known_share() == 0.5
