"""Budgets by which the scores decide how much is kept: a share of attention, a target recall. Pure.

A target recall is met by conformal risk control (Angelopoulos et al., arXiv:2208.02814) over nested
sets of units, those that are needed with at least some probability: see `ScoreCalibration`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from specprefill_integrations.errors import BudgetError
from specprefill_integrations.pipeline._kept_units import with_needs
from specprefill_integrations.pipeline._selection import best_first
from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.types import Budget, Unit

_CURE = (
    "`specprefill calibrate --pairs` makes a profile with a calibration for a draft; "
    "max_tokens=, keep_fraction= and attention_mass= need none."
)

# Tolerance for sums of shares.
_ROUNDING = 1e-9


def calibration_of(scorer: SpanScorer, splitter: Splitter[Any]) -> ScoreCalibration | None:
    """Return what the scores mean, if it is known; it holds for the default units alone."""
    if not isinstance(splitter, SplitByKind) or not scorer.scores_are_logarithms:
        return None
    return scorer.score_calibration


def check_possible(budget: Budget, scorer: SpanScorer, splitter: Splitter[Any]) -> None:
    """Check, as far as is known without a draft, that the scores for a target can be calibrated.

    Raises:
        BudgetError: There is a target, and the scorer or the splitter rules it out.
    """
    if budget.target_recall is None:
        return
    if not isinstance(splitter, SplitByKind):
        msg = "target_recall= needs the default splitter (SplitByKind): only scores of its units "
        msg += "are calibrated. max_tokens=, keep_fraction= and attention_mass= take any."
        raise BudgetError(msg)
    if not scorer.may_be_calibrated:
        name = type(scorer.unwrapped).__name__
        msg = f"target_recall= needs calibrated scores, and this {name} has none. {_CURE}"
        raise BudgetError(msg)


def least_probability(target_recall: float, calibration: ScoreCalibration | None) -> float:
    """Return the probability from which on units are kept for a target.

    Raises:
        BudgetError: The scores are not calibrated, or not for this target.
    """
    if calibration is None:
        msg = "target_recall= needs calibrated scores, and the draft has no profile with them. "
        raise BudgetError(msg + _CURE)
    return calibration.least_probability(target_recall)


def select_by_scores(
    units: Sequence[Unit], budget: Budget, calibration: ScoreCalibration | None
) -> frozenset[int]:
    """Select the units that a budget asks for, whatever they cost; of two limits, what both keep.

    Args:
        units: All units of a call in source order, with masses or probabilities.
        budget: A budget that depends on scores.
        calibration: What the scores mean.

    Raises:
        BudgetError: See `least_probability`.
    """
    wanted = []
    if budget.attention_mass is not None:
        wanted.append(select_mass(units, budget.attention_mass))
    if budget.target_recall is not None:
        least = least_probability(budget.target_recall, calibration)
        wanted.append(select_probable(units, least))
    return frozenset.intersection(*wanted)


def select_mass(units: Sequence[Unit], attention_mass: float) -> frozenset[int]:
    """Select the best units that together hold a share of the attention mass.

    Protected units are always selected.

    Based on AttnComp (arXiv:2509.17486), which keeps the documents that hold a share of attention.

    Args:
        units: All units of a call in source order.
        attention_mass: The share, in (0, 1].

    Returns:
        Indices into `units`, including the units that selected ones need.
    """
    kept = with_needs(units, (i for i, unit in enumerate(units) if unit.is_protected))
    held = math.fsum(units[index].mass for index in kept)
    ranked = best_first(units)
    wanted = attention_mass * math.fsum(units[i].mass for i in with_needs(units, ranked))
    for index in ranked:
        if held >= wanted - _ROUNDING:
            break
        added = with_needs(units, [index]) - kept
        held += math.fsum(units[i].mass for i in added)
        kept |= added
    return frozenset(kept)


def select_probable(units: Sequence[Unit], least_probability: float) -> frozenset[int]:
    """Select the units that are needed with a least probability, and the best one in any case.

    Protected units are always selected. A heading that is that probable brings the best unit below.

    Args:
        units: All units of a call in source order, with their probabilities.
        least_probability: The probability, in [0, 1].

    Returns:
        Indices into `units`, including the units that selected ones need.
    """
    ranked = best_first(units)
    best_below: dict[int, int] = {}
    for index in reversed(ranked):
        best_below.update(dict.fromkeys(units[index].needs, index))
    wanted = [index for index in ranked if units[index].is_protected]
    wanted += ranked[:1]
    for index, unit in enumerate(units):
        if (unit.probability or 0.0) >= least_probability:
            found = best_below.get(index) if unit.only_heads else index
            wanted += [] if found is None else [found]
    return frozenset(with_needs(units, wanted))


def masses(scores: Sequence[float], tokens: Sequence[int], *, are_logarithms: bool) -> list[float]:
    """Return the share of the attention mass that each unit holds.

    Args:
        scores: The units' scores.
        tokens: Their tokens.
        are_logarithms: True if exp(score) is proportional to the probability that a unit is
            needed; else scores are densities, and negative ones count as 0.

    Returns:
        Shares that sum to 1; proportional to tokens if no unit holds any mass.
    """
    highest = max(scores, default=0.0)
    held: list[float] = []
    if are_logarithms:
        held = [math.exp(score - highest) for score in scores]
    elif highest > 0:  # divided by it first, since products of large scores would overflow
        held = [max(0.0, s / highest) * t for s, t in zip(scores, tokens, strict=True)]
    if not sum(held):
        held = [float(max(1, t)) for t in tokens]
    total = math.fsum(held)
    return [share / total for share in held]


def with_masses(units: Sequence[Unit], *, are_logarithms: bool) -> list[Unit]:
    """Return the units with the share of the attention mass that each holds. See `masses`."""
    scores, tokens = [unit.score for unit in units], [unit.tokens for unit in units]
    shares = masses(scores, tokens, are_logarithms=are_logarithms)
    return [replace(unit, mass=share) for unit, share in zip(units, shares, strict=True)]


def with_probabilities(
    units: Sequence[Unit], all_scores: Sequence[float], calibration: ScoreCalibration
) -> list[Unit]:
    """Return the units with the probability that each is needed.

    Args:
        units: The units.
        all_scores: The scores of all units of the call, as the scorer gave them.
        calibration: What the scores mean.
    """
    found = calibration.probabilities([unit.score for unit in units], all_scores)
    return [replace(unit, probability=own) for unit, own in zip(units, found, strict=True)]
