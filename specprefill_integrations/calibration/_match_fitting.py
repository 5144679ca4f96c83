"""Fitting of a match of values, beside scores that are fitted already.

The loss is that of `fit`. So many weights fit a few hundred cases by heart: a part of the values,
drawn anew for each case, is left out at each step, there are few passes over the cases, and of
what is found only a share counts (docs/how-it-works.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.calibration._piece_loss import PieceLoss
from specprefill_integrations.calibration._reading import LabeledUnits, UnitValues
from specprefill_integrations.scoring.readouts._value_match import ValueMatch, matches

_RANK = 64
_PASSES = 4
_BATCH_CASES = 8
_LEARNING_RATE = 3e-3
_FACTOR_RATE = 7.5e-3
_WEIGHT_DECAY = 0.01
_LEFT_OUT = 0.2
_FIRST_SHARE = 0.8

# Of the match that fits best to the cases. All of it costs kinds that it has not seen more than it
# gives those that it has.
_SHARE = 0.6

# With half as many of known kinds the gain is small.
_FEWEST_CASES = 100


@dataclass(frozen=True, slots=True)
class _Example:
    """A case with the scores that it has without a match."""

    case: LabeledUnits
    """The case."""

    values: UnitValues
    """Its values, scaled."""

    scores: Tensor
    """The scores. Shape: (units,)."""


def fit_match(
    cases: Sequence[LabeledUnits], scores: Sequence[NDArray[np.float64]], layer: int
) -> ValueMatch | None:
    """Fit a match to the real cases; the same at every call.

    Args:
        cases: The cases.
        scores: Their scores without a match, at the first look. Shape of each: (units,).
        layer: The layer of their values.

    Returns:
        The match; None if fewer than 100 cases are real and have values.
    """
    chosen = [
        (case, case.values, own)
        for case, own in zip(cases, scores, strict=True)
        if case.is_real and case.values is not None
    ]
    if len(chosen) < _FEWEST_CASES:
        return None
    tokens = torch.cat([values.tokens for _, values, _ in chosen])  # (units, values)
    scale = tokens.std(dim=0).clamp_min(1e-6)  # (values,)
    examples = [
        _Example(case, values.divided_by(scale), torch.from_numpy(own).float())
        for case, values, own in chosen
    ]
    token_weights, question_weights, factor = _fitted(examples, len(scale))
    return ValueMatch(
        layer=layer,
        token_weights=(_SHARE * factor * token_weights / scale[:, None]).numpy(),
        question_weights=(question_weights / scale[:, None]).numpy(),
    )


def _fitted(examples: Sequence[_Example], values: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fit both projections, of shape (values, rank), and the factor of the match."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(values, _RANK, generator=generator) / values**0.5
    token_weights = start.clone().requires_grad_()
    question_weights = start.clone().requires_grad_()
    factor = torch.tensor(_FIRST_SHARE / _RANK**0.5, requires_grad=True)
    optimizer = torch.optim.AdamW(
        [
            {"params": [token_weights, question_weights], "weight_decay": _WEIGHT_DECAY},
            {"params": [factor], "weight_decay": 0.0, "lr": _FACTOR_RATE},
        ],
        lr=_LEARNING_RATE,
    )
    batches = -(-len(examples) // _BATCH_CASES)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _PASSES * batches)
    with torch.enable_grad():
        for _ in range(_PASSES):
            order = torch.randperm(len(examples), generator=generator)
            for some in torch.split(order, _BATCH_CASES):
                batch = [examples[number] for number in some.tolist()]
                drawn = torch.rand(len(batch), values, generator=generator)
                kept = (drawn > _LEFT_OUT) / (1 - _LEFT_OUT)  # (batch, values)
                optimizer.zero_grad()
                _loss(batch, kept, token_weights, question_weights, factor).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return token_weights.detach(), question_weights.detach(), factor.detach()


def _loss(
    batch: Sequence[_Example],
    kept: Tensor,
    token_weights: Tensor,
    question_weights: Tensor,
    factor: Tensor,
) -> Tensor:
    """Compute the loss of some cases. Shape of `kept`: (batch, values)."""
    found = [
        matches(one.values.tokens * own, one.values.question * own, token_weights, question_weights)
        for one, own in zip(batch, kept, strict=True)
    ]
    scores = torch.cat([one.scores for one in batch]) + factor * torch.cat(found)  # (units,)
    return PieceLoss.of([one.case for one in batch])(scores)
