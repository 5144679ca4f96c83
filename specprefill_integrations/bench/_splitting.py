"""Cost of splitting a text into units, by kind, relative to scoring it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, checked
from specprefill_integrations.bench._sample_texts import SAMPLED_KINDS, sample_text
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.types import Kind

CHARS_PER_TOKEN = 3.3
"""Average over English and code, with the tokenizers of current drafts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplittingResult:
    """Cost of splitting one text."""

    kind: Kind
    """Kind of the text."""

    chars: int
    """Length of the text in characters."""

    units: int
    """Number of units."""

    split_seconds: float
    """Median processor time of splitting and linking."""

    score_seconds: float
    """Time to score the text at the given speed."""

    share_of_scoring: float
    """`split_seconds` / `score_seconds`."""


@checked
def measure_splitting(
    *,
    tokens_per_second: PositiveFloat,
    chars: PositiveInt = 1_000_000,
    repeats: PositiveInt = 3,
    kinds: Sequence[Kind] | None = None,
    seed: int = 0,
) -> list[SplittingResult]:
    """Time the splitter of each kind on a text of that kind.

    Args:
        tokens_per_second: Scoring speed of a draft.
        chars: Characters of each text.
        repeats: Runs; medians are reported.
        kinds: Kinds to measure; None for all.
        seed: Random seed of the texts.
    """
    return [
        _measured(kind, sample_text(kind, chars, seed), tokens_per_second, repeats)
        for kind in kinds or SAMPLED_KINDS
    ]


def _measured(kind: Kind, text: str, tokens_per_second: float, repeats: int) -> SplittingResult:
    times, units = [], 0
    for _ in range(repeats):
        # A copy, because splitters cache by text.
        copy = "".join([text[:1], text[1:]])
        started = time.process_time()
        units = _split(kind, copy)
        times.append(time.process_time() - started)
    split_seconds = statistics.median(times)
    score_seconds = len(text) / CHARS_PER_TOKEN / tokens_per_second
    return SplittingResult(
        kind=kind,
        chars=len(text),
        units=units,
        split_seconds=split_seconds,
        score_seconds=score_seconds,
        share_of_scoring=split_seconds / score_seconds,
    )


def _split(kind: Kind, text: str) -> int:
    """Split and link a text as a compressor does; return the number of units."""
    splitter = SplitByKind().splitter(text, kind)
    if splitter is None:
        return 1
    found = splitter.split(text)
    splitter.links(text, found.units, found.parsed)
    return len(found.units)
