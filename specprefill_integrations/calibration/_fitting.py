"""Fitting of a linear readout to the units of cases with known evidence.

`PieceLoss` is minimized with an L2 penalty by Adam, from zero or from given weights. The default
penalties are higher than cross-validation on one kind of text suggests, because weights must
generalize to other kinds. Then a match of values is fitted beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from specprefill_integrations.calibration._match_fitting import fit_match
from specprefill_integrations.calibration._piece_loss import PieceLoss
from specprefill_integrations.calibration._reading import LabeledUnits
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._value_match import ValueMatch

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
    with_match: bool = False,
) -> LinearReadout:
    """Fit a readout's weights.

    Args:
        readout: The readout that the cases were read with.
        cases: Features and labels.
        penalty: Factor of the squared weights of attention, with features scaled to unit variance;
            lexical features have a small one of their own. None: 1, or 10 with a prior.
        prior: A fitted readout of the same draft: the penalty is on the difference from a multiple
            of its weights, which is free: beside other features they may count less. Heads and
            passes that it does not have count as zero. Its match stays as it is, if its layer is
            read, and the weights are fitted beside it.
        with_match: True to fit a match of values to the real cases, if the prior has none.

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
    match = _match_of(prior, readout)
    matches = np.concatenate([case.matches(match) for case in cases])  # (units,)
    found = _with_weights(readout, _fitted_weights(cases, penalties, start, matches))
    if match is None and with_match:
        match = fit_match(cases, found)
    return replace(found, match=match)


def aligned(prior: LinearReadout, readout: LinearReadout) -> LinearReadout:
    """Put a readout's weights in the order of another's features; it scores as it did before.

    Its match goes if the other one does not read its layer.

    Args:
        prior: The readout with the weights.
        readout: The other one; heads and passes that it alone has get zero.
    """
    found = _with_weights(readout, weights_of(prior, readout))
    match = _match_of(prior, readout)
    return replace(found, match=match, feedback_units=prior.feedback_units)


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


def _match_of(prior: LinearReadout | None, readout: LinearReadout) -> ValueMatch | None:
    """Return the prior's match if the readout reads its layer."""
    match = None if prior is None else prior.match
    return match if match is not None and match.layer in readout.head_layers else None


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


def _fitted_weights(
    cases: Sequence[LabeledUnits],
    penalties: NDArray[np.float64],
    prior: NDArray[np.float64],
    matches: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Fit weights for the unscaled features, beside matches of shape (units,).

    Shape: (features,).
    """
    beside = torch.from_numpy(matches).float()
    features = torch.from_numpy(np.concatenate([case.features for case in cases]))
    loss_of = PieceLoss.of(cases)
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
            loss = loss_of(standard @ (share * direction + change) + beside)
            (loss + factors @ change.square()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    weights = (share * direction + change).detach()
    found: NDArray[np.float64] = (weights / scale).double().numpy()
    return found
