"""What cutting a text into units costs, kind by kind, against what scoring it costs.

Knows no draft: how fast one scores is told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations.bench._sample_texts import SAMPLED_KINDS, sample_text
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.types import Kind

CHARS_PER_TOKEN = 3.3
"""Of English and code together, by the tokenizers of current drafts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplittingResult:
    """What cutting one text cost."""

    kind: Kind
    """What it was cut as."""

    chars: int
    """Its length."""

    units: int
    """How many units it was cut into."""

    split_seconds: float
    """Finding the units and what each needs: processor time, the median of several runs."""

    score_seconds: float
    """Scoring it at the speed that was told."""

    share_of_scoring: float
    """split_seconds / score_seconds."""


def measure_splitting(
    *,
    tokens_per_second: float,
    chars: int = 1_000_000,
    repeats: int = 3,
    kinds: Sequence[Kind] | None = None,
    seed: int = 0,
) -> list[SplittingResult]:
    """Time the splitter of each kind on a text of that kind.

    Args:
        tokens_per_second: How fast a draft scores.
        chars: Characters of each text.
        repeats: Runs of each; medians are reported.
        kinds: What to measure; all kinds by default.
        seed: Chooses the texts.

    Raises:
        ValueError: `tokens_per_second`, `chars` or `repeats` is not positive.
    """
    if min(tokens_per_second, chars, repeats) <= 0:
        msg = (
            "tokens_per_second, chars and repeats must be positive; "
            f"got {tokens_per_second!r}, {chars!r} and {repeats!r}."
        )
        raise ValueError(msg)
    return [
        _measured(kind, sample_text(kind, chars, seed), tokens_per_second, repeats)
        for kind in kinds or SAMPLED_KINDS
    ]


def _measured(kind: Kind, text: str, tokens_per_second: float, repeats: int) -> SplittingResult:
    times, units = [], 0
    for _ in range(repeats):
        # A copy, and a new splitter: nothing is remembered from the run before.
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
    """Cut and link a text as a compressor does; how many units it has."""
    splitter = SplitByKind().splitter(text, kind)
    if splitter is None:
        return 1
    found = splitter.split(text)
    splitter.links(text, found.units, found.parsed)
    return len(found.units)
