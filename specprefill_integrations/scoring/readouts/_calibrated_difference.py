"""Attention under the question minus attention under a question without content.

Needs no training and no decoding. Based on in-context re-ranking (Chen et al., ICLR 2025):
subtracting attention under "N/A" over the same context removes what heads attend to whatever the
question is. If a draft's few retrieval heads are known (QRHead, arXiv:2506.09944), only these are
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations._arguments import NonNegativeInt, PositiveInt, checked
from specprefill_integrations.scoring.readouts._readout import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    SpanReadings,
    heads_by_layer,
)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedDifferenceReadout:
    """Mean attention of all question rows and all heads of middle layers, minus that for "N/A"."""

    null_question: str = "N/A"
    """The question without content."""

    heads: tuple[tuple[int, int], ...] = ()
    """(layer, head) of each head to read, counted from 0; empty for all heads of middle layers."""

    first_depth: float = 0.4
    """Layers before this share of the depth are not read: they hold little signal."""

    last_depth: float = 0.85
    """Layers from this share of the depth on are not read."""

    window_tokens: PositiveInt = 1024
    """Context tokens read at a time."""

    around_tokens: NonNegativeInt = 128
    """Tokens on both sides of a span that belong to its neighborhood."""

    around_weight: float = 1.0
    """Weight of the neighborhood's score beside the span's own."""

    @property
    def question_rows(self) -> None:
        """All rows."""
        return

    @property
    def lookahead_tokens(self) -> int:
        """No generated tokens."""
        return 0

    @property
    def scores_are_logarithms(self) -> bool:
        """False: scores are densities."""
        return False

    def layers(self, draft: DraftLayers) -> frozenset[int]:
        """Return the layers of the named heads, else middle layers that see the whole prompt.

        Layers that see only a part are read if there are no others.
        """
        if self.heads:
            return frozenset(layer for layer, _ in self.heads)
        wide = draft.attention - draft.local or draft.attention
        first, last = self.first_depth * draft.depth, self.last_depth * draft.depth
        return frozenset(layer for layer in wide if first <= layer < last) or wide

    def begin(self, layout: PromptLayout) -> CalibratedDifferenceReduction:
        """Start the reduction of a batch of prompts."""
        return CalibratedDifferenceReduction(layout, self.heads)

    def score(self, readings: SpanReadings) -> NDArray[np.float64]:
        """Add the mean scores of a span and of its neighborhood. See `Readout.score`."""
        return readings.own[:, 0] + self.around_weight * readings.around[:, 0]


class CalibratedDifferenceReduction:
    """Two running means over layers, heads and rows: for the question and for "N/A"."""

    def __init__(self, layout: PromptLayout, heads: Sequence[tuple[int, int]] = ()) -> None:
        """Start empty."""
        self._layout = layout
        self._chosen = heads_by_layer(heads, layout)  # empty for all heads
        self._sums: dict[ReadingPass, Tensor] = {}  # (batch, context)
        self._heads: dict[ReadingPass, int] = {}

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Add one layer's rows to the mean of their pass. See `Reduction.add`."""
        if self._chosen:
            weights = weights.index_select(1, self._chosen[layer])  # (batch, chosen, rows, keys)
        is_text = self._layout.is_text[:, None, :]  # (batch, 1, context)
        context = weights[..., : self._layout.context_tokens]  # (batch, heads, rows, context)
        mean = context.mean(dim=2) * is_text  # (batch, heads, context)
        # Only the distribution within the text counts, not the attention beside it. Uniform
        # attention becomes 1 whatever the length, so that windows compare.
        mass = mean.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(mean.dtype).tiny)
        density = mean / mass * is_text.sum(dim=-1, keepdim=True)  # (batch, heads, context)
        density = density.sum(dim=1)  # (batch, context)
        self._sums[source] = self._sums[source] + density if source in self._sums else density
        self._heads[source] = self._heads.get(source, 0) + weights.shape[1]

    def end_step(self, finished: Tensor) -> None:
        """Do nothing: no token is generated."""

    def features(self) -> Tensor:
        """Return the difference of the two means. See `Reduction.features`."""
        means = {source: total / self._heads[source] for source, total in self._sums.items()}
        return (means["question"] - means["null_question"])[:, :, None]  # (batch, context, 1)
