"""Fitting: the loss is its formula, what tells is found, and no case scores itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from specprefill_integrations.calibration import _validation as validation
from specprefill_integrations.calibration._fitting import aligned, fit, weights_of
from specprefill_integrations.calibration._piece_loss import PieceLoss
from specprefill_integrations.calibration._reading import LabeledUnits, UnitValues, value_layer_of
from specprefill_integrations.calibration._validation import (
    cross_validated_scores,
    evidence_recall,
    held_out_scores,
    leave_one_kind_out_scores,
    match_can_be_validated,
)
from specprefill_integrations.scoring._lexical import LEXICAL_FEATURES, LexicalMatcher
from specprefill_integrations.scoring._profiles import ReadoutProfile
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._value_match import ValueMatch
from tests.tiny_models import tiny_model

NO_TEXTS = LexicalMatcher(request=ScoreRequest(None, [], []), own=[], around=[])

READOUT = LinearReadout(
    heads=((0, 0), (1, 0)),
    passes=("question",),
    own_weights=(0.0, 0.0),
    around_weights=(0.0, 0.0),
)


def units_of(features, pieces, tokens, kind="made up"):
    return LabeledUnits(
        kind=kind,
        matcher=NO_TEXTS,
        features=np.asarray(features, dtype=np.float32),
        pieces=np.asarray(pieces, dtype=bool),
        tokens=np.asarray(tokens),
    )


def made_up(count, telling=1, *, units=12, seed=0, kind="made up", pieces=1):  # noqa: PLR0913
    """Cases whose evidence stands out by one feature, and by chance in the others."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        features = rng.normal(size=(units, len(READOUT.weights)))
        evidence = np.zeros((pieces, units), dtype=bool)
        places = rng.choice(units, size=pieces, replace=False)
        evidence[np.arange(pieces), places] = True
        features[places, telling] += 4
        cases.append(units_of(features, evidence, rng.integers(5, 30, size=units), kind))
    return cases


def loss(cases, weights, scale, penalty, prior):
    """The formula that is minimized."""
    penalties = np.array([penalty] * 4 + [0.01] * len(LEXICAL_FEATURES))
    by_kind = {}
    for case in cases:
        masses = np.exp(case.features @ weights)
        others = masses[~case.pieces.any(axis=0)].sum()
        own = [masses[piece].sum() for piece in case.pieces]
        lost = np.mean([-math.log(mass / (mass + others)) for mass in own])
        by_kind.setdefault(case.kind, []).append(lost)
    mean = np.mean([np.mean(lost) for lost in by_kind.values()])
    # The multiple of the prior from which the weights differ least.
    direction = prior * scale
    share = penalties @ (weights * scale * direction) / max(penalties @ direction**2, 1e-9)
    return mean + penalties @ (weights * scale - share * direction) ** 2


def mixed_cases():
    """Kinds of different size, one or several pieces, pieces that share units."""
    cases = [
        *made_up(20),
        *made_up(20, units=3, seed=1),
        *made_up(6, telling=2, kind="other", pieces=3, seed=2),
    ]
    cases[0].pieces[0, :2] = True  # several units of a piece
    cases[-1].pieces[:2, 5:7] = True  # a unit of two pieces
    return cases


PRIOR = replace(READOUT, own_weights=(0.5, -0.5), lexical_weights=(1.0, 0.0))


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_the_weights_minimize_the_loss(prior):
    cases = mixed_cases()
    weights = fit(READOUT, cases, prior=prior).weights
    scale = np.concatenate([case.features for case in cases]).std(axis=0, ddof=1)
    penalty, start = (1.0, np.zeros(len(weights))) if prior is None else (10, prior.weights)
    least = loss(cases, weights, scale, penalty, start)
    for axis in np.eye(len(weights)):
        for step in (0.02 * axis, -0.02 * axis):
            assert loss(cases, weights + step, scale, penalty, start) > least


def test_a_case_that_is_all_evidence_teaches_nothing():
    cases = mixed_cases()
    everything = units_of(cases[0].features, np.ones((1, 12)), cases[0].tokens)
    flat = units_of(np.zeros((12, len(READOUT.weights))), cases[0].pieces, cases[0].tokens)
    assert np.isfinite(fit(READOUT, [everything, *cases]).weights).all()
    assert np.abs(fit(READOUT, [everything, flat]).weights).max() < 0.02


