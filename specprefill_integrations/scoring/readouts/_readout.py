"""The interface between reading attention and scoring spans, and the values that cross it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.scoring._lexical import LexicalMatcher

ReadingPass = Literal["question", "lookahead", "null_question"]
"""A forward pass over the context's keys: the question, a token generated after it, or a question
without content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLayers:
    """A draft's layers and what they see of a prompt."""

    depth: int
    """Number of layers."""

    attention: frozenset[int]
    """Layers that attend by softmax, counted from 0."""

    local: frozenset[int]
    """Layers that do not see the whole prompt (sliding windows, chunks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLayout:
    """Positions in a batch of prompts.

    Each prompt is `[padding] context question`; generated tokens follow.
    """

    context_tokens: int
    """Keys before the question, padding included."""

    prompt_tokens: int
    """Keys of the whole prompt, padding included."""

    question_words: slice
    """Rows of the question's pass that are its own words, without the text around them."""

    null_words: slice
    """The same for the question without content; empty if there is none."""

    is_text: Tensor
    """True for keys before the question that are tokens of the texts, neither padding nor tokens
    before or between texts. Shape: (batch, context_tokens)."""

    def context_and_words(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of the context's tokens, and those of the question's own words.

        Args:
            numbers: Of each token of context and question. Shape: (batch, tokens, numbers).

        Returns:
            Shapes: (batch, context_tokens, numbers), (batch, words, numbers).
        """
        start, words = self.context_tokens, self.question_words
        return numbers[:, :start], numbers[:, start + words.start : start + words.stop]


def heads_by_layer(heads: Sequence[tuple[int, int]], layout: PromptLayout) -> Mapping[int, Tensor]:
    """Return the indices of the heads to read, by layer in the order of the heads.

    They are moved to the device once, so that no batch and no layer waits for it.

    Args:
        heads: (layer, head) of each head.
        layout: The batch's layout.

    Returns:
        Shape of each: (heads of the layer,).
    """
    return _heads_on(layout.is_text.device, tuple(heads))


@lru_cache(maxsize=32)
def _heads_on(device: torch.device, heads: tuple[tuple[int, int], ...]) -> Mapping[int, Tensor]:
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)
    return {layer: torch.tensor(found, device=device) for layer, found in by_layer.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanReadings:
    """The values read of all spans of a call."""

    own: NDArray[np.float64]
    """Means of the features of each span's tokens. Shape: (spans, features)."""

    around: NDArray[np.float64]
    """The same for the span widened by `Readout.around_tokens` on both sides, within its document.
    Shape: (spans, features)."""

    matcher: LexicalMatcher
    """Matches the spans with the question's words."""


class Reduction(Protocol):
    """Reduces rows of attention, layer by layer, to a few features per context token."""

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Add the rows of one layer.

        Args:
            source: The pass.
            layer: The layer, counted from 0.
            weights: Attention weights. Shape: (batch, heads, rows, keys).
        """

    def end_step(self, finished: Tensor) -> None:
        """Note that the question, or a generated token, was read in all layers.

        Args:
            finished: True for prompts that had ended before this row, which is to be ignored for
                them. Shape: (batch,).
        """

    def features(self) -> Tensor:
        """Return the features of the context's tokens. Shape: (batch, context_tokens, features)."""


@runtime_checkable
class ValueReduction(Reduction, Protocol):
    """A reduction that is also given the values of one layer."""

    value_layer: int | None
    """The layer, one of those that are read; None for no values."""

    def add_values(self, values: Tensor) -> None:
        """Add the values, once the question was read.

        Args:
            values: Of context and question. Shape: (batch, key_value_heads, tokens, dim).
        """


@runtime_checkable
class Readout(Protocol):
    """Chooses the rows and layers of attention to read and turns them into scores."""

    @property
    def question_rows(self) -> int | None:
        """Number of the question's last rows to read; None for all."""

    @property
    def lookahead_tokens(self) -> int:
        """Number of tokens generated greedily after the question, each giving one row."""

    @property
    def null_question(self) -> str | None:
        """A question without content, read over the same context for calibration; or None."""

    @property
    def window_tokens(self) -> int:
        """Context tokens read at a time, unless the caller chooses."""

    @property
    def around_tokens(self) -> int:
        """Tokens on both sides of a span that belong to its neighborhood."""

    @property
    def scores_are_logarithms(self) -> bool:
        """True if exp(score) says how likely a span is needed.

        Otherwise scores are densities of attention: score times tokens is a span's share.
        """

    def layers(self, draft: DraftLayers) -> frozenset[int]:
        """Return the layers to read; later layers of the draft need not be loaded."""

    def begin(self, layout: PromptLayout) -> Reduction:
        """Start the reduction of a batch of prompts."""

    def score(self, readings: SpanReadings) -> NDArray[np.float64]:
        """Score spans.

        Args:
            readings: The readings of all spans of a call.

        Returns:
            One finite number per span; higher is more needed. Shape: (spans,).
        """
