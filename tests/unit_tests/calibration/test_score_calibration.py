"""Calibration of scores: what a target keeps, on cases like those it was calibrated on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from specprefill_integrations.calibration._reading import LabeledUnits
from specprefill_integrations.calibration._score_calibration import (
    calibrate_scores,
    measure_coverage,
    measure_reliability,
)
from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.scoring._span_scorer import ScoreRequest

UNITS = 40


def drawn(count, seed=0, kind="made up", *, gain=1.0, pieces=2):
    """Cases whose needed units are drawn with the probabilities that the scores say."""
    rng = np.random.default_rng(seed)
    cases, scores = [], []
    for _ in range(count):
        own = rng.normal(0, 3, UNITS)
        odds = np.exp(own - own.max())
        marks = np.zeros((pieces, UNITS), dtype=bool)
        for piece in marks:
            piece[rng.choice(UNITS, p=odds / odds.sum())] = True
        tokens = rng.integers(5, 30, UNITS)
        matcher = LexicalMatcher(request=ScoreRequest(None, [], []), own=[], around=[])
        features = np.zeros((UNITS, 0), dtype=np.float32)
        cases.append(
            LabeledUnits(kind=kind, matcher=matcher, features=features, pieces=marks, tokens=tokens)
        )
        scores.append(own * gain)
    return cases, scores


def covers(case, scores, calibration, target):
    least = calibration.least_probability(target)
    found = np.array(calibration.probabilities(scores.tolist(), scores.tolist()))
    return bool((case.pieces & (found >= least)).any(axis=1).all())


def joined(*parts):
    return [case for cases, _ in parts for case in cases], [s for _, own in parts for s in own]


class TestTargets:
    @pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95])
    @pytest.mark.parametrize("gain", [0.3, 1.0, 4.0])
    def test_fresh_cases_keep_all_evidence_as_often_as_asked(self, target, gain):
        """Whatever the scale of the scores: only their order and distances count."""
        calibration = calibrate_scores(*drawn(400, gain=gain))
        fresh = drawn(600, seed=1, gain=gain)
        share = np.mean([covers(*one, calibration, target) for one in zip(*fresh, strict=True)])
        assert abs(share - target) < 0.05

    def test_with_few_cases_it_is_kept_on_average_over_calibrations(self):
        """The correction for a finite sample: without it, 19 cases would cover too little."""
        fresh = drawn(200, seed=99)
        shares = []
        for seed in range(20):
            calibration = calibrate_scores(*drawn(19, seed=seed))
            shares += [covers(*one, calibration, 0.9) for one in zip(*fresh, strict=True)]
        assert 0.9 <= np.mean(shares) < 0.95

    def test_a_target_that_needs_more_cases_is_refused(self):
        calibration = calibrate_scores(*drawn(9))
        assert len(calibration.least_log_shares) == 180
        with pytest.raises(ValueError, match=r"the 9 that .* allow 0\.9 at most"):
            calibration.least_probability(0.91)

    def test_kinds_weigh_the_same(self):
        """Of a kind with ten times the cases: one half of the weight."""
        easy, hard = drawn(300, pieces=1), drawn(30, seed=2, kind="hard", pieces=9)
        calibration = calibrate_scores(*joined(easy, hard))
        even = calibrate_scores(*joined((easy[0][:30], easy[1][:30]), hard))
        of_easy = calibrate_scores(*easy)
        least = [one.least_log_shares[159] for one in (calibration, even, of_easy)]
        assert least[0] == pytest.approx(least[1], abs=0.7)
        assert least[0] < least[2] - 1

    def test_what_it_keeps_shrinks_with_the_target(self):
        least = calibrate_scores(*drawn(100)).least_log_shares
        assert list(least) == sorted(least, reverse=True)
        assert len(least) == math.floor(100 / 101 * 200)

    def test_the_figures_are_of_held_out_cases(self):
        """A kind that is harder than the others is covered less, and one that is easier more."""
        parts = [
            drawn(60, seed, kind, pieces=n)
            for seed, (kind, n) in enumerate({"easy": 1, "middle": 3, "hard": 9}.items())
        ]
        found = measure_coverage(*joined(*parts), 0.8)
        assert found["easy"].coverage > found["middle"].coverage > found["hard"].coverage
        alone = measure_coverage(*parts[2], 0.8)["hard"]
        assert abs(alone.coverage - 0.8) < 0.12
        assert 0 < found["easy"].kept < alone.kept < 1

    def test_too_few_cases_keep_all(self):
        found = measure_coverage(*drawn(8), 0.9)["made up"]
        assert (found.coverage, found.kept) == (1.0, 1.0)

    def test_no_case_is_too_few(self):
        with pytest.raises(ValueError, match="no cases"):
            calibrate_scores([], [])


class TestProbabilities:
    @pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
    def test_they_are_the_shares_that_are_needed(self, gain):
        found = measure_reliability(*drawn(600, gain=gain, pieces=1))["made up"]
        assert sum(one.needed for one in found) == 600
        assert sum(one.units for one in found) == 600 * UNITS
        assert [one.probability for one in found] == sorted(one.probability for one in found)
        wrong = [abs(one.probability * one.units - one.needed) for one in found]
        assert sum(wrong) / (600 * UNITS) < 0.01, found

    def test_scores_that_tell_nothing_give_the_base_rate(self):
        cases, scores = drawn(300, pieces=1)
        noise = [np.random.default_rng(i).normal(0, 3, UNITS) for i in range(len(scores))]
        calibration = calibrate_scores(cases, noise)
        found = np.concatenate([calibration.probabilities(list(n), list(n)) for n in noise])
        assert found.mean() == pytest.approx(1 / UNITS, abs=0.01)

    def test_scores_that_are_the_wrong_way_round_keep_their_order(self):
        cases, scores = drawn(100)
        assert calibrate_scores(cases, [-own for own in scores]).slope > 0


def test_a_calibration_is_made_of_numbers_in_order():
    with pytest.raises(ValueError, match="never ascend"):
        ScoreCalibration(intercept=0.0, slope=1.0, least_log_shares=(-2.0, -1.0), cases=1)
