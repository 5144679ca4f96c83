"""From texts to span scores: equal to a slow reference, whatever the batch, window or script."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers
from blockbuster import blockbuster_ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import DraftModelUnsupportedError
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._context_cache import context_cache
from specprefill_integrations.scoring._context_reading import ContextReader
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._engine import shared_engine
from specprefill_integrations.scoring._request_reading import RequestReading
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._window_reading import GENERIC_QUESTION
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Budget, Span
from tests.tiny_models import CONFIGS, SMALL, tiny_model, tiny_tokenizer

TEXTS = (
    "The cat sat on the mat. The dog ran away from the house.\n\nIt was late.",
    "Nothing was said. 猫は魚が好きです。犬は？ The answer is 42.",
)
QUESTION = "What is the answer?"


def scorer(architecture="llama", readout=None, dtype=torch.float64, **plan):
    draft = DraftModel.from_pair(tiny_model(architecture, dtype=dtype), tiny_tokenizer())
    return AttentionScorer(draft, readout or CalibratedDifferenceReadout(), ReadingPlan(**plan))


def sentence_spans(texts):
    return [ProseSplitter()(text) for text in texts]


def slow_calibrated(texts, spans, question):
    """The readout's words in loops: one prompt, no cache, full attention weights in float64."""
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", attention="eager", dtype=torch.float64)
    joint = tokenizer.encode("\n\n", add_special_tokens=False)
    context, places = [1, *tokenizer.encode("Context:\n\n", add_special_tokens=False)], []
    for number, text in enumerate(texts):
        if number:
            context += joint
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        first = len(context)
        context += encoded["input_ids"]
        places.append([(first + i, o) for i, o in enumerate(encoded["offset_mapping"])])
    text_tokens = [i for place in places for i, _ in place]

    def densities(asked):
        """Each head's mean row over the texts' tokens, even attention being 1."""
        suffix = []
        for part in ("\n\nQuestion: ", asked, "\nAnswer:"):
            suffix += tokenizer.encode(part, add_special_tokens=False)
        with torch.no_grad():
            ids = torch.tensor([context + suffix])
            layers = model(input_ids=ids, output_attentions=True).attentions
        heads = []
        for head in layers[2][0]:  # of three layers, the one between 0.4 and 0.85 of the depth
            rows = head[-len(suffix) :].tolist()
            mean = {j: sum(row[j] for row in rows) / len(rows) for j in text_tokens}
            mass = sum(mean.values())
            heads.append({j: value / mass * len(text_tokens) for j, value in mean.items()})
        return heads

    asked, null = densities(question), densities("N/A")
    tokens = {
        i: sum(a[i] - n[i] for a, n in zip(asked, null, strict=True)) / len(asked)
        for i in text_tokens
    }
    scores = []
    for place, found in zip(places, spans, strict=True):
        document = sum(tokens[i] for i, _ in place) / len(place)
        row = []
        for span in found:
            inside = [tokens[i] for i, (a, b) in place if a < span.end and b > span.start]
            row.append(sum(inside) / len(inside) + document)
        scores.append(row)
    return scores


def test_scores_equal_the_slow_reference():
    spans = sentence_spans(TEXTS)
    fast = scorer().score_spans(QUESTION, TEXTS, spans)
    slow = slow_calibrated(TEXTS, spans, QUESTION)
    for got, expected in zip(fast, slow, strict=True):
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_no_question_asks_the_generic_one():
    spans = sentence_spans(TEXTS)
    assert scorer().score_spans(None, TEXTS, spans) == scorer().score_spans(
        GENERIC_QUESTION, TEXTS, spans
    )


@pytest.mark.parametrize("readout", [CalibratedDifferenceReadout(), PublishedReadout()])
@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_windows_read_together_score_as_alone(architecture, readout):
    """Padding and batching change nothing, on any attention design."""
    texts = [TEXTS[0] * 3, TEXTS[1], TEXTS[0]]
    spans = sentence_spans(texts)
    dtype = torch.float32 if architecture == "gemma2" else torch.float64
    plan = {"window_tokens": 90}
    alone = scorer(architecture, readout, dtype, batch_tokens=1, **plan)
    together = scorer(architecture, readout, dtype, batch_tokens=10_000, **plan)
    first = alone.score_spans(QUESTION, texts, spans)
    second = together.score_spans(QUESTION, texts, spans)
    for got, expected in zip(second, first, strict=True):
        assert all(map(math.isfinite, got))
        assert got == pytest.approx(expected, rel=2e-3, abs=2e-4)


