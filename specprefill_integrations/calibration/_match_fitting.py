"""Fitting of a match of values, beside scores that are fitted already.

The loss is `PieceLoss`. So many weights can learn a few hundred cases by heart. Against that, some
values are dropped, others for each case and step; there are few passes over the cases; and of what
is found only a share counts (docs/how-it-works.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specprefill_integrations.calibration._piece_loss import PieceLoss
from specprefill_integrations.calibration._reading import LabeledUnits, UnitValues
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._value_match import ValueMatch, matches

_RANK = 64
_PASSES = 4
_BATCH_CASES = 8
_LEARNING_RATE = 3e-3
_FACTOR_RATE = 7.5e-3
_WEIGHT_DECAY = 0.01
_DROPOUT = 0.2
_FIRST_FACTOR = 0.1

# Of the match that fits best to the cases. With twice as much, single kinds that are like none of
# these lose more, and the others find hardly more at 20 and 30 % (docs/how-it-works.md).
_SHARE = 0.3

# The gain is measured with 444. From 24,000 weights and much fewer cases, none is to be expected.
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


def may_fit_match(cases: Sequence[LabeledUnits]) -> bool:
    """Return True if there are enough real cases with values."""
    return len(_real(cases)) >= _FEWEST_CASES


def fit_match(cases: Sequence[LabeledUnits], readout: LinearReadout) -> ValueMatch:
    """Fit a match to the real cases; the same at every call.

    Args:
        cases: The cases; at least one is real and has values.
        readout: The readout that is fitted to them, without a match.
    """
    chosen = _real(cases)
    tokens = torch.cat([values.tokens for _, values in chosen])  # (units, values)
    scale, size = tokens.std(dim=0), tokens.square().mean(dim=0).sqrt()  # (values,) each
    # A value that hardly varies would become a large one.
    scale = torch.where(scale < 0.1 * size, size, scale)
    scale = scale.clamp_min(max(1e-3 * float(scale.max()), 1e-6))
    examples = [
        _Example(
            case,
            values.divided_by(scale),
            torch.from_numpy(case.features @ readout.weights).float(),
        )
        for case, values in chosen
    ]
    token_weights, question_weights, factor = _fitted(examples, len(scale))
    question_weights /= scale[:, None]
    return ValueMatch(
        layer=chosen[0][1].layer,
        token_weights=(_SHARE * factor * token_weights / scale[:, None]).numpy(),
        question_weights=(question_weights / question_weights.abs().max()).numpy(),
    )


def _real(cases: Sequence[LabeledUnits]) -> list[tuple[LabeledUnits, UnitValues]]:
    """Return the real cases with values, and these."""
    return [(one, one.values) for one in cases if one.is_real and one.values is not None]


def _fitted(examples: Sequence[_Example], values: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fit both projections, of shape (values, rank), and the factor of the match."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(values, _RANK, generator=generator) / values**0.5
    token_weights = start.clone().requires_grad_()
    question_weights = start.clone().requires_grad_()
    factor = torch.tensor(_FIRST_FACTOR, requires_grad=True)
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
                kept = (drawn > _DROPOUT) / (1 - _DROPOUT)  # (batch, values)
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
