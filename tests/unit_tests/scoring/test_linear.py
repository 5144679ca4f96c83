"""The linear readout: equal to its formula in loops, on every architecture."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._lexical import LEXICAL_FEATURES, LexicalMatcher
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._prompts import Prompt, QuestionTokens
from specprefill_integrations.scoring._second_look import _mixed
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring.readouts import SpanReadings
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LOG_FLOOR, LinearReadout
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span
from tests.tiny_models import (
    CONFIGS,
    random_match,
    save_tiny_draft,
    tiny_model,
    tiny_tokenizer,
)

CONTEXTS = ([7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23, 24])
QUESTION = QuestionTokens([90, 91, 92, 93], slice(1, 3))
NULL = QuestionTokens([90, 95, 93], slice(1, 2))
HEADS = ((0, 3), (2, 1), (2, 2))


def readout(passes=("question", "null_question"), lookahead=0, heads=HEADS):
    weights = tuple(round(0.1 * (i + 1), 2) for i in range(len(heads) * len(passes)))
    return LinearReadout(
        heads=heads,
        passes=passes,
        own_weights=weights,
        around_weights=tuple(round(-w / 2, 3) for w in weights),
        lexical_weights=(0.5, 0.25),
        lookahead_tokens=lookahead,
    )


def slow_features(model, context, is_text, lookahead):
    """Full attention in float64, one prompt at a time, no cache."""

    def attention(ids):
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids]), output_attentions=True)

    def mean_rows(ids, rows):
        layers = attention(ids).attentions
        return [
            [
                sum(float(layers[layer][0, head, row, j]) for row in rows) / len(rows)
                for j in range(len(context))
            ]
            for layer, head in HEADS
        ]

    at = len(context)
    columns = mean_rows([*context, *QUESTION.ids], [at + 1, at + 2])
    columns += mean_rows([*context, *NULL.ids], [at + 1])
    ids = [*context, *QUESTION.ids]
    if lookahead:
        for _ in range(lookahead):
            ids.append(int(attention(ids).logits[0, -1].argmax()))
        columns += mean_rows(ids, range(at + 4, at + 4 + lookahead))
    text_tokens = sum(is_text)
    return [[column[j] * text_tokens for column in columns] for j in range(len(context))]


def slow_matches(model, context, match):
    """The match by values of the whole prompt, read at once; the question's words are 1 and 2."""
    values = []
    layer = model.base_model.layers[match.layer].self_attn
    hook = layer.v_proj.register_forward_hook(lambda _module, _args, out: values.append(out[0]))
    with torch.no_grad():
        model(input_ids=torch.tensor([[*context, *QUESTION.ids]]))
    hook.remove()
    [found] = values
    asked = (found[len(context) + 1] + found[len(context) + 2]) / 2
    direction = asked @ torch.tensor(match.question_weights).double()
    direction /= direction.norm()
    return [
        float(found[j] @ torch.tensor(match.token_weights).double() @ direction)
        for j in range(len(context))
    ]


def every_token(context):
    """Each token of a context as a range of its own."""
    return np.stack([np.arange(len(context)), np.arange(len(context)) + 1], axis=1)


@pytest.mark.parametrize("lookahead", [0, 2])
@pytest.mark.parametrize("match", [None, random_match("llama", 2)], ids=["", "match"])
def test_features_equal_the_slow_reference_in_a_padded_batch(lookahead, match):
    model = tiny_model("llama", dtype=torch.float64)
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    draft = DraftModel.from_pair(model, None)
    passes = ("question", "null_question", *(("lookahead",) if lookahead else ()))
    is_text = [[False, *[True] * (len(context) - 1)] for context in CONTEXTS]
    prompts = [
        Prompt(context, real, QUESTION, 100, every_token(context))
        for context, real in zip(CONTEXTS, is_text, strict=True)
    ]
    found = PromptReader(draft, replace(readout(passes, lookahead), match=match))
    found = found.read(prompts, NULL).wait()
    eager = tiny_model("llama", attention="eager", dtype=torch.float64)
    for row, context, real in zip(found, CONTEXTS, is_text, strict=True):
        expected = slow_features(eager, context, real, lookahead)
        if match:
            matches = slow_matches(eager, context, match)
            expected = [[*own, one] for own, one in zip(expected, matches, strict=True)]
        assert row.tolist() == [pytest.approx(values, rel=1e-5) for values in expected]


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_every_architecture_gives_finite_scores(architecture):
    text = "The cat sat on the mat. The dog ran away from the house.\n\nIt was late."
    model = tiny_model(architecture)
    heads = ((1, 0), (2, 1))
    scorer = AttentionScorer(DraftModel.from_pair(model, tiny_tokenizer()), readout(heads=heads))
    spans = ProseSplitter()(text)
    [scores] = scorer.score_spans("Who ran away?", [text], [spans])
    assert len(set(scores)) == len(spans)
    assert all(map(math.isfinite, scores))


