"""Speculative prefill as published: the baseline for every other readout.

Based on SpecPrefill (Liu, Chen, Zhang; arXiv:2502.02789), section 3:
`s_i = mean_n max_{l,h} AvgPool13(softmax_{j<=M}(q_n . k_j / sqrt(d)))_i`
for N = 8 rows n (the last prompt token and the first N - 1 generated ones) and M prompt tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.scoring.readouts._readout import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    SpanReadings,
)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedReadout:
    """The published aggregation: pool over positions, maximum over heads, mean over rows."""

    rows: PositiveInt = 8
    """N: the last prompt token and N - 1 generated ones."""

    pool_kernel: PositiveInt = 13
    """Positions of the average pooling; odd, stride 1, zeros beyond the ends counted."""

    @property
    def window_tokens(self) -> int:
        """As much of the prompt as possible, since the paper reads it whole."""
        return 8192

    @property
    def around_tokens(self) -> int:
        """No neighborhood: a chunk counts alone."""
        return 0

    @property
    def question_rows(self) -> int:
        """The row of the last prompt token."""
        return 1

    @property
    def lookahead_tokens(self) -> int:
        """All rows but the first."""
        return self.rows - 1

    @property
    def null_question(self) -> None:
        """No calibration."""
        return

    @property
    def scores_are_logarithms(self) -> bool:
        """False: scores are shares of attention."""
        return False

    def layers(self, draft: DraftLayers) -> frozenset[int]:
        """Return all layers."""
        return draft.attention

    def score(self, readings: SpanReadings) -> NDArray[np.float64]:
        """Return the mean score of a chunk's tokens. See `Readout.score`."""
        return readings.own[:, 0]

    def begin(self, layout: PromptLayout) -> PublishedReduction:
        """Start the reduction of a batch of prompts."""
        return PublishedReduction(layout, self.pool_kernel)


class PublishedReduction:
    """Streams the formula: a running maximum over layers, then a running sum over rows."""

    def __init__(self, layout: PromptLayout, pool_kernel: int) -> None:
        """Start empty."""
        self._layout = layout
        self._kernel = pool_kernel
        self._highest: Tensor | None = None  # of the current row; (batch, prompt_tokens)
        self._sum: Tensor | None = None  # over rows; (batch, prompt_tokens)
        self._rows_read: Tensor | None = None  # (batch, 1)

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Pool one row of one layer and keep the maximum. See `Reduction.add`."""
        del source, layer
        prompt = weights[:, :, -1, : self._layout.prompt_tokens]  # (batch, heads, prompt_tokens)
        # The softmax is over the prompt's keys alone: generated keys and sinks are divided out.
        prompt = prompt / prompt.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(prompt.dtype).tiny)
        pooled = functional.avg_pool1d(  # (batch, heads, prompt_tokens)
            prompt, self._kernel, stride=1, padding=self._kernel // 2, count_include_pad=True
        )
        highest = pooled.amax(dim=1)  # (batch, prompt_tokens)
        self._highest = highest if self._highest is None else self._highest.maximum(highest)

    def end_step(self, finished: Tensor) -> None:
        """Add the row to the mean. See `Reduction.end_step`."""
        assert self._highest is not None, "a step ends after at least one layer was read"
        counts = (~finished)[:, None].to(self._highest.dtype)  # (batch, 1)
        row = self._highest * counts  # (batch, prompt_tokens)
        self._sum = row if self._sum is None else self._sum + row
        self._rows_read = counts if self._rows_read is None else self._rows_read + counts
        self._highest = None

    def prompt_scores(self) -> Tensor:
        """Return `s_i` of every prompt token. Shape: (batch, prompt_tokens)."""
        assert self._sum is not None, "scores need at least one row"
        assert self._rows_read is not None, "rows are counted with the sum"
        return self._sum / self._rows_read

    def features(self) -> Tensor:
        """Return `s_i` of the context's tokens. See `Reduction.features`."""
        return self.prompt_scores()[:, : self._layout.context_tokens, None]  # (batch, context, 1)
