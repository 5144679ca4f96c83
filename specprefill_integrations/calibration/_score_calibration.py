"""Calibration of scores on cases with known evidence that they were not fitted to.

Probabilities come from a logistic regression on the log share of a unit (Platt scaling). Targets of
recall come from conformal risk control (Angelopoulos et al., arXiv:2208.02814): of each case, the
least log share with which all of its evidence is kept, and quantiles of these over the cases. Kinds
weigh the same. With kinds of different size, the correction for a finite sample uses the effective
number of cases (Kish).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from specprefill_integrations.calibration._reading import LabeledUnits
from specprefill_integrations.calibration._validation import Scores, held_out_groups
from specprefill_integrations.scoring._score_calibration import LEVELS, ScoreCalibration

# Penalty of a slope other than 1, which holds for scores that are log probabilities.
_PENALTY = 0.01
_LEAST_SLOPE = 0.01
_DIGITS = 4
_ROUNDING = 1e-9

_BIN_EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The share of cases that keep all evidence at a target, and what they keep."""

    coverage: float
    """Share of the cases that keep some of every piece of evidence."""

    kept: float
    """Median share of the tokens of units that are probable enough; what these need, protected
    units and gap markers come on top."""


class ProbabilityBin(NamedTuple):
    """Units of about the same probability."""

    probability: float
    """Their mean probability."""

    needed: int
    """Number of them that are needed."""

    units: int
    """Number of all of them."""


def calibrate_scores(cases: Sequence[LabeledUnits], scores: Sequence[Scores]) -> ScoreCalibration:
    """Calibrate scores.

    Args:
        cases: Labels of the units.
        scores: Scores case by case, by weights that were not fitted to the case.

    Raises:
        ValueError: There are no cases.
    """
    if not cases:
        msg = "There are no cases to calibrate on."
        raise ValueError(msg)
    kinds = Counter(case.kind for case in cases)
    weights = np.array([1 / (len(kinds) * kinds[case.kind]) for case in cases])  # (cases,)
    shares = [_log_shares(own) for own in scores]
    intercept, slope = _logistic_fit(cases, shares, weights)
    return ScoreCalibration(
        intercept=round(intercept, _DIGITS),
        slope=round(max(slope, _LEAST_SLOPE), _DIGITS),
        least_log_shares=_least_log_shares(
            np.array([_needed(case, own) for case, own in zip(cases, shares, strict=True)]), weights
        ),
        cases=len(cases),
    )


def measure_coverage(
    cases: Sequence[LabeledUnits], scores: Sequence[Scores], target_recall: float
) -> Mapping[str, Coverage]:
    """Measure what a target keeps of cases that are held out of the calibration, too.

    Args:
        cases: Labels of the units.
        scores: As for `calibrate_scores`.
        target_recall: The target, in (0, 1).

    Returns:
        The figures by kind. A target that needs more cases keeps all.
    """
    found: dict[str, list[tuple[bool, float]]] = {}
    for case, calibration, predicted in _held_out(cases, scores):
        is_met = calibration.allows(target_recall)
        keeps = predicted >= (calibration.least_probability(target_recall) if is_met else 0)
        keeps[np.argmax(predicted)] = True
        is_covered = bool((case.pieces & keeps).any(axis=1).all())
        share = float(case.tokens[keeps].sum() / max(1, case.tokens.sum()))
        found.setdefault(case.kind, []).append((is_covered, share))
    return {
        kind: Coverage(
            coverage=float(np.mean([covered for covered, _ in found[kind]])),
            kept=float(np.median([share for _, share in found[kind]])),
        )
        for kind in sorted(found)
    }


def measure_reliability(
    cases: Sequence[LabeledUnits], scores: Sequence[Scores]
) -> Mapping[str, Sequence[ProbabilityBin]]:
    """Compare probabilities with the share of units that are needed, on held-out cases.

    Args:
        cases: Labels of the units.
        scores: As for `calibrate_scores`.

    Returns:
        Bins in ascending order, by kind; empty ones are left out.
    """
    found: dict[str, list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = {}
    for case, _, predicted in _held_out(cases, scores):
        found.setdefault(case.kind, []).append((predicted, _is_needed(case)))
    return {
        kind: _bins(*map(np.concatenate, zip(*found[kind], strict=True))) for kind in sorted(found)
    }


def _bins(predicted: NDArray[np.float64], is_needed: NDArray[np.bool_]) -> list[ProbabilityBin]:
    """Group units by probability. Shapes: (units,)."""
    places = np.digitize(predicted, _BIN_EDGES[1:-1])
    return [
        ProbabilityBin(
            probability=float(predicted[places == place].mean()),
            needed=int(is_needed[places == place].sum()),
            units=int((places == place).sum()),
        )
        for place in np.unique(places)
    ]


def _held_out(
    cases: Sequence[LabeledUnits], scores: Sequence[Scores]
) -> Iterator[tuple[LabeledUnits, ScoreCalibration, NDArray[np.float64]]]:
    """Yield each case with a calibration on the other groups, and its units' probabilities."""
    groups = held_out_groups(cases)
    for group in np.unique(groups).tolist():
        others = np.nonzero(groups != group)[0].tolist()
        calibration = calibrate_scores([cases[i] for i in others], [scores[i] for i in others])
        for index in np.nonzero(groups == group)[0].tolist():
            own = scores[index].tolist()
            yield cases[index], calibration, np.array(calibration.probabilities(own, own))


def _log_shares(scores: Scores) -> Scores:
    """Divide exp(score) by its sum over all units, as logarithms. Shape: (units,)."""
    shares: Scores = scores - np.logaddexp.reduce(scores)
    return shares


def _is_needed(case: LabeledUnits) -> NDArray[np.bool_]:
    """Mark the units of all pieces. Shape: (units,)."""
    is_needed: NDArray[np.bool_] = np.any(case.pieces, axis=0)
    return is_needed


def _needed(case: LabeledUnits, shares: Scores) -> float:
    """Return the largest least log share with which some of every piece is kept."""
    return float(min(shares[piece].max() for piece in case.pieces))


def _least_log_shares(needed: Scores, weights: Scores) -> tuple[float, ...]:
    """Compute the least log share for each target, rounded down. Shapes: (cases,)."""
    order = np.argsort(-needed, kind="stable")
    covered = weights[order].cumsum() / weights.sum()
    effective = weights.sum() ** 2 / np.square(weights).sum()
    # The next case counts as one that keeps too little.
    wanted = np.arange(1, LEVELS + 1) / LEVELS * (effective + 1) / effective
    places = np.searchsorted(covered, wanted - _ROUNDING)
    found = np.floor(needed[order][places[places < len(order)]] * 10**_DIGITS) / 10**_DIGITS
    return tuple(found.tolist())


def _logistic_fit(
    cases: Sequence[LabeledUnits], shares: Sequence[Scores], weights: Scores
) -> tuple[float, float]:
    """Fit log-odds of being needed to log shares; return intercept and slope."""
    inputs = torch.from_numpy(np.concatenate(shares))  # (units,)
    labels = torch.from_numpy(np.concatenate(list(map(_is_needed, cases)))).double()
    factors = torch.from_numpy(np.repeat(weights, [len(own) for own in shares]))  # (units,)
    line = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        lost = binary_cross_entropy_with_logits(
            line[0] + line[1] * inputs, labels, factors, reduction="sum"
        )
        total = lost + _PENALTY * (line[1] - 1).square()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    intercept, slope = line.detach().tolist()
    return intercept, slope
