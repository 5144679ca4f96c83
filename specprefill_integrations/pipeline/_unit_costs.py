"""The costs of units in tokens: counted one by one, or known from the tokens of their text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.scoring._span_scorer import EncodedText
from specprefill_integrations.types import CountTokens

# Tolerance for products of ratios.
_ROUNDING = 1e-9

# Tokens by which a unit alone may cost more than in its text.
_OFF_BY = 8


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Estimates the tokens of a caller's counter by another measure of texts."""

    measure: CountTokens
    """Measures texts, such as by their characters."""

    ratio: float
    """The caller's tokens of some texts / the measure of the same texts."""

    weights: tuple[float, ...] = ()
    """The ratio of each document alone / `ratio`; empty: all have the same."""

    def of(self, document: int) -> TokenEstimate:
        """Return the estimate for texts made of one document."""
        if not self.weights:
            return self
        return TokenEstimate(self.measure, self.ratio * self.weights[document])

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of each text."""
        return [*map(self.scaled, self.measure(texts))]

    def scaled(self, measured: int) -> int:
        """Turn a measure into tokens, rounded up."""
        return math.ceil(measured * self.ratio - _ROUNDING)


def count_characters(texts: Sequence[str]) -> list[int]:
    """Measure each text by its characters."""
    return [*map(len, texts)]


def unit_costs(
    document: SplitDocument,
    *,
    encoded: EncodedText | None,
    limit: int,
    count_tokens: CountTokens,
    scaled: Callable[[int], int] = int,
) -> list[int]:
    """Return the tokens of each unit of a document.

    In an encoded text they are those that overlap the unit, unless it comes close to the limit:
    then it matters what it costs alone.

    Args:
        document: The document.
        encoded: Its text with its tokens, if known.
        limit: Tokens that may be kept.
        count_tokens: Counts the tokens of texts.
        scaled: Turns tokens of the encoded text into those that `count_tokens` counts.
    """
    parts = document.found.parts
    if encoded is None:
        return count_tokens(parts)
    costs = [*map(scaled, encoded.costs(document.units))]
    close = [index for index, cost in enumerate(costs) if cost > limit - _OFF_BY]
    for index, counted in zip(close, count_tokens([parts[i] for i in close]), strict=True):
        costs[index] = counted
    return costs