def test_kinds_weigh_the_same_whatever_their_size():
    few, many = made_up(2, kind="few", seed=3), made_up(40, telling=2, kind="many")
    weights = fit(READOUT, [*few, *many]).weights
    as_one = fit(READOUT, [replace(case, kind="one") for case in (*few, *many)]).weights
    more = fit(READOUT, [*few * 9, *many]).weights
    assert weights[1] > 2 * as_one[1]
    assert weights == pytest.approx(more, abs=0.1)  # the same, but for the features' scale


def test_a_high_penalty_leaves_the_weights_of_attention_in_proportion():
    found = fit(READOUT, mixed_cases(), prior=PRIOR, penalty=1e6)
    share = found.own_weights[0] / PRIOR.own_weights[0]
    assert share != pytest.approx(1, abs=0.1)
    assert found.own_weights == pytest.approx(np.multiply(PRIOR.own_weights, share), abs=1e-3)
    assert found.around_weights == pytest.approx(PRIOR.around_weights, abs=1e-3)


def test_a_prior_that_tells_is_trusted_more():
    """Fewer cases than features cannot tell noise from signal, but how far to trust a prior."""
    telling = replace(READOUT, own_weights=(0.0, 0.1))
    found = fit(READOUT, made_up(4), prior=telling)
    assert found.own_weights[1] > 3 * 0.1
    assert abs(found.own_weights[0]) < 0.1


def test_a_prior_is_aligned_by_head_and_pass():
    wide = replace(
        READOUT,
        heads=((0, 0), (0, 1), (1, 0)),
        passes=("question", "null_question"),
        own_weights=tuple(map(float, range(1, 7))),
        around_weights=tuple(map(float, range(11, 17))),
        lexical_weights=(7.0, 8.0),
    )
    assert weights_of(wide, wide).tolist() == wide.weights.tolist()
    none = [0.0] * (len(LEXICAL_FEATURES) - 2)
    assert weights_of(wide, READOUT).tolist() == [1, 3, 11, 13, 7, 8, *none]
    own, around = [0.5, 0, -0.5, 0, 0, 0], [0.0] * 6
    assert weights_of(PRIOR, wide).tolist() == [*own, *around, 1, 0, *none]


@pytest.mark.parametrize("telling", range(len(READOUT.weights)))
def test_the_feature_that_tells_gets_the_weight(telling):
    weights = fit(READOUT, made_up(160, telling)).weights
    assert int(np.argmax(np.abs(weights))) == telling
    assert weights[telling] > 0


def test_the_same_cases_give_the_same_weights():
    assert fit(READOUT, made_up(20)) == fit(READOUT, made_up(20))


def with_values(case, seed, form, *, is_real=True):
    """Values of which only a bilinear form of theirs tells the evidence."""
    rng = np.random.default_rng(seed)
    units, values = len(case.tokens), len(form)
    question = rng.normal(size=values)
    tokens = rng.normal(size=(units, values))
    tokens[case.pieces.any(axis=0)] += 3 * form @ question / np.linalg.norm(form @ question)
    found = UnitValues(
        1, torch.from_numpy(tokens).float(), torch.from_numpy(np.tile(question, (units, 1))).float()
    )
    return replace(case, values=found, is_real=is_real)


FORM = np.random.default_rng(5).normal(size=(4, 4))


def matching(count, **changes):
    """Cases that features do not tell."""
    plain = made_up(count, telling=0)
    blind = [replace(case, features=np.zeros_like(case.features)) for case in plain]
    return [with_values(case, seed, FORM, **changes) for seed, case in enumerate(blind)]


def recall_of(readout, cases):
    [found] = evidence_recall(cases, [case.scores(readout) for case in cases], 0.2).values()
    return found


def test_a_match_is_found_where_nothing_else_tells():
    cases = matching(400)
    fitted = fit(READOUT, cases[:300], with_match=True)
    assert fitted.match.layer == 1
    assert recall_of(fitted, cases[300:]) > 0.6
    assert recall_of(replace(fitted, match=None), cases[300:]) < 0.3
    assert fit(READOUT, cases[:300], with_match=True) == fitted
    assert fit(READOUT, cases[:300]).match is None


