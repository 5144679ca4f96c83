"""How attention becomes a score: one readout a file.

To add one: write a class with the members of `Readout` in a file of its own, test it against a
slow, obvious version of its formula, and pass it to `AttentionScorer(draft, readout)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

ReadingPass = Literal["question", "lookahead", "null_question"]
"""Which forward pass rows come from: the question, a token generated after it, or a question
without content over the same context."""


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """Where things stand among the keys of a batch of prompts, padding on the left included.

    Prompts of a batch are `[padding] context question`; generated tokens follow.
    """

    context_tokens: int
    """Keys before the question, padding included."""

    prompt_tokens: int
    """Keys of the whole prompt, padding included."""

    is_padding: Tensor
    """Which keys before the question are padding. Shape: (batch, context_tokens)."""


class Reduction(Protocol):
    """Takes rows as they come, layer by layer, and ends with one number a context token."""

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Take in the rows of one layer.

        Args:
            source: Which pass they come from.
            layer: Which layer, counted from 0.
            weights: Attention weights. Shape: (batch, heads, rows, keys).
        """

    def end_step(self, finished: Tensor) -> None:
        """Take note that a look-ahead row has been read in all layers.

        Args:
            finished: Which prompts ended before this row, so that it means nothing for them.
                Shape: (batch,).
        """

    def scores(self) -> Tensor:
        """Score the context's tokens. Shape: (batch, context_tokens)."""


class Readout(Protocol):
    """Says which rows are read, and how they become a score."""

    @property
    def question_rows(self) -> int | None:
        """How many of the question's last rows are read; None for all."""

    @property
    def lookahead_tokens(self) -> int:
        """Tokens generated greedily after the question, each giving one row."""

    @property
    def null_question(self) -> str | None:
        """A question without content, read over the same context for calibration; or None."""

    def begin(self, layout: PromptLayout) -> Reduction:
        """Start on a batch of prompts."""
