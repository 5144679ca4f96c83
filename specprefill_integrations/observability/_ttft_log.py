"""The last calls of a model, for as long as a process lives. Safe to use from many threads."""

from __future__ import annotations

from collections import deque

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.observability._ttft_record import TtftRecord
from specprefill_integrations.observability._ttft_summary import TtftSummary, report_of

DEFAULT_MAX_RECORDS = 10_000
"""Some megabytes, and enough for a 99th percentile that holds still."""


class TtftLog:
    """Keeps the records of the last calls, and sums them up."""

    def __init__(self, max_records: int = DEFAULT_MAX_RECORDS) -> None:
        """Start empty.

        Args:
            max_records: The oldest are forgotten beyond this many.

        Raises:
            ValueError: That is not a number above 0.
        """
        if max_records < 1:
            msg = f"max_records must be at least 1; got {max_records!r}."
            raise ValueError(msg)
        self._lock = ForkSafeLock()
        self._records: deque[TtftRecord] = deque(maxlen=max_records)
        self._failed_calls = 0

    def add(self, record: TtftRecord) -> None:
        """Keep one more."""
        with self._lock:
            self._records.append(record)

    def add_failure(self) -> None:
        """Count a call that was not answered, or not to its end."""
        with self._lock:
            self._failed_calls += 1

    @property
    def records(self) -> tuple[TtftRecord, ...]:
        """What is kept, in the order in which the answers ended."""
        with self._lock:
            return tuple(self._records)

    @property
    def failed_calls(self) -> int:
        """Calls that were not answered, or not to their end; no record tells of them."""
        with self._lock:
            return self._failed_calls

    def summary(self, *, compressed: bool) -> TtftSummary:
        """The calls in which compression took part, or the others, in a few numbers."""
        return TtftSummary.of([r for r in self.records if r.is_compressed == compressed])

    def report(self) -> str:
        """A small table for people: calls with compression beside calls without."""
        report = report_of(self.summary(compressed=True), self.summary(compressed=False))
        return f"{report}\ncalls that failed: {self.failed_calls:,}"

    def as_json_object(self) -> dict[str, object]:
        """Everything as plain values for JSON."""
        return {
            "failed_calls": self.failed_calls,
            "with_compression": self.summary(compressed=True).as_json_object(),
            "without_compression": self.summary(compressed=False).as_json_object(),
            "records": [record.as_json_object() for record in self.records],
        }
