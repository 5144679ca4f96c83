"""Fitting of a linear readout to the units of cases with known evidence.

The loss of a piece of evidence is minus the logarithm of the probability that a softmax over its
units and those of no piece gives to its units: pieces do not compete with each other. It is a mean
over the pieces of a case, over the cases of a kind, and over kinds. It is minimized with an L2
penalty by Adam, from zero or from given weights. The default penalties are higher than
cross-validation on one kind of text suggests, because weights must generalize to other kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from specprefill_integrations.calibration._reading import LabeledUnits
from specprefill_integrations.scoring.readouts._linear import LinearReadout

_STEPS = 200
_LEARNING_RATE = 0.05

# Penalties of the weights of attention: from zero, and from a prior, which many more cases formed.
# There are few lexical features, and they mean the same in all kinds of text.
_PENALTY = 1.0
_PENALTY_FROM_PRIOR = 10.0
_LEXICAL_PENALTY = 0.01


def fit(
    readout: LinearReadout,
    cases: Sequence[LabeledUnits],
    *,
    penalty: float | None = None,
    prior: LinearReadout | None = None,
) -> LinearReadout:
    """Fit a readout's weights.

    Args:
        readout: The readout that the cases were read with.
        cases: Features and labels.
        penalty: Factor of the squared weights of attention, with features scaled to unit variance;
            lexical features have a small one of their own. None: 1, or 10 with a prior.
        prior: A fitted readout of the same draft: the penalty is on the difference from a multiple
            of its weights, which is free: beside other features they may count less. Heads and
            passes that it does not have count as zero.

    Returns:
        The readout with weights.

    Raises:
        ValueError: There are no cases.
    """
    if not cases:
        msg = "There are no cases to fit to."
        raise ValueError(msg)
    start = np.zeros(len(readout.weights)) if prior is None else weights_of(prior, readout)
    if penalty is None:
        penalty = _PENALTY if prior is None else _PENALTY_FROM_PRIOR
    heads = len(readout.own_weights)
    penalties = np.full(len(start), _LEXICAL_PENALTY)
    penalties[: 2 * heads] = penalty
    return _with_weights(readout, _fitted_weights(cases, penalties, start))


def aligned(prior: LinearReadout, readout: LinearReadout) -> LinearReadout:
    """Put a readout's weights in the order of another's features; it scores as it did before.

    Args:
        prior: The readout with the weights.
        readout: The other one; heads and passes that it alone has get zero.
    """
    found = _with_weights(readout, weights_of(prior, readout))
    return replace(found, feedback_units=prior.feedback_units)


def weights_of(prior: LinearReadout, readout: LinearReadout) -> NDArray[np.float64]:
    """Put the weights of one readout in the order of another's features.

    Args:
        prior: The readout with the weights.
        readout: The other one; heads and passes that it alone has get zero.

    Returns:
        Shape: (features,).
    """
    found = [
        dict(zip(product(prior.passes, prior.heads), weights, strict=True))
        for weights in (prior.own_weights, prior.around_weights)
    ]
    wanted = list(product(readout.passes, readout.heads))
    ordered = [own.get(key, 0.0) for own in found for key in wanted]
    return np.array([*ordered, *prior.weights[2 * len(prior.own_weights) :]])


def _with_weights(readout: LinearReadout, weights: NDArray[np.float64]) -> LinearReadout:
    """Set all weights. Shape: (features,)."""
    heads = len(readout.own_weights)
    own, around, lexical = np.split(weights, [heads, 2 * heads])
    return replace(
        readout,
        own_weights=tuple(own.tolist()),
        around_weights=tuple(around.tolist()),
        lexical_weights=tuple(lexical.tolist()),
    )


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels of the units of all cases, counted from 0."""

    units: Tensor
    """Units of the pieces, piece after piece. Shape: (units of pieces,)."""

    piece_of: Tensor
    """The piece of each of them. Shape: (units of pieces,)."""

    other_units: Tensor
    """Units that belong to no piece of their case. Shape: (other units,)."""

    case_of_other: Tensor
    """The case of each of them. Shape: (other units,)."""

    case_of: Tensor
    """The case of each piece. Shape: (pieces,)."""

    weights: Tensor
    """Weight of each piece; their sum is 1. Shape: (pieces,)."""

    cases: int
    """Number of cases."""

    @classmethod
    def of(cls, cases: Sequence[LabeledUnits]) -> _Labels:
        """Number the units and pieces of all cases."""
        first_units = np.cumsum([0, *(len(case.tokens) for case in cases)])[:-1]
        first_pieces = np.cumsum([0, *(len(case.pieces) for case in cases)])[:-1]
        marked = [np.nonzero(case.pieces) for case in cases]
        others = [np.nonzero(~case.pieces.any(axis=0))[0] for case in cases]
        kinds = Counter(case.kind for case in cases)
        weights = [1 / (len(kinds) * kinds[case.kind] * len(case.pieces)) for case in cases]
        pieces = [len(case.pieces) for case in cases]
        return cls(
            units=_joined([units for _, units in marked], first_units),
            piece_of=_joined([own for own, _ in marked], first_pieces),
            other_units=_joined(others, first_units),
            case_of_other=torch.from_numpy(
                np.repeat(np.arange(len(cases)), list(map(len, others)))
            ),
            case_of=torch.from_numpy(np.repeat(np.arange(len(cases)), pieces)),
            weights=torch.from_numpy(np.repeat(weights, pieces)).float(),
            cases=len(cases),
        )

    def loss(self, scores: Tensor) -> Tensor:
        """Compute the loss of scores. Shape: scores (units,), loss ()."""
        own = _log_sum_exp(scores[self.units], self.piece_of, len(self.case_of))  # (pieces,)
        others = _log_sum_exp(scores[self.other_units], self.case_of_other, self.cases)  # (cases,)
        # log((own + others) / own) of the masses
        return (self.weights * softplus(others[self.case_of] - own)).sum()


def _joined(parts: Sequence[NDArray[np.int64]], firsts: NDArray[np.int64]) -> Tensor:
    """Turn numbers within each case into numbers within all."""
    shifted = [part + first for part, first in zip(parts, firsts, strict=True)]
    return torch.from_numpy(np.concatenate(shifted))


def _fitted_weights(
    cases: Sequence[LabeledUnits], penalties: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit weights for the unscaled features. Shape: (features,)."""
    features = torch.from_numpy(np.concatenate([case.features for case in cases]))
    labels = _Labels.of(cases)
    mean, scale = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    standard = (features - mean) / scale
    direction = torch.from_numpy(prior).float() * scale
    factors = torch.from_numpy(penalties).float()
    share = torch.ones((), requires_grad=True)
    change = torch.zeros(len(prior), requires_grad=True)
    optimizer = torch.optim.Adam([share, change], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    with torch.enable_grad():
        for _ in range(_STEPS):
            optimizer.zero_grad()
            loss = labels.loss(standard @ (share * direction + change))
            (loss + factors @ change.square()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    weights = (share * direction + change).detach()
    found: NDArray[np.float64] = (weights / scale).double().numpy()
    return found


def _log_sum_exp(scores: Tensor, group_of: Tensor, groups: int) -> Tensor:
    """Compute log(sum(exp)) of each group; of none, minus infinity. Shape: (groups,)."""
    start = torch.full((groups,), -torch.inf)
    highest = start.scatter_reduce(0, group_of, scores.detach(), "amax")
    sums = torch.zeros(groups).index_add(0, group_of, (scores - highest[group_of]).exp())
    return sums.log() + highest
