"""Counters of what compression did in this process: numbers, no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from specprefill_integrations._arguments import NonNegativeFloat, NonNegativeInt, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations._telemetry import count_call
from specprefill_integrations.types import FAILURES


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsTotals:
    """The counters at one moment."""

    calls: int = 0
    """Tool results, messages, and calls with documents or nodes; skipped ones included."""

    compressed: int = 0
    """Calls in which something was compressed."""

    tokens_before: int = 0
    """Tokens of all texts before compression. Calls that are skipped before tokens are counted,
    such as those with error messages, add 0."""

    tokens_after: int = 0
    """Tokens of all texts after compression, gap markers included."""

    draft_seconds: float = 0.0
    """Wall-clock time spent on compression, waiting for the draft included."""

    skips: Mapping[str, int] = field(default_factory=dict)
    """Calls whose texts were all passed through unchanged, by skip reason; with `nothing_kept`,
    documents and nodes were left out instead."""

    language_warnings: Mapping[str, int] = field(default_factory=dict)
    """Calls with warnings about the languages of question and texts, by warning."""

    @property
    def failures(self) -> int:
        """Calls passed through unchanged because something failed, missed deadlines included."""
        return sum(count for reason, count in self.skips.items() if reason in FAILURES)

    @property
    def deadline_misses(self) -> int:
        """Calls passed through unchanged because scoring exceeded its deadline."""
        return self.skips.get("deadline_exceeded", 0)


class CompressionMetrics:
    """Adds up the work of the integrations. Thread-safe.

    A copy starts with the same totals and is independent afterwards. The exception is
    `process_metrics()`: copying or unpickling it gives that of the current process.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = ForkSafeLock()
        self._totals = MetricsTotals()

    @checked
    def record(
        self,
        *,
        tokens_before: NonNegativeInt = 0,
        tokens_after: NonNegativeInt = 0,
        draft_seconds: NonNegativeFloat = 0.0,
        skipped_because: str | None = None,
        language_warnings: Sequence[str] = (),
    ) -> None:
        """Add one call.

        Args:
            tokens_before: Tokens of its texts before compression; 0 if they were not counted.
            tokens_after: Tokens of its texts afterwards.
            draft_seconds: Seconds that compression took.
            skipped_because: The skip reason; None if it was compressed.
            language_warnings: Its language warnings.
        """
        count_call(
            original_tokens=tokens_before,
            kept_tokens=tokens_after,
            seconds=draft_seconds,
            skipped_because=skipped_because,
        )
        with self._lock:
            totals = self._totals
            skips = [] if skipped_because is None else [skipped_because]
            self._totals = MetricsTotals(
                calls=totals.calls + 1,
                compressed=totals.compressed + (skipped_because is None),
                tokens_before=totals.tokens_before + tokens_before,
                tokens_after=totals.tokens_after + tokens_after,
                draft_seconds=totals.draft_seconds + draft_seconds,
                skips=_with(totals.skips, skips),
                language_warnings=_with(totals.language_warnings, language_warnings),
            )

    def totals(self) -> MetricsTotals:
        """Return the counters as they are now."""
        return self._totals

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401 - as declared by `object`
        """Copy the totals, or name the metrics of the process."""
        if self is process_metrics():
            return process_metrics, ()
        return super().__reduce_ex__(protocol)


@cache
def process_metrics() -> CompressionMetrics:
    """Return the metrics of this process, which integrations use by default."""
    return CompressionMetrics()


def _with(counts: Mapping[str, int], keys: Sequence[str]) -> Mapping[str, int]:
    """Return a copy of some counts, with one more of each key."""
    return {**counts, **{key: counts.get(key, 0) + 1 for key in keys}}
