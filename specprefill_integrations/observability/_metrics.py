"""What compression did in this process, in numbers. Pure: no text gets in, nothing leaves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from specprefill_integrations._fork_safe_lock import ForkSafeLock


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsTotals:
    """What a metrics held at one moment."""

    calls: int = 0
    """Tool results, messages or texts that a door was to compress, those left whole included."""

    compressed: int = 0
    """Those of them that came back compressed."""

    tokens_before: int = 0
    """Their tokens before; of what is left whole at sight, such as errors, they are not counted."""

    tokens_after: int = 0
    """Their tokens after, gap markers included."""

    draft_seconds: float = 0.0
    """Wall-clock time spent on compressing, the draft's reading and its queue included."""

    skips: Mapping[str, int] = field(default_factory=dict)
    """How many were left whole, by reason."""

    @property
    def deadline_misses(self) -> int:
        """How many were left whole because the draft took too long."""
        return self.skips.get("deadline_exceeded", 0)


class CompressionMetrics:
    """Adds up what the doors did; safe to use from many threads."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = ForkSafeLock()
        self._totals = MetricsTotals()
        self._skips: Counter[str] = Counter()

    def record(
        self,
        *,
        tokens_before: int = 0,
        tokens_after: int = 0,
        draft_seconds: float = 0.0,
        skipped_because: str | None = None,
    ) -> None:
        """Add one tool result, message or text.

        Args:
            tokens_before: Its tokens; 0 where they were not counted.
            tokens_after: The tokens of what is left of it.
            draft_seconds: How long that took.
            skipped_because: Why it was left whole; None where it was compressed.
        """
        with self._lock:
            totals = self._totals
            if skipped_because is not None:
                self._skips[skipped_because] += 1
            self._totals = MetricsTotals(
                calls=totals.calls + 1,
                compressed=totals.compressed + (skipped_because is None),
                tokens_before=totals.tokens_before + tokens_before,
                tokens_after=totals.tokens_after + tokens_after,
                draft_seconds=totals.draft_seconds + draft_seconds,
                skips=dict(self._skips),
            )

    def totals(self) -> MetricsTotals:
        """Everything so far."""
        with self._lock:
            return self._totals

    def to_prometheus(self) -> str:
        """Everything so far in Prometheus' text format, to be served by whoever is asked for it."""
        return "".join(f"{line}\n" for line in _prometheus_lines(self.totals()))


@cache
def process_metrics() -> CompressionMetrics:
    """The metrics of this process: where every door writes that was given none."""
    return CompressionMetrics()


def _prometheus_lines(totals: MetricsTotals) -> Iterator[str]:
    counters: list[tuple[str, str, float]] = [
        ("calls", "Tool results, messages or texts to compress.", totals.calls),
        ("compressed", "Those that came back compressed.", totals.compressed),
        ("tokens_before", "Their tokens before.", totals.tokens_before),
        ("tokens_after", "Their tokens after.", totals.tokens_after),
        ("draft_seconds", "Seconds spent on compressing.", totals.draft_seconds),
        ("deadline_misses", "Those for which the draft took too long.", totals.deadline_misses),
    ]
    for name, meaning, value in counters:
        yield from _head(name, meaning)
        yield f"specprefill_{name}_total {value}"
    yield from _head("skips", "Those that were left whole, by reason.")
    for reason, count in sorted(totals.skips.items()):
        yield f'specprefill_skips_total{{reason="{_escaped(reason)}"}} {count}'


def _head(name: str, meaning: str) -> Iterator[str]:
    yield f"# HELP specprefill_{name}_total {meaning}"
    yield f"# TYPE specprefill_{name}_total counter"


def _escaped(value: str) -> str:
    """A label's value, as the format wants it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
