"""Percentiles and sums over many model calls, and a small table of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

from specprefill_integrations.observability._prompt_saving import PromptSaving
from specprefill_integrations.observability._ttft_record import TtftRecord

_ROWS = (
    "seconds: p50 / p90 / p99",
    "time to first token",
    "  compression (all calls)",
    "  the model's first token",
    "total time",
    "calls",
    "  streamed",
    "prompt tokens",
    "  from a prompt cache",
    "prompt tokens saved",
    "  from a prompt cache",
    "  net, cached ones as a tenth",
    "answer tokens",
)

_CAUTION = "The columns show different calls: to compare, send the same calls both ways."


class Percentiles(NamedTuple):
    """The 50th, 90th and 99th percentile, each one of the measured values."""

    p50: float
    """The median."""

    p90: float
    """The 90th percentile."""

    p99: float
    """The 99th percentile; the maximum of fewer than a hundred values."""


def percentiles_of(values: Iterable[float]) -> Percentiles | None:
    """Compute nearest-rank percentiles, without interpolation.

    Args:
        values: In any order.

    Returns:
        The percentiles; None if there are no values.
    """
    ascending = sorted(values)
    if not ascending:
        return None
    # Integer percents: binary fractions could round up to the next rank.
    ranks = (math.ceil(percent * len(ascending) / 100) for percent in (50, 90, 99))
    return Percentiles(*(ascending[rank - 1] for rank in ranks))


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftSummary:
    """Statistics of some model calls."""

    calls: int
    """Number of calls."""

    streamed_calls: int
    """Calls with a streamed answer; only they have a time to first token."""

    ttft_seconds: Percentiles | None
    """Time to first token, compression included; None if nothing was streamed."""

    first_token_seconds: Percentiles | None
    """The model's share of the time to first token."""

    draft_seconds: Percentiles | None
    """Time spent on compression, over all calls."""

    total_seconds: Percentiles | None
    """From the model call to the end of its answer."""

    input_tokens: int
    """Prompt tokens of all calls, as far as providers report them."""

    cached_tokens: int
    """Prompt tokens read from a prompt cache, as far as providers report them."""

    saving: PromptSaving
    """Prompt tokens that compression saved, net of the provider's prompt cache."""

    output_tokens: int
    """Answer tokens of all calls, as far as providers report them."""

    calls_without_usage: int
    """Calls whose provider does not report prompt tokens."""

    @classmethod
    def of(cls, records: Sequence[TtftRecord]) -> TtftSummary:
        """Sum up some calls."""
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
            saving=sum((r.saving for r in records), PromptSaving()),
            output_tokens=sum(r.usage.output_tokens or 0 for r in records),
            calls_without_usage=sum(r.usage.input_tokens is None for r in records),
        )

    def as_json_object(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        found: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            found[field.name] = value._asdict() if isinstance(value, Percentiles) else value
        return {**found, "saving": asdict(self.saving)}


def report_of(compressed: TtftSummary, others: TtftSummary) -> str:
    """Return both summaries as columns of a text table; a column without calls is left out.

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
        return "no answered calls yet"
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
    """Return the cells below a column's name."""
    return [
        _seconds(summary.ttft_seconds),
        _seconds(summary.draft_seconds),
        _seconds(summary.first_token_seconds),
        _seconds(summary.total_seconds),
        f"{summary.calls:,}",
        f"{summary.streamed_calls:,}",
        _tokens(summary, summary.input_tokens),
        _tokens(summary, summary.cached_tokens),
        f"{summary.saving.fresh_tokens:,}",
        f"{summary.saving.cached_tokens:,}",
        f"{summary.saving.net_tokens:,.0f}",
        _tokens(summary, summary.output_tokens),
    ]


def _seconds(found: Percentiles | None) -> str:
    return "-" if found is None else " / ".join(f"{seconds:.3f}" for seconds in found)


def _tokens(summary: TtftSummary, tokens: int) -> str:
    """Format a sum of tokens; a dash if no provider reports any."""
    unknown = summary.calls_without_usage
    if unknown == summary.calls:
        return "-"
    return f"{tokens:,}" + (f" ({unknown:,} calls unknown)" if unknown else "")