def test_texts_longer_than_the_drafts_positions_are_read_in_windows():
    text = TEXTS[0] * 60
    tiny = scorer()
    assert tiny.count_tokens([text])[0] > 3 * SMALL["max_position_embeddings"]
    [spans] = sentence_spans([text])
    [scores] = tiny.score_spans(QUESTION, [text], [spans])
    assert len(scores) == len(spans)
    assert all(map(math.isfinite, scores))
    assert len(set(scores)) > 10


def test_equal_windows_score_equally_wherever_they_stand():
    """What stands in one window is not worth more than the same in another."""
    text = "The cat sat on the mat. The answer is 42. The dog ran away from it all."
    window = len(tiny_tokenizer().encode(text, add_special_tokens=False)) + 4
    texts = [text] * 6
    scores = scorer(window_tokens=window).score_spans(QUESTION, texts, sentence_spans(texts))
    assert np.allclose(scores, scores[0], rtol=1e-6, atol=1e-9)
    assert len(set(scores[0])) == 3


def test_a_span_does_not_depend_on_the_other_spans_asked_for():
    text = TEXTS[0]
    [spans] = sentence_spans([text])
    words = [Span(0, 3), Span(4, 7)]
    both = sorted({*spans, *words})
    [mixed] = scorer().score_spans(QUESTION, [text], [both])
    [alone] = scorer().score_spans(QUESTION, [text], [spans])
    found = dict(zip(both, mixed, strict=True))
    assert [found[span] for span in spans] == pytest.approx(alone, rel=1e-9)


def test_asking_how_a_prompt_starts_does_not_change_how_texts_are_read():
    """Options stick to a tokenizer, and other threads count with it."""
    tokenizer = tiny_tokenizer()
    own = DraftTokenizer(tokenizer)
    assert own.count(["<eos>"]) == [5]
    assert own.start_ids == [1]
    assert tokenizer.backend_tokenizer.encode_special_tokens
    assert own.count(["<eos>"]) == [5]


def test_special_tokens_in_a_text_are_plain_characters():
    tokenizer_text = "a <eos> b"
    tiny = scorer()
    assert tiny.count_tokens([tokenizer_text])[0] > 5
    [found] = [tiny.token_spans(tokenizer_text)]
    assert Span(2, 7) not in found


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"]) | st.sampled_from("猫 👩‍👩‍👧‍👦 é\x00שλ\u2028"),
            min_size=1,
            max_size=80,
        ),
        min_size=1,
        max_size=3,
    ),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
def test_any_text_gets_finite_scores(texts, query):
    spans = [ProseSplitter()(text) or [Span(0, len(text))] for text in texts]
    scores = scorer(dtype=torch.float32).score_spans(query, texts, spans)
    assert [len(row) for row in scores] == [len(row) for row in spans]
    assert all(math.isfinite(score) for row in scores for score in row)


def test_token_spans_cover_the_text_once():
    text = "The 猫 sat 👩‍👩‍👧‍👦 down."
    spans = scorer().token_spans(text)
    assert spans[0].start == 0
    assert spans[-1].end == len(text)
    assert all(a.end == b.start for a, b in pairwise(spans))


def test_a_tokenizer_without_offsets_works_word_by_word():
    tokenizer = transformers.ByT5Tokenizer(extra_ids=0)
    model = tiny_model("llama", vocab_size=300)
    draft = DraftModel.from_pair(model, tokenizer)
    slow = AttentionScorer(draft, CalibratedDifferenceReadout())
    spans = sentence_spans(TEXTS)
    scores = slow.score_spans(QUESTION, TEXTS, spans)
    assert [len(row) for row in scores] == [len(row) for row in spans]
    assert len(set(scores[0])) == len(spans[0])


