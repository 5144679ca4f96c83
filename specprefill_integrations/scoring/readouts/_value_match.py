"""A learned match of a question with the tokens of a text, by a layer's values of both.

The value vectors of a layer are what its attention passes on from a token. Those of a text are kept
with its keys for further questions, so the match needs no further pass and keeps nothing of its
own. It finds what attention misses where question and text differ in their wording in ways that
the fitted cases have shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from specprefill_integrations._arguments import NonNegativeInt, checked
from specprefill_integrations.errors import ReadoutProfileError


@checked
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueMatch:
    """A bilinear form of low rank: projected values of a token, times those of the question.

    The question's projection has unit length, whatever the mean of its words' values.
    """

    layer: NonNegativeInt
    """The layer of the values, counted from 0."""

    token_weights: NDArray[np.float32]
    """Projection of a token's values. Shape: (values, rank)."""

    question_weights: NDArray[np.float32]
    """Projection of the question's. Shape: (values, rank)."""

    _digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the weights, and convert them to single precision.

        Raises:
            ValueError: They are no matrices of finite numbers, of the same shape, or empty.
        """
        for name in ("token_weights", "question_weights"):
            weights = np.array(getattr(self, name), dtype=np.float32, order="C")
            weights.flags.writeable = False
            object.__setattr__(self, name, weights)
            is_matrix = weights.ndim == 2 and weights.size > 0  # noqa: PLR2004
            if not is_matrix or not np.isfinite(weights).all():
                msg = f"{name} must be a matrix of finite numbers"
                raise ValueError(msg)
        if self.token_weights.shape != self.question_weights.shape:
            msg = "token_weights and question_weights must have the same shape"
            raise ValueError(msg)
        content = self.token_weights.tobytes() + self.question_weights.tobytes()
        digest = hashlib.blake2b(content, digest_size=16).digest()
        object.__setattr__(self, "_digest", digest)

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        return isinstance(other, ValueMatch) and self._key == other._key

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.layer, self.token_weights.shape, self._digest

    def scores(self, tokens: Tensor, question: Tensor) -> Tensor:
        """Match tokens, or means of tokens, with a question.

        Args:
            tokens: Their values. Shape: (..., tokens, values).
            question: Means of the question's words. Shape: (..., tokens or 1, values).

        Returns:
            Shape: (..., tokens).

        Raises:
            ReadoutProfileError: The weights are fitted to another number of values.
        """
        found, fitted = tokens.shape[-1], len(self.token_weights)
        if found != fitted:
            msg = f"The match is fitted to {fitted} values of a token, and the draft has {found}."
            raise ReadoutProfileError(msg)
        return matches(tokens, question, *_weights_on(self, tokens.device, tokens.dtype))


def matches(
    tokens: Tensor, question: Tensor, token_weights: Tensor, question_weights: Tensor
) -> Tensor:
    """Compute `ValueMatch.scores` with these weights."""
    directions = normalize(question @ question_weights, dim=-1) @ token_weights.T
    return (tokens * directions).sum(dim=-1)


def by_token(values: Tensor) -> Tensor:
    """Join the values of all heads.

    Args:
        values: As a cache keeps them. Shape: (batch, key_value_heads, tokens, dim).

    Returns:
        In single precision or better. Shape: (batch, tokens, key_value_heads * dim).
    """
    wide = torch.promote_types(values.dtype, torch.float32)
    return values.transpose(1, 2).flatten(2).to(wide)


@lru_cache(maxsize=32)
def _weights_on(
    match: ValueMatch, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Move the weights to a device once, so that no batch waits for them."""
    tokens, question = map(torch.tensor, (match.token_weights, match.question_weights))
    return tokens.to(device, dtype), question.to(device, dtype)
