"""How attention becomes a score: one readout a file.

To add one: write a class with the members of `Readout` in a file of its own, test it against a
slow, obvious version of its formula, and pass it to `AttentionScorer(draft, readout)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ReadingPass = Literal["question", "lookahead", "null_question"]
"""Which forward pass rows come from: the question, a token generated after it, or a question
without content over the same context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLayers:
    """What the draft's layers see of a prompt."""

    depth: int
    """How many there are."""

    attention: frozenset[int]
    """Those of them that attend by softmax, counted from 0."""

    local: frozenset[int]
    """Those that do not see the whole prompt (sliding windows, chunks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLayout:
    """Where things stand among the keys of a batch of prompts.

    Prompts of a batch are `[padding] context question`; generated tokens follow.
    """

    context_tokens: int
    """Keys before the question, padding included."""

    prompt_tokens: int
    """Keys of the whole prompt, padding included."""

    question_words: slice
    """Which rows of the question's pass are its own words, and not what stands around them."""

    null_words: slice
    """The same of the question without content; empty where none is asked."""

    is_text: Tensor
    """Which keys before the question are tokens of the texts: neither padding nor what stands
    before or between them. Shape: (batch, context_tokens)."""


def heads_by_layer(heads: Sequence[tuple[int, int]], layout: PromptLayout) -> dict[int, Tensor]:
    """Indices of the heads that are read, layer by layer in the order of the heads.

    They are moved to the device now, so that the layer loop does not wait for it.

    Args:
        heads: (layer, head) of each.
        layout: Of the batch that they are read of.
    """
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)
    device = layout.is_text.device
    return {layer: torch.tensor(found, device=device) for layer, found in by_layer.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanReadings:
    """What was read of all spans of a call."""

    own: NDArray[np.float64]
    """Means of the features of each span's tokens. Shape: (spans, features)."""

    around: NDArray[np.float64]
    """The same of the span with `Readout.around_tokens` on both sides of it, as far as its
    document goes. Shape: (spans, features)."""

    lexical: NDArray[np.float64]
    """What share of the question's rare words stands in the span, and in it with what is around
    it. Shape: (spans, 2)."""


class Reduction(Protocol):
    """Takes rows as they come, layer by layer, and ends with some numbers a context token."""

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Take in the rows of one layer.

        Args:
            source: Which pass they come from.
            layer: Which layer, counted from 0.
            weights: Attention weights. Shape: (batch, heads, rows, keys).
        """

    def end_step(self, finished: Tensor) -> None:
        """Take note that a row of the question or of a generated token was read in all layers.

        Args:
            finished: Which prompts ended before this row, so that it means nothing for them.
                Shape: (batch,).
        """

    def features(self) -> Tensor:
        """What was read of the context's tokens. Shape: (batch, context_tokens, features)."""


class Readout(Protocol):
    """Says which rows of which layers are read, and how they become a score."""

    @property
    def question_rows(self) -> int | None:
        """How many of the question's last rows are read; None for all."""

    @property
    def lookahead_tokens(self) -> int:
        """Tokens generated greedily after the question, each giving one row."""

    @property
    def null_question(self) -> str | None:
        """A question without content, read over the same context for calibration; or None."""

    @property
    def window_tokens(self) -> int:
        """Context tokens that are read at a time, where the caller does not say."""

    @property
    def around_tokens(self) -> int:
        """Tokens on both sides of a span that say something about it."""

    @property
    def scores_are_logarithms(self) -> bool:
        """Whether exp(score) says how likely a span is what is needed.

        Else scores are densities of attention: score times tokens says how much falls on a span.
        """

    def layers(self, draft: DraftLayers) -> frozenset[int]:
        """Which layers are read; the draft may be loaded without those that come after them."""

    def begin(self, layout: PromptLayout) -> Reduction:
        """Start on a batch of prompts."""

    def score(self, readings: SpanReadings) -> NDArray[np.float64]:
        """Score spans.

        Args:
            readings: What was read of all spans of a call.

        Returns:
            One finite number a span; higher is more needed. Shape: (spans,).
        """