def test_layers_that_see_only_a_window_are_not_compared_with_those_that_see_all():
    """Gemma 3's local layers give nothing to what is before their window."""
    seen, layouts = [], []

    class Watching(CalibratedDifferenceReadout):
        def layers(self, draft):
            seen.append((draft.local, super().layers(draft)))
            return seen[-1][1]

    for architecture in ("gemma3", "mistral", "llama"):
        scorer(architecture, Watching()).score_spans(QUESTION, TEXTS, sentence_spans(TEXTS))
        layouts.append(seen[-1])
    assert layouts == [({0, 2}, {1}), ({0, 1, 2}, {2}), (set(), {2})]


def test_long_questions_lose_their_middle_and_nothing_crashes():
    [scores] = scorer(max_question_tokens=40).score_spans(
        "why " * 2000, TEXTS[:1], sentence_spans(TEXTS[:1])
    )
    assert all(map(math.isfinite, scores))


def test_a_question_of_as_many_tokens_as_the_draft_has_positions_leaves_room_for_the_text():
    positions = SMALL["max_position_embeddings"]
    tiny = scorer()
    text = TEXTS[0] * 20
    question = "What is the answer? " * positions
    [scores] = tiny.score_spans(question, [text], sentence_spans([text]))
    assert all(map(math.isfinite, scores))
    request = ScoreRequest(question, [text], sentence_spans([text]))
    windows = tiny.window_reader.planned(
        RequestReading(request, tiny._tokenizer, 0), tiny._tokenizer, start_tokens=10
    )
    assert all(window.longest_tokens <= positions for window in windows)
    assert len(windows) < 3 * tiny.count_tokens([text])[0] / positions + 1


def test_a_model_without_attention_is_refused_by_name():
    config = transformers.MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2)
    model = transformers.MambaForCausalLM(config).eval()
    mamba = AttentionScorer(
        DraftModel.from_pair(model, tiny_tokenizer()), CalibratedDifferenceReadout()
    )
    with pytest.raises(DraftModelUnsupportedError, match="MambaForCausalLM"):
        mamba.score_spans(QUESTION, TEXTS[:1], sentence_spans(TEXTS[:1]))


def test_a_model_without_a_head_cannot_look_ahead_but_can_be_read():
    headless = tiny_model("llama").base_model
    draft = DraftModel.from_pair(headless, tiny_tokenizer())
    spans = sentence_spans(TEXTS)
    assert AttentionScorer(draft, CalibratedDifferenceReadout()).score_spans(QUESTION, TEXTS, spans)
    with pytest.raises(DraftModelUnsupportedError, match="cannot generate"):
        AttentionScorer(draft, PublishedReadout()).score_spans(QUESTION, TEXTS, spans)


