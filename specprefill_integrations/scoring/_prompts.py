"""Prompts, and what a device needs to read a batch of them.

Knows token ids, neither texts nor a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.scoring._transfers import padded, send


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """The tokens after the context."""

    ids: Sequence[int]
    """Token ids."""

    words: slice
    """The question's own words among them."""


def _no_ranges() -> NDArray[np.int64]:
    return np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A context and a question about it."""

    context: Sequence[int]
    """Token ids of the context."""

    is_text: Sequence[bool]
    """True for tokens of the texts, False for those before and between them."""

    question: QuestionTokens
    """The tokens after the context."""

    longest_tokens: int
    """Tokens of the longest prompt of the same request. All of them are read in the layers that
    suit this one, so that their scores compare."""

    ranges: NDArray[np.int64] = field(default_factory=_no_ranges)
    """First tokens of ranges in the context, and one past their last. Shape: (ranges, 2)."""


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """A batch of prompts on a device."""

    context_ids: Tensor
    """Token ids, padded on the right. Shape: (batch, context)."""

    context_lengths: Tensor
    """Tokens of each context. Shape: (batch,)."""

    is_text: Tensor
    """True for tokens of the texts, padded on the left. Shape: (batch, context)."""

    question_ids: Tensor
    """Token ids, padded on the right, where no earlier token sees it. Shape: (batch, question)."""

    null_question_ids: Tensor
    """Token ids of the question without content. Shape: (ids,)."""

    end_ids: Tensor
    """End-of-sequence token ids. Shape: (ids,)."""

    range_edges: Tensor
    """Begin and end of the ranges of all prompts, among the running sums over contexts that are
    padded on the left, each with a zero before its first. Shape: (2, ranges)."""

    @classmethod
    def of(
        cls,
        prompts: Sequence[Prompt],
        null_question: Sequence[int],
        end_ids: Sequence[int],
        device: torch.device,
    ) -> PromptInputs:
        """Copy prompts to a device.

        Args:
            prompts: The prompts.
            null_question: Token ids of the question without content; empty if there is none.
            end_ids: End-of-sequence token ids.
            device: The device.
        """
        lengths = np.array([len(prompt.context) for prompt in prompts])
        starts = np.arange(len(prompts)) * (lengths.max() + 1) + lengths.max() - lengths
        edges = [
            prompt.ranges.T + start for prompt, start in zip(prompts, starts.tolist(), strict=True)
        ]
        is_text = padded([prompt.is_text for prompt in prompts], on_the_left=True)
        arrays = [
            padded([prompt.context for prompt in prompts]),
            lengths,
            is_text,
            padded([prompt.question.ids for prompt in prompts]),
            np.array(null_question, dtype=np.int64),
            np.array(end_ids, dtype=np.int64),
            np.concatenate(edges, axis=1),
        ]
        ids, sizes, text, *others = send(arrays, device)
        return cls(ids, sizes, text.bool(), *others)
