"""What the question attends to, minus what any question would: needs no training and no decoding.

Based on in-context re-ranking (Chen et al., ICLR 2025): attention under the question minus
attention under a content-free one ("N/A") over the same context, which takes away what heads look
at whatever is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from specprefill_integrations.scoring.readouts import PromptLayout, ReadingPass


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedDifferenceReadout:
    """Mean attention of all question rows, heads and layers, minus the same for "N/A"."""

    null_question: str | None = "N/A"
    """The question without content."""

    question_rows: int | None = None
    """How many of the question's last rows are read; None for all."""

    @property
    def lookahead_tokens(self) -> int:
        """None: no decoding."""
        return 0

    def begin(self, layout: PromptLayout) -> CalibratedDifferenceReduction:
        """Start on a batch of prompts."""
        return CalibratedDifferenceReduction(layout)


class CalibratedDifferenceReduction:
    """Two running means over layers, heads and rows: under the question, and under none."""

    def __init__(self, layout: PromptLayout) -> None:
        """Start with nothing read."""
        self._layout = layout
        self._sums: dict[ReadingPass, Tensor] = {}

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Add one layer's rows to the mean of their pass. See `Reduction.add`."""
        del layer
        context = weights[..., : self._layout.context_tokens].mean(dim=2)
        # Only how attention is spread within the context counts, not how much of it falls there.
        context = context / context.sum(dim=-1, keepdim=True).clamp_min(
            torch.finfo(context.dtype).tiny
        )
        summed = context.sum(dim=1)
        self._sums[source] = self._sums[source] + summed if source in self._sums else summed

    def end_step(self, finished: Tensor) -> None:
        """Nothing to do: no token is generated."""

    def scores(self) -> Tensor:
        """Density of attention, so that windows of any length compare. See `Reduction.scores`."""
        difference = self._sums["question"]
        if "null_question" in self._sums:
            difference = difference - self._sums["null_question"]
        tokens = (~self._layout.is_padding).sum(dim=1, keepdim=True)
        return difference * tokens
