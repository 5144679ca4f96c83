"""A log of the latest model calls."""

from __future__ import annotations

from collections import deque
from typing import Any

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations._telemetry import count_saving
from specprefill_integrations.observability._ttft_record import TtftRecord
from specprefill_integrations.observability._ttft_summary import TtftSummary, report_of

DEFAULT_MAX_RECORDS = 10_000
"""A few megabytes, and enough for a stable 99th percentile."""


class TtftLog:
    """Keeps the records of the latest model calls and sums them up. Thread-safe.

    A copy starts with the same records and is independent afterwards.
    """

    @checked
    def __init__(self, max_records: PositiveInt = DEFAULT_MAX_RECORDS) -> None:
        """Start empty.

        Args:
            max_records: Records kept; beyond this the oldest are dropped.

        Raises:
            ValueError: `max_records` is below 1.
        """
        self._lock = ForkSafeLock()
        self._records: deque[TtftRecord] = deque(maxlen=int(max_records))
        self._failed_calls = 0

    def add(self, record: TtftRecord) -> None:
        """Add the record of an answered call."""
        saving = record.saving
        count_saving(
            fresh_tokens=saving.fresh_tokens,
            cached_tokens=saving.cached_tokens,
            model=record.model,
        )
        with self._lock:
            self._records.append(record)

    def add_failure(self) -> None:
        """Count a call without a complete answer."""
        with self._lock:
            self._failed_calls += 1

    @property
    def records(self) -> tuple[TtftRecord, ...]:
        """The records kept, in the order in which the answers ended."""
        with self._lock:
            return tuple(self._records)

    @property
    def failed_calls(self) -> int:
        """Calls without a complete answer; they have no record."""
        with self._lock:
            return self._failed_calls

    def summary(self, *, compressed: bool) -> TtftSummary:
        """Sum up the calls in which compression took part, or all others."""
        return TtftSummary.of([r for r in self.records if r.is_compressed == compressed])

    def report(self) -> str:
        """Return a small text table: calls with compression beside calls without."""
        report = report_of(self.summary(compressed=True), self.summary(compressed=False))
        return f"{report}\ncalls that failed: {self.failed_calls:,}"

    def as_json_object(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        return {
            "failed_calls": self.failed_calls,
            "with_compression": self.summary(compressed=True).as_json_object(),
            "without_compression": self.summary(compressed=False).as_json_object(),
            "records": [record.as_json_object() for record in self.records],
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of one moment, although other threads may add records."""
        with self._lock:
            return {**self.__dict__, "_records": self._records.copy()}
