"""The costs of units in tokens: counted one by one, or known from the tokens of their text."""

from __future__ import annotations

from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.scoring._span_scorer import EncodedText
from specprefill_integrations.types import CountTokens

# Tokens by which a unit alone may cost more than in its text.
_OFF_BY = 8


def unit_costs(
    document: SplitDocument,
    *,
    encoded: EncodedText | None,
    limit: int,
    count_tokens: CountTokens,
) -> list[int]:
    """Return the tokens of each unit of a document.

    In an encoded text they are those that overlap the unit, unless it comes close to the limit:
    then it matters what it costs alone.

    Args:
        document: The document.
        encoded: Its text with its tokens, if known.
        limit: Tokens that may be kept.
        count_tokens: Counts the tokens of texts.
    """
    parts = document.found.parts
    if encoded is None:
        return count_tokens(parts)
    costs = encoded.costs(document.units)
    close = [index for index, cost in enumerate(costs) if cost > limit - _OFF_BY]
    for index, counted in zip(close, count_tokens([parts[i] for i in close]), strict=True):
        costs[index] = counted
    return costs
