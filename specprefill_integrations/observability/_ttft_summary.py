"""Many calls in a few numbers: percentiles, sums, and a small table. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from specprefill_integrations.observability._ttft_record import TtftRecord

_ROWS = (
    "seconds: p50 / p90 / p99",
    "time to first token",
    "  compressing (any call)",
    "  the model's first token",
    "to the end of the answer",
    "calls",
    "  streamed",
    "prompt tokens",
    "  from a prompt cache",
    "answer tokens",
)

_CAUTION = "The two columns are of different calls: send the same ones both ways to compare."


class Percentiles(NamedTuple):
    """How long it takes for half, for nine in ten, and for all but one in a hundred."""

    p50: float
    """Half take no longer."""

    p90: float
    """Nine in ten take no longer."""

    p99: float
    """All but one in a hundred take no longer; of fewer than a hundred, the longest."""


def percentiles_of(values: Iterable[float]) -> Percentiles | None:
    """The nearest-rank percentiles: each is one of the values, none is made up between two.

    Args:
        values: In any order.

    Returns:
        None where there is no value.
    """
    ascending = sorted(values)
    if not ascending:
        return None
    # Percents as whole numbers: binary fractions of them may round to the next rank.
    ranks = (math.ceil(percent * len(ascending) / 100) for percent in (50, 90, 99))
    return Percentiles(*(ascending[rank - 1] for rank in ranks))


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftSummary:
    """What became of some calls."""

    calls: int
    """How many there were."""

    streamed_calls: int
    """Those whose answer came in pieces: only they have a time to first token."""

    ttft_seconds: Percentiles | None
    """Compressing, then the model's first token; None where nothing was streamed."""

    first_token_seconds: Percentiles | None
    """The model's part of it."""

    draft_seconds: Percentiles | None
    """Compression's part of it, of all calls."""

    total_seconds: Percentiles | None
    """From the model's call to the end of its answer."""

    input_tokens: int
    """All prompts together, as far as providers say."""

    cached_tokens: int
    """Those of them that came from a prompt cache, as far as providers say."""

    output_tokens: int
    """All answers together, as far as providers say."""

    calls_without_usage: int
    """Calls whose provider does not say how long the prompt was."""

    @classmethod
    def of(cls, records: Sequence[TtftRecord]) -> TtftSummary:
        """Sum up these calls."""
        ttft = [seconds for r in records if (seconds := r.ttft_seconds) is not None]
        first = [seconds for r in records if (seconds := r.first_token_seconds) is not None]
        return cls(
            calls=len(records),
            streamed_calls=len(first),
            ttft_seconds=percentiles_of(ttft),
            first_token_seconds=percentiles_of(first),
            draft_seconds=percentiles_of(r.draft_seconds for r in records),
            total_seconds=percentiles_of(r.total_seconds for r in records),
            input_tokens=sum(r.usage.input_tokens or 0 for r in records),
            cached_tokens=sum(r.usage.cached_tokens or 0 for r in records),
            output_tokens=sum(r.usage.output_tokens or 0 for r in records),
            calls_without_usage=sum(r.usage.input_tokens is None for r in records),
        )

    def as_json_object(self) -> dict[str, object]:
        """Everything as plain values for JSON."""
        found: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            found[field.name] = value._asdict() if isinstance(value, Percentiles) else value
        return found


def report_of(compressed: TtftSummary, others: TtftSummary) -> str:
    """Both in columns, for people; without what did not happen.

    Args:
        compressed: Calls in which compression took part.
        others: The other calls.
    """
    columns = [
        [name, *_column(summary)]
        for name, summary in (("with compression", compressed), ("without", others))
        if summary.calls
    ]
    if not columns:
        return "no call was answered yet"
    rows = list(zip(_ROWS, *columns, strict=True))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    if len(columns) > 1:
        lines.append(_CAUTION)
    return "\n".join(lines)


def _column(summary: TtftSummary) -> list[str]:
    """The cells below a column's name."""
    return [
        _seconds(summary.ttft_seconds),
        _seconds(summary.draft_seconds),
        _seconds(summary.first_token_seconds),
        _seconds(summary.total_seconds),
        f"{summary.calls:,}",
        f"{summary.streamed_calls:,}",
        _tokens(summary, summary.input_tokens),
        _tokens(summary, summary.cached_tokens),
        _tokens(summary, summary.output_tokens),
    ]


def _seconds(found: Percentiles | None) -> str:
    return "-" if found is None else " / ".join(f"{seconds:.3f}" for seconds in found)


def _tokens(summary: TtftSummary, tokens: int) -> str:
    """A sum over calls, unless no provider told anything."""
    unknown = summary.calls_without_usage
    if unknown == summary.calls:
        return "-"
    return f"{tokens:,}" + (f" ({unknown:,} calls unknown)" if unknown else "")