def test_a_value_counts_by_what_it_tells_not_by_how_large_its_numbers_are():
    cases = matching(120)
    scale = torch.tensor([1.0, 10.0, 0.1, 3.0])
    large = [replace(case, values=case.values.divided_by(scale)) for case in cases]
    before, after = (fit(READOUT, found, with_match=True) for found in (cases, large))
    for one, other in zip(cases, large, strict=True):
        assert other.scores(after) == pytest.approx(one.scores(before), rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("constant", [0.0, 5.0])
def test_a_value_that_never_varies_does_no_harm(constant, tmp_path):
    """Neither to the scores, nor to the file, whose numbers have half precision."""

    def with_constant(values):
        return torch.cat([values, torch.full_like(values[:, :1], constant)], dim=1)

    cases = [
        replace(
            case,
            values=UnitValues(
                1, with_constant(case.values.tokens), with_constant(case.values.question)
            ),
        )
        for case in matching(400)
    ]
    fitted = fit(READOUT, cases[:300], with_match=True)
    assert recall_of(fitted, cases[300:]) > 0.5
    ReadoutProfile(draft="tiny", shape={}, readout=fitted, fitted_on={}).save(tmp_path / "a.json")
    found = ReadoutProfile.load(tmp_path / "a.json").readout
    assert cases[0].scores(found) == pytest.approx(cases[0].scores(fitted), rel=1e-2, abs=1e-2)


def test_the_match_of_a_prior_stays_if_its_layer_is_read():
    own = ValueMatch(layer=1, token_weights=np.eye(4), question_weights=np.eye(4))
    prior = replace(READOUT, match=own)
    assert fit(READOUT, matching(120), prior=prior, with_match=True).match == own
    assert aligned(prior, READOUT).match == own
    config = tiny_model("llama").config
    below = replace(own, layer=0)
    assert value_layer_of(READOUT, config, replace(prior, match=below)) == 0
    low = replace(READOUT, heads=((0, 0), (0, 1)))
    assert aligned(prior, low).match is None
    assert value_layer_of(low, config, prior) == 0
    [case] = matching(1)
    with pytest.raises(ValueError, match="Values of layer 0 are needed, and 1 was read"):
        case.scores(replace(READOUT, match=below))


def test_weights_are_fitted_beside_the_match_of_a_prior():
    """Added to weights that were fitted alone, the same match does worse."""
    cases = [with_values(case, seed, FORM) for seed, case in enumerate(made_up(160))]
    match = fit(READOUT, cases, with_match=True).match
    match = replace(match, token_weights=10 * match.token_weights)

    def loss_beside_it(fitted):
        scores = [case.features @ fitted.weights + case.matches(match) for case in cases]
        return float(PieceLoss.of(cases)(torch.from_numpy(np.concatenate(scores)).float()))

    alone = fit(READOUT, cases, prior=READOUT, penalty=0.01)
    beside = fit(READOUT, cases, prior=replace(READOUT, match=match), penalty=0.01)
    assert beside.match == match
    assert loss_beside_it(beside) < loss_beside_it(alone) - 0.001


def of_kinds(*counts, **changes):
    return [
        replace(case, kind=f"kind {number}")
        for number, count in enumerate(counts)
        for case in matching(count, **changes)
    ]


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        (of_kinds(60, 60, 40), True),  # 100 of the others, whichever kind is held out
        (of_kinds(60, 60, 39), False),
        (of_kinds(134), True),  # in three of four parts
        (of_kinds(130), False),
        ([*of_kinds(300), *made_up(3, kind="b"), *made_up(3, kind="c")], False),
        (of_kinds(100, 100, 100, is_real=False), False),
    ],
)
def test_a_match_is_fitted_only_where_its_figures_are_those_of_a_match(
    cases, expected, monkeypatch
):
    fitted = []

    def note(*_, with_match, **__):
        fitted.append(with_match)
        return READOUT

    monkeypatch.setattr(validation, "fit", note)
    held_out_scores(READOUT, cases)
    assert fitted
    assert set(fitted) == {expected}
    assert match_can_be_validated(cases) == expected


def told_wrong(case):
    return replace(case, pieces=~case.pieces)


def are_equal(before, after):
    return [np.allclose(*pair) for pair in zip(before, after, strict=True)]


