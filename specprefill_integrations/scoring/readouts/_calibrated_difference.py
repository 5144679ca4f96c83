"""What the question attends to, minus what any question would: needs no training and no decoding.

Based on in-context re-ranking (Chen et al., ICLR 2025): attention under the question minus
attention under a content-free one ("N/A") over the same context, which takes away what heads look
at whatever is asked. Where it is known which few heads retrieve (QRHead, arXiv:2506.09944), only
those are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.scoring.readouts import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    SpanReadings,
    heads_by_layer,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedDifferenceReadout:
    """Mean attention of all question rows and all heads of middle layers, minus that for "N/A"."""

    null_question: str = "N/A"
    """The question without content."""

    heads: tuple[tuple[int, int], ...] = ()
    """(layer, head) of each head that is read, counted from 0; all heads of middle layers where
    none is named."""

    first_depth: float = 0.4
    """Layers before this share of the depth are not read: they hold little of the signal."""

    last_depth: float = 0.85
    """Layers from this share on are not read."""

    window_tokens: int = 1024
    """Context tokens that are read at a time."""

    around_tokens: int = 128
    """Tokens on both sides of a span whose score counts beside its own."""

    around_weight: float = 1.0
    """How much it counts."""

    @property
    def question_rows(self) -> None:
        """All of them."""
        return

    @property
    def lookahead_tokens(self) -> int:
        """None: no decoding."""
        return 0

    @property
    def scores_are_logarithms(self) -> bool:
        """No: they are densities."""
        return False

    def layers(self, draft: DraftLayers) -> frozenset[int]:
        """Those of the named heads; else middle layers that see the whole prompt.

        Layers that do not see it only where there are no others.
        """
        if self.heads:
            return frozenset(layer for layer, _ in self.heads)
        wide = draft.attention - draft.local or draft.attention
        first, last = self.first_depth * draft.depth, self.last_depth * draft.depth
        return frozenset(layer for layer in wide if first <= layer < last) or wide

    def begin(self, layout: PromptLayout) -> CalibratedDifferenceReduction:
        """Start on a batch of prompts."""
        return CalibratedDifferenceReduction(layout, self.heads)

    def score(self, readings: SpanReadings) -> NDArray[np.float64]:
        """The mean score of a span's tokens and of those around it. See `Readout.score`."""
        return readings.own[:, 0] + self.around_weight * readings.around[:, 0]


class CalibratedDifferenceReduction:
    """Two running means over layers, heads and rows: under the question, and under none."""

    def __init__(self, layout: PromptLayout, heads: Sequence[tuple[int, int]] = ()) -> None:
        """Start with nothing read."""
        self._layout = layout
        self._chosen = heads_by_layer(heads, layout)  # none for all heads
        self._sums: dict[ReadingPass, Tensor] = {}  # (batch, context)
        self._heads: dict[ReadingPass, int] = {}

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Add one layer's rows to the mean of their pass. See `Reduction.add`."""
        if self._chosen:
            weights = weights.index_select(1, self._chosen[layer])
        is_text = self._layout.is_text[:, None, :]  # (batch, 1, context)
        mean = weights[..., : self._layout.context_tokens].mean(dim=2) * is_text
        # Only how attention is spread within the text counts, not how much falls beside it. Even
        # attention is 1 whatever the length, so that windows compare.
        mass = mean.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(mean.dtype).tiny)
        density = (mean / mass * is_text.sum(dim=-1, keepdim=True)).sum(dim=1)
        self._sums[source] = self._sums[source] + density if source in self._sums else density
        self._heads[source] = self._heads.get(source, 0) + weights.shape[1]

    def end_step(self, finished: Tensor) -> None:
        """Nothing to do: no token is generated."""

    def features(self) -> Tensor:
        """The difference of the two means. See `Reduction.features`."""
        means = {source: total / self._heads[source] for source, total in self._sums.items()}
        return (means["question"] - means["null_question"])[:, :, None]