def matcher_of(query, *texts):
    """Units are lines; their neighborhoods are the whole texts."""
    spans = []
    for text in texts:
        ends = np.cumsum([len(line) for line in text.splitlines(keepends=True)]).tolist()
        spans.append([Span(*edges) for edges in zip([0, *ends], ends, strict=False)])
    return LexicalMatcher(
        request=ScoreRequest(query, texts, spans),
        own=[np.array([(span.start, span.end) for span in own]) for own in spans],
        around=[
            np.tile([0, len(text)], (len(own), 1)) for text, own in zip(texts, spans, strict=True)
        ],
    )


def test_the_score_is_the_weighted_sum():
    own, around = np.array([[1.0, 2, 3, 4, 5, 6]]), np.array([[5.0, 6, 7, 8, 9, 10]])
    matcher = matcher_of("the cat and the dog", "the cat sat on the mat")
    [lexical] = matcher.features()
    expected = 0.5 * lexical[0] + 0.25 * lexical[1]
    assert expected > 0
    for i in range(6):
        weight = 0.1 * (i + 1)
        expected += weight * math.log(own[0, i] + LOG_FLOOR)
        expected -= weight / 2 * math.log(around[0, i] + LOG_FLOOR)
    readings = SpanReadings(own=own, around=around, matcher=matcher)
    assert readout().score(readings).tolist() == pytest.approx([expected])
    matching = replace(readout(), match=random_match("llama", 2))
    wider = SpanReadings(  # the neighborhood's match counts for nothing
        own=np.append(own, [[1.5]], axis=1),
        around=np.append(around, [[7]], axis=1),
        matcher=matcher,
    )
    assert matching.score(wider).tolist() == pytest.approx([expected + 1.5])


HARBOR = "Silver Harbor was made by Ida Brand.\nThe harbor is silver at night.\n"
BRAND = "Brand was born in Leeds.\nShe liked tea.\n"
NAMELESS = f"There {HARBOR}", f"There {BRAND}"  # names that are mentioned nowhere


def second_look(query, *texts, feedback_units=2):
    """Score by coverage of the words alone; the first two lines are the best at first."""
    matcher = matcher_of(query, *texts)
    looking = replace(readout(), lexical_weights=(1.0,), feedback_units=feedback_units)
    features = np.zeros((sum(map(len, matcher.request.spans)), len(looking.weights)))
    features[:, -len(LEXICAL_FEATURES) :] = matcher.features()
    return looking.score_units(features, matcher), features @ looking.weights


def test_words_of_the_best_units_lead_to_what_the_question_does_not_name():
    texts = HARBOR, BRAND, "A boat left.\nA dog ran.\n"
    scores, first = second_look("Where was the maker of Silver Harbor born?", *texts)
    assert first[[0, 1]].min() > first[2:].max()
    assert scores.argsort()[::-1][:3].tolist()[2] == 2  # names Brand
    assert scores[[0, 1]].min() >= scores[2:].max()


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        pytest.param((HARBOR + BRAND,), 2, id="a single text"),
        pytest.param((HARBOR.replace(".", ";"), NAMELESS[1]), 2, id="no sentences"),
        pytest.param(NAMELESS, 4, id="no other units"),
        pytest.param((HARBOR, BRAND), 0, id="off"),
    ],
)
def test_the_first_look_holds_where_the_best_units_may_lead_astray(texts, count):
    scores, first = second_look("Who made Silver Harbor?", *texts, feedback_units=count)
    assert scores.tolist() == first.tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_units_that_lead_stay_the_best(seed, count):
    rng = np.random.default_rng(seed)
    words = ["heron", "fished", "Leeds", "dawn", "printed", "slept", "river", "mill"]
    texts = ["".join(" ".join(rng.choice(words, 4)) + ".\n" for _ in range(4)) for _ in range(3)]
    scores, first = second_look("Where is the heron of Leeds?", *texts, feedback_units=count)
    best = np.argsort(-first, kind="stable")[:count]
    assert scores[best].min() >= np.delete(scores, best).max()
    assert np.diff(scores[best]).tolist() == pytest.approx(np.diff(first[best]).tolist())


LOGITS = st.lists(st.floats(-50, 50), min_size=6, max_size=6)