def test_scores_in_cross_validation_come_from_the_other_folds():
    """With its own evidence told wrong a case scores as before: it does not fit itself."""
    cases = made_up(8)
    before = cross_validated_scores(READOUT, cases, folds=4)
    wrong = [*cases[:3], told_wrong(cases[3]), *cases[4:]]
    after = cross_validated_scores(READOUT, wrong, folds=4)
    unchanged = are_equal(before, after)
    assert unchanged[3]
    assert unchanged.count(False) == 6  # all but those of its own fold


def test_scores_of_a_kind_come_from_the_other_kinds():
    cases = [case for kind in "abc" for case in made_up(3, kind=kind, seed=ord(kind))]
    before = leave_one_kind_out_scores(READOUT, cases)
    wrong = [case if case.kind != "b" else told_wrong(case) for case in cases]
    after = leave_one_kind_out_scores(READOUT, wrong)
    assert are_equal(before, after) == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize(("kinds", "words"), [("ab", "each of 4 parts"), ("abc", "each kind")])
def test_kinds_are_held_out_if_there_are_three(kinds, words):
    cases = [case for kind in kinds for case in made_up(3, kind=kind, seed=ord(kind))]
    scores, validation = held_out_scores(READOUT, cases)
    by_kind = leave_one_kind_out_scores(READOUT, cases)
    by_fold = cross_validated_scores(READOUT, cases)
    assert all(are_equal(scores, by_kind if kinds == "abc" else by_fold))
    assert validation.startswith(words)
    assert "prior" not in validation
    scores, validation = held_out_scores(READOUT, cases, PRIOR)
    assert not any(are_equal(scores, by_kind))
    assert "the prior's own data are not held out" in validation


def test_recall_is_high_where_features_tell_and_chance_where_they_do_not():
    cases = [*made_up(60), *made_up(30, pieces=2, kind="two pieces")]
    told = evidence_recall(cases, cross_validated_scores(READOUT, cases), 0.3)
    blind = evidence_recall(cases, [np.arange(12.0)] * 90, 0.3)
    assert min(told.values()) > 0.9
    assert blind["made up"] < 0.5
    assert blind["two pieces"] < 0.2


def test_recall_counts_tokens_and_passes_over_what_does_not_fit():
    case = units_of(np.zeros((3, 1)), [[False, False, True]], [60, 30, 10], "k")
    scores = [np.array([3.0, 2.0, 1.0])]
    assert evidence_recall([case], scores, 0.1) == {"k": 1.0}  # 60 and 30 do not fit, 10 does
    assert evidence_recall([case], scores, 0.6) == {"k": 0.0}  # 60 fit, then nothing
    assert evidence_recall([case], scores, 0.7) == {"k": 1.0}


def test_recall_asks_for_a_unit_of_every_piece():
    pieces = [[True, True, False, False], [False, True, True, False]]
    case = units_of(np.zeros((4, 1)), pieces, [10, 10, 10, 10], "k")
    kept = {
        order: evidence_recall([case], [-np.array(list(order), dtype=float)], 0.5)["k"]
        for order in [(0, 2, 1, 3), (2, 3, 0, 1), (2, 0, 3, 1), (1, 2, 3, 0)]
    }
    assert kept == {(0, 2, 1, 3): 1.0, (2, 3, 0, 1): 0.0, (2, 0, 3, 1): 1.0, (1, 2, 3, 0): 0.0}


def test_recall_is_told_by_kind():
    cases = [
        units_of(np.zeros((2, 1)), [[True, False]], [10, 10], kind) for kind in ("b", "a", "b")
    ]
    scores = [np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    assert evidence_recall(cases, scores, 0.5) == {"a": 1.0, "b": 0.5}


@pytest.mark.parametrize("folds", [1, 9])
def test_too_few_cases_or_folds_are_refused(folds):
    with pytest.raises(ValueError, match="folds"):
        cross_validated_scores(READOUT, made_up(8), folds=folds)


def test_nothing_is_fitted_to_nothing():
    with pytest.raises(ValueError, match="no cases"):
        fit(READOUT, [])


def test_one_kind_cannot_be_left_out():
    with pytest.raises(ValueError, match="no cases"):
        leave_one_kind_out_scores(READOUT, made_up(8))