def test_layers_without_attention_are_passed_over():
    """A hybrid of convolutions and attention (LFM2): its attention layers are read."""
    config = transformers.Lfm2Config(
        **{**SMALL, "block_auto_adjust_ff_dim": False},
        layer_types=["conv", "full_attention", "conv"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = transformers.Lfm2ForCausalLM(config).eval()
    hybrid = AttentionScorer(
        DraftModel.from_pair(model, tiny_tokenizer()), CalibratedDifferenceReadout()
    )
    [scores] = hybrid.score_spans(QUESTION, TEXTS[:1], sentence_spans(TEXTS[:1]))
    assert all(map(math.isfinite, scores))
    assert len(set(scores)) == len(scores)


async def test_callers_of_one_draft_share_passes_and_get_what_they_would_alone():
    shared = scorer(batch_tokens=10_000)
    spans = sentence_spans(TEXTS)
    asked = [f"{QUESTION} {number}" for number in range(8)]
    alone = [shared.score_spans(question, TEXTS, spans) for question in asked]
    with shared_engine(shared) as engine, blockbuster_ctx():
        found = await asyncio.gather(*(engine.ascore_spans(q, TEXTS, spans) for q in asked))
        assert engine.statistics.batches < len(asked)
    for together, expected in zip(found, alone, strict=True):
        for mine, other in zip(together, expected, strict=True):
            assert mine == pytest.approx(other, rel=1e-6, abs=1e-9)


def test_scorers_alike_share_an_engine():
    one = scorer()
    engine = shared_engine(one)
    alike = AttentionScorer(one.draft, CalibratedDifferenceReadout(), ReadingPlan())
    assert shared_engine(alike) is engine
    for other in (
        scorer(),
        AttentionScorer(one.draft, PublishedReadout()),
        AttentionScorer(one.draft, CalibratedDifferenceReadout(), ReadingPlan(window_tokens=9)),
    ):
        assert shared_engine(other) is not engine


def tokens_read(tiny, text):
    """Largest and total number of tokens that forward passes of the draft were given."""
    sizes = []
    hook = tiny.draft.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    try:
        tiny.score_spans(QUESTION, [text], sentence_spans([text]))
    finally:
        hook.remove()
    return max(sizes), sum(sizes)


def test_cost_is_linear_in_the_length_and_memory_flat():
    """No pass grows with the text; all passes together grow no faster than it does."""
    tiny = scorer(dtype=torch.float32, window_tokens=200, batch_tokens=400)
    text = TEXTS[0] + " "
    (_, short), (largest, long) = (tokens_read(tiny, text * count) for count in (20, 160))
    assert largest <= 400
    assert long <= 8.5 * short


def test_an_uncached_scorer_reads_every_window_anew(monkeypatch):
    draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
    compressor = ContextCompressor(AttentionScorer(draft))
    text = "The cat sat on the mat. The dog ran away from the house."
    spans = ProseSplitter()(text)
    read = []
    computed = ContextReader._computed
    monkeypatch.setattr(
        ContextReader,
        "_computed",
        lambda reader, *contexts: read.append(len(contexts[0])) or computed(reader, *contexts),
    )
    for scorer, expected in ((compressor.scorer, 1), (compressor.scorer.uncached, 2)):
        context_cache(scorer.unwrapped.reading_draft).clear()
        read.clear()
        for query in ("Who ran?", "Who sat?"):
            scorer.score_spans(query, [text], [spans])
        assert len(read) == expected


class TestEncodedTexts:
    """A text is tokenized once: for its own number of tokens, for those of units, for scores."""

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.text("aB1 .\n猫é", max_size=60), max_size=4), st.integers(1, 700))
    def test_they_have_as_many_tokens_as_are_counted(self, parts, repeats):
        texts = [part * repeats for part in parts]
        encoded = scorer().encode(texts)
        assert [one.tokens for one in encoded] == scorer().count_tokens(texts)
        spans = [[Span(0, len(text))] if text else [] for text in texts]
        costs = [one.costs(found) for one, found in zip(encoded, spans, strict=True)]
        assert [sum(cost) for cost in costs] == [one.tokens for one in encoded]

    def test_they_are_scored_alike(self):
        texts, one = [TEXTS[0], TEXTS[1] * 400], scorer()
        spans = sentence_spans(texts)
        request = ScoreRequest(QUESTION, texts, spans, one.encode(texts))
        again = one.score_spans(QUESTION, texts, spans)
        [found] = one.score_batch([request])
        for scores, expected in zip(found, again, strict=True):
            assert scores == pytest.approx(expected, rel=1e-9)

    def test_an_engine_reads_them_once(self, monkeypatch):
        seen = []
        encode = DraftTokenizer._encode

        def noted(self, texts, **options):
            seen.extend(texts)
            return encode(self, texts, **options)

        monkeypatch.setattr(DraftTokenizer, "_encode", noted)
        text = "".join(f"The {n}th cat sat on the mat of the {n}th house. " for n in range(300))
        compressor = ContextCompressor(shared_engine(scorer()), on_error="raise")
        result = compressor.compress(text, QUESTION, budget=Budget(keep_fraction=0.1))
        long = [part for part in seen if len(part) > len(text) // 2]
        assert long == [text]
        others = sum(map(len, seen)) - len(text)
        assert others < 12 * len(result.text)
