"""Scores and a budget -> which units are kept. Pure: no text, no model, no tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from specprefill_integrations.types import Unit

Selector = Callable[[Sequence[Unit], int, int], frozenset[int]]
"""`(units, token_limit, gap_tokens) -> indices of the units to keep`.

Units come in source order, document by document; `gap_tokens` is what one gap marker costs.
"""


def select_best(units: Sequence[Unit], token_limit: int, gap_tokens: int) -> frozenset[int]:
    """Keep the highest scores that fit, best first; a unit that does not fit is passed over.

    A unit next to kept ones needs fewer gap markers than one that stands alone, and is charged
    accordingly. Ties go to the unit that comes first.

    Args:
        units: All units of a call in source order.
        token_limit: Tokens that the kept units and their gap markers may cost.
        gap_tokens: Tokens of one gap marker.

    Returns:
        Indices into `units`.
    """
    kept: set[int] = set()
    open_documents: set[int] = set()
    spent = 0
    for index in sorted(range(len(units)), key=lambda i: (-units[i].score, i)):
        cost = units[index].tokens + gap_tokens * _gaps_added(units, kept, open_documents, index)
        if spent + cost <= token_limit:
            spent += cost
            kept.add(index)
            open_documents.add(units[index].document)
    return frozenset(kept)


def select_fraction(units: Sequence[Unit], keep_fraction: float) -> frozenset[int]:
    """Keep the ceil(units * keep_fraction) highest scores, whatever they cost.

    All units of a call count together, as if its documents were one prompt. Based on SpecPrefill,
    arXiv:2502.02789, section 3 (chunk selection).

    Args:
        units: All units of a call in source order: chunks of equal length, as published.
        keep_fraction: Kept units / all units, in (0, 1].

    Returns:
        Indices into `units`.
    """
    # Rounded first: 0.07 * 100 is 7.000000000000001, and its ceiling would be 8.
    count = math.ceil(round(len(units) * keep_fraction, 9))
    best = sorted(range(len(units)), key=lambda i: (-units[i].score, i))
    return frozenset(best[:count])


def _gaps_added(units: Sequence[Unit], kept: set[int], open_documents: set[int], index: int) -> int:
    """How many gap markers keeping unit `index` adds: -1 where it closes a gap, 0, 1 or 2.

    A gap is a run of dropped units in a document of which something is kept.
    """
    document = units[index].document
    before = index > 0 and units[index - 1].document == document
    after = index + 1 < len(units) and units[index + 1].document == document
    gap_before = before and index - 1 not in kept
    gap_after = after and index + 1 not in kept
    was_a_gap = document in open_documents
    return gap_before + gap_after - was_a_gap
