"""The loss of scores of units, for cases with pieces of evidence.

The loss of a piece is minus the logarithm of the probability that a softmax over its units and
those of no piece gives to its units: pieces do not compete with each other. It is a mean over the
pieces of a case, over the cases of a kind, and over kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from specprefill_integrations.calibration._reading import LabeledUnits


@dataclass(frozen=True, slots=True)
class PieceLoss:
    """Labels of the units of all cases, counted from 0, and the loss of scores."""

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
    def of(cls, cases: Sequence[LabeledUnits]) -> PieceLoss:
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

    def __call__(self, scores: Tensor) -> Tensor:
        """Compute the loss of scores. Shape: scores (units,), loss ()."""
        own = _log_sum_exp(scores[self.units], self.piece_of, len(self.case_of))  # (pieces,)
        others = _log_sum_exp(scores[self.other_units], self.case_of_other, self.cases)  # (cases,)
        # log((own + others) / own) of the masses
        return (self.weights * softplus(others[self.case_of] - own)).sum()


def _joined(parts: Sequence[NDArray[np.int64]], firsts: NDArray[np.int64]) -> Tensor:
    """Turn numbers within each case into numbers within all."""
    shifted = [part + first for part, first in zip(parts, firsts, strict=True)]
    return torch.from_numpy(np.concatenate(shifted))


def _log_sum_exp(scores: Tensor, group_of: Tensor, groups: int) -> Tensor:
    """Compute log(sum(exp)) of each group; of none, minus infinity. Shape: (groups,)."""
    start = torch.full((groups,), -torch.inf)
    highest = start.scatter_reduce(0, group_of, scores.detach(), "amax")
    sums = torch.zeros(groups).index_add(0, group_of, (scores - highest[group_of]).exp())
    return sums.log() + highest
