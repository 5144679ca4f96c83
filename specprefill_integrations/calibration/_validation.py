"""Scores of cases with weights that were fitted to others, and what these scores find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.calibration._fitting import fit
from specprefill_integrations.calibration._match_fitting import may_fit_match
from specprefill_integrations.calibration._reading import LabeledUnits
from specprefill_integrations.scoring.readouts._linear import LinearReadout

_LEAST_KINDS = 3
_FOLDS = 4

Scores = NDArray[np.float64]
"""One score per unit of a case. Shape: (units,)."""


def held_out_scores(
    readout: LinearReadout, cases: Sequence[LabeledUnits], prior: LinearReadout | None = None
) -> tuple[list[Scores], str]:
    """Score each case with weights fitted to other kinds or, if there are too few, other cases.

    Args:
        readout: The readout that the cases were read with.
        cases: Features and labels.
        prior: As in `fit`.

    Returns:
        Scores case by case, and how they were made.

    Raises:
        ValueError: There are too few cases.
    """
    remark = "" if prior is None else "; the prior's own data are not held out"
    if _has_kinds(cases):
        scores = leave_one_kind_out_scores(readout, cases, prior=prior)
        return scores, f"each kind with weights fitted to the other kinds{remark}"
    scores = cross_validated_scores(readout, cases, prior=prior)
    return scores, f"each of {_FOLDS} parts with weights fitted to the other parts{remark}"


def leave_one_kind_out_scores(
    readout: LinearReadout,
    cases: Sequence[LabeledUnits],
    *,
    prior: LinearReadout | None = None,
) -> list[Scores]:
    """Score each case with weights fitted to the cases of the other kinds.

    Args:
        readout: The readout that the cases were read with.
        cases: Features and labels.
        prior: As in `fit`.

    Returns:
        Scores case by case.

    Raises:
        ValueError: All cases are of one kind.
    """
    return _scores_of_groups(readout, cases, _kinds(cases), prior)


def cross_validated_scores(
    readout: LinearReadout,
    cases: Sequence[LabeledUnits],
    *,
    folds: int = _FOLDS,
    prior: LinearReadout | None = None,
) -> list[Scores]:
    """Score each case with weights fitted to the cases of the other folds.

    Args:
        readout: The readout that the cases were read with.
        cases: Features and labels.
        folds: Number of folds; the shuffle is deterministic.
        prior: As in `fit`.

    Returns:
        Scores case by case.

    Raises:
        ValueError: There are fewer cases than folds, or fewer than two folds.
    """
    if not 2 <= folds <= len(cases):  # noqa: PLR2004 - one to fit on, one to score
        msg = f"{len(cases)} cases cannot be cross-validated in {folds} folds."
        raise ValueError(msg)
    return _scores_of_groups(readout, cases, _shuffled(cases, folds), prior)


def match_can_be_validated(cases: Sequence[LabeledUnits]) -> bool:
    """Return True if a match can be fitted to the other cases of each group that is held out.

    Else the figures and the calibration of `held_out_scores` would be of a readout without one.
    """
    return _may_fit_matches(cases, held_out_groups(cases))


def held_out_groups(cases: Sequence[LabeledUnits]) -> NDArray[np.int64]:
    """Number the groups of which `held_out_scores` holds out one at a time. Shape: (cases,)."""
    return _kinds(cases) if _has_kinds(cases) else _shuffled(cases, _FOLDS)


def evidence_recall(
    cases: Sequence[LabeledUnits], scores: Sequence[Scores], keep_fraction: float
) -> dict[str, float]:
    """Share of cases that keep some of every piece, if units are kept by descending score.

    Args:
        cases: The cases.
        scores: Scores case by case.
        keep_fraction: Kept tokens / tokens of all units.

    Returns:
        The share by kind.
    """
    found: dict[str, list[bool]] = {}
    for case, own in zip(cases, scores, strict=True):
        found.setdefault(case.kind, []).append(_keeps_all(case, own, keep_fraction))
    return {kind: float(np.mean(found[kind])) for kind in sorted(found)}


def _has_kinds(cases: Sequence[LabeledUnits]) -> bool:
    return len({case.kind for case in cases}) >= _LEAST_KINDS


def _kinds(cases: Sequence[LabeledUnits]) -> NDArray[np.int64]:
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(c.kind for c in cases))}
    return np.array([numbers[case.kind] for case in cases])


def _shuffled(cases: Sequence[LabeledUnits], folds: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(len(cases)) % folds


def _scores_of_groups(
    readout: LinearReadout,
    cases: Sequence[LabeledUnits],
    groups: NDArray[np.int64],
    prior: LinearReadout | None,
) -> list[Scores]:
    """Score each case with weights fitted to the cases of other groups."""
    scores: list[Scores] = [np.zeros(0)] * len(cases)
    with_match = _may_fit_matches(cases, groups)
    for group in np.unique(groups):
        others = _others(cases, groups, group)
        fitted = fit(readout, others, prior=prior, with_match=with_match)
        for i in np.nonzero(groups == group)[0].tolist():
            scores[i] = cases[i].scores(fitted)
    return scores


def _may_fit_matches(cases: Sequence[LabeledUnits], groups: NDArray[np.int64]) -> bool:
    """Return True if the cases outside of each group suffice for a match."""
    return all(may_fit_match(_others(cases, groups, group)) for group in np.unique(groups))


def _others(
    cases: Sequence[LabeledUnits], groups: NDArray[np.int64], group: int
) -> list[LabeledUnits]:
    """Return the cases that are not in a group."""
    return [case for case, own in zip(cases, groups, strict=True) if own != group]


def _keeps_all(case: LabeledUnits, scores: Scores, keep_fraction: float) -> bool:
    limit = keep_fraction * int(case.tokens.sum())
    spent = 0
    missing = np.ones(len(case.pieces), dtype=bool)  # (pieces,)
    for unit in np.argsort(-scores, kind="stable"):
        if spent + case.tokens[unit] <= limit:
            spent += case.tokens[unit]
            missing &= ~case.pieces[:, unit]
    return not missing.any()