@given(LOGITS, LOGITS, st.floats(0.01, 0.99))
def test_two_looks_are_mixed_as_probabilities(first, second, share):
    first, second = np.array(first), np.array(second)
    mixed = _mixed(first, second, share)
    one, other = (np.exp(look) / np.exp(look).sum() for look in (first, second))
    expected = ((1 - share) * one + share * other) * np.exp(first).sum()
    assert np.exp(mixed).tolist() == pytest.approx(expected.tolist())


def two_looks():
    """A readout that looks twice, six units, and features in which their words alone are set."""
    texts = HARBOR, BRAND, "A boat left.\nA dog ran.\n"
    matcher = matcher_of("Where was the maker of Silver Harbor born?", *texts)
    looking = replace(readout(), lexical_weights=(1.0,), feedback_units=2)
    features = np.zeros((6, len(looking.weights)))
    features[:, -len(LEXICAL_FEATURES) :] = matcher.features()
    return looking, matcher, features


def test_attention_counts_less_in_the_second_look():
    looking, matcher, features = two_looks()
    features[4, 0] = 0.1 / looking.weights[0]
    first, scores = features @ looking.weights, looking.score_units(features, matcher)
    without = replace(looking, feedback_units=0).score_units(features, matcher)
    assert without.tolist() == first.tolist()
    assert scores[4] - scores[5] < 0.1 * 0.9
    assert scores[4] > scores[5]


def test_a_match_counts_less_in_the_second_look():
    looking, matcher, features = two_looks()
    matches = np.array([0, 0, 0, 0, 0.1, 0])
    scores = looking.score_units(features, matcher, matches)
    assert 0 < scores[4] - scores[5] < 0.1 * 0.9
    once = replace(looking, feedback_units=0).score_units(features, matcher, matches)
    assert once[4] - once[5] == pytest.approx(0.1)


def test_even_attention_is_one_whatever_the_length():
    """Readings of a short and of a long window compare."""
    draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
    scorer = AttentionScorer(draft, readout())
    for count in (2, 8):
        text = "The cat sat on the mat. " * count
        readings, _ = scorer.read_spans("Who sat?", [text], [ProseSplitter()(text)])
        assert 0.2 < readings.own.mean() < 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"heads": ((1, 0), (0, 0)), "own_weights": (1.0,) * 4, "around_weights": (1.0,) * 4},
        {"heads": ((1, 0), (1, 0)), "own_weights": (1.0,) * 4, "around_weights": (1.0,) * 4},
        {"heads": ((1, 0),), "own_weights": (1.0,), "around_weights": (1.0, 2.0)},
    ],
)
def test_weights_that_fit_no_heads_are_refused(wrong):
    with pytest.raises(ValueError, match=r"heads|weights"):
        LinearReadout(passes=("question", "null_question"), **wrong)


def test_a_match_of_a_layer_that_is_not_read_is_refused():
    with pytest.raises(ValueError, match="of which heads are read"):
        replace(readout(), match=random_match("llama", 1))


def test_named_heads_alone_make_the_difference():
    """The calibrated difference of two heads is that of a model in which there are no others."""
    draft = DraftModel.from_pair(tiny_model("llama", dtype=torch.float64), tiny_tokenizer())
    text = "The cat sat on the mat. The dog ran away from the house.\n\nIt was late."
    spans = ProseSplitter()(text)

    def scores(*heads):
        scorer = AttentionScorer(draft, CalibratedDifferenceReadout(heads=heads))
        return np.array(scorer.score_spans("Who ran away?", [text], [spans])[0])

    both, first, second = scores((1, 0), (2, 3)), scores((1, 0)), scores((2, 3))
    assert both == pytest.approx((first + second) / 2, rel=1e-6)
    assert not np.allclose(first, second)


def test_only_the_layers_that_are_read_are_loaded(tmp_path, caplog):
    """And the scores are what the whole draft gives."""
    caplog.set_level(logging.INFO, "specprefill_integrations.scoring")
    place = save_tiny_draft(tmp_path)
    low = readout(heads=((0, 0), (1, 2)))
    texts = ["The cat sat on the mat. The dog ran away."]
    spans = [ProseSplitter()(texts[0])]
    draft = DraftModel.from_source(place)
    cut = AttentionScorer(draft, low)
    found = cut.score_spans("Who ran?", texts, spans)
    assert len(cut.reading_draft.model.layers) == 2
    assert not hasattr(cut.reading_draft.model, "lm_head")
    assert len(caplog.messages) == 1
    whole = AttentionScorer(DraftModel.from_pair(*draft.load()), low)
    assert found == whole.score_spans("Who ran?", texts, spans)
