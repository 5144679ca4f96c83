"""Fitting: the loss is its formula, what tells is found, and no case scores itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from specprefill_integrations.calibration._fitting import (
    LabeledUnits,
    all_heads,
    cross_validated_scores,
    evidence_recall,
    fit,
    read_cases,
    without_lookahead,
)
from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span
from tests.tiny_models import tiny_model, tiny_tokenizer

READOUT = LinearReadout(
    heads=((0, 0), (1, 0)),
    passes=("question",),
    own_weights=(0.0, 0.0),
    around_weights=(0.0, 0.0),
)


def made_up(count, telling=1, units=12, seed=0):
    """Cases whose evidence stands out by one feature, and by chance in the others."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        features = rng.normal(size=(units, 6)).astype(np.float32)
        evidence = np.zeros(units, dtype=bool)
        evidence[rng.integers(units)] = True
        features[evidence, telling] += 4
        tokens = rng.integers(5, 30, size=units)
        cases.append(
            LabeledUnits(kind="made up", features=features, is_evidence=evidence, tokens=tokens)
        )
    return cases


def loss(cases, weights, scale, penalty=0.3):
    """The formula that is minimized."""
    lost = []
    for case in cases:
        scores = np.exp(case.features @ weights)
        lost.append(-math.log(scores[case.is_evidence].sum() / scores.sum()))
    return np.mean(lost) + penalty * np.sum((weights * scale) ** 2)


def test_the_weights_minimize_the_loss():
    cases = [*made_up(20), *made_up(20, units=3, seed=1)]
    cases[0].is_evidence[:2] = True  # more than one unit of a case
    fitted = fit(READOUT, cases)
    weights = np.array([*fitted.own_weights, *fitted.around_weights, *fitted.lexical_weights])
    scale = np.concatenate([case.features for case in cases]).std(axis=0, ddof=1)
    least = loss(cases, weights, scale)
    for axis in np.eye(len(weights)):
        for step in (0.02 * axis, -0.02 * axis):
            assert loss(cases, weights + step, scale) > least


@pytest.mark.parametrize("telling", range(6))
def test_the_feature_that_tells_gets_the_weight(telling):
    fitted = fit(READOUT, made_up(40, telling))
    weights = [*fitted.own_weights, *fitted.around_weights, *fitted.lexical_weights]
    assert int(np.argmax(np.abs(weights))) == telling
    assert weights[telling] > 0


def test_the_same_cases_give_the_same_weights():
    assert fit(READOUT, made_up(20)) == fit(READOUT, made_up(20))


def test_scores_in_cross_validation_come_from_the_other_folds():
    """With its own evidence told wrong a case scores as before: it does not fit itself."""
    cases = made_up(8)
    before = cross_validated_scores(cases, folds=4)
    wrong = list(cases)
    wrong[3] = LabeledUnits(
        kind="made up",
        features=cases[3].features,
        is_evidence=~cases[3].is_evidence,
        tokens=cases[3].tokens,
    )
    after = cross_validated_scores(wrong, folds=4)
    assert np.allclose(before[3], after[3])
    changed = [not np.allclose(*pair) for pair in zip(before, after, strict=True)]
    assert sum(changed) == 6  # all but those of its own fold


def test_recall_is_high_where_features_tell_and_chance_where_they_do_not():
    cases = made_up(60)
    told = evidence_recall(cases, cross_validated_scores(cases), 0.2)
    blind = evidence_recall(cases, [np.arange(12.0)] * 60, 0.2)
    assert told > 0.9
    assert blind < 0.5


def test_recall_counts_tokens_and_passes_over_what_does_not_fit():
    case = LabeledUnits(
        kind="",
        features=np.zeros((3, 1), dtype=np.float32),
        is_evidence=np.array([False, False, True]),
        tokens=np.array([60, 30, 10]),
    )
    scores = [np.array([3.0, 2.0, 1.0])]
    assert evidence_recall([case], scores, 0.1) == 1.0  # 60 and 30 do not fit, 10 does
    assert evidence_recall([case], scores, 0.6) == 0.0  # 60 fit, then nothing
    assert evidence_recall([case], scores, 0.7) == 1.0


@pytest.mark.parametrize("folds", [1, 9])
def test_too_few_cases_or_folds_are_refused(folds):
    with pytest.raises(ValueError, match="folds"):
        cross_validated_scores(made_up(8), folds=folds)


def test_nothing_is_fitted_to_nothing():
    with pytest.raises(ValueError, match="no cases"):
        fit(READOUT, [])


CASE = LabeledCase(
    kind="facts",
    query="Who ran away?",
    texts=("The cat sat on the mat. The dog ran away from it all.", "It was late. Nobody came."),
    evidence=((0, Span(24, 53)),),
)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v3", "gemma3"])
def test_reading_agrees_with_scoring(architecture):
    """Features times fitted weights are the scores that the fitted readout gives."""
    draft = DraftModel.from_pair(tiny_model(architecture, dtype=torch.float64), tiny_tokenizer())
    readout = all_heads(draft, window_tokens=100)
    [units] = read_cases(draft, readout, [CASE], lambda _: ProseSplitter())
    assert units.is_evidence.tolist() == [False, True, False, False]
    fitted = fit(readout, [units])
    weights = [*fitted.own_weights, *fitted.around_weights, *fitted.lexical_weights]
    spans = [ProseSplitter()(text) for text in CASE.texts]
    scores = AttentionScorer(draft, fitted).score_spans(CASE.query, CASE.texts, spans)
    assert np.concatenate(scores) == pytest.approx(units.features @ weights, rel=1e-4, abs=1e-5)
    assert int(np.argmax(np.concatenate(scores))) == 1  # what it was fitted to


def test_without_lookahead_is_as_if_none_had_been_read():
    model = tiny_model("llama", dtype=torch.float64)
    draft = DraftModel.from_pair(model, tiny_tokenizer())
    wide = all_heads(draft, lookahead_tokens=2)
    plain = all_heads(draft)
    split = lambda _: ProseSplitter()  # noqa: E731
    narrowed, [units] = without_lookahead(wide, list(read_cases(draft, wide, [CASE], split)))
    [expected] = read_cases(draft, plain, [CASE], split)
    assert narrowed == plain
    assert units.features == pytest.approx(expected.features, rel=1e-5)


def test_deep_layers_are_left_out():
    draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
    assert {layer for layer, _ in all_heads(draft, last_depth=0.5).heads} == {1}
    assert {layer for layer, _ in all_heads(draft, last_depth=1.0).heads} == {1, 2}


@pytest.mark.parametrize(
    "evidence", [(), ((0, Span(5, 5)),), ((0, Span(0, 999)),), ((2, Span(0, 3)),)]
)
def test_a_case_needs_evidence_that_stands_in_it(evidence):
    with pytest.raises(ValueError, match="evidence"):
        LabeledCase(kind="", query="?", texts=("one text", "two"), evidence=evidence)
