"""The metrics: sums and reasons."""

from __future__ import annotations

import threading
from typing import get_args

import pytest

from specprefill_integrations.observability._metrics import (
    CompressionMetrics,
    MetricsTotals,
    process_metrics,
)
from specprefill_integrations.types import FAILURES, SkipReason


@pytest.fixture
def metrics() -> CompressionMetrics:
    """Two texts compressed, three left whole for two reasons."""
    metrics = CompressionMetrics()
    metrics.record(tokens_before=100, tokens_after=20, draft_seconds=0.5)
    metrics.record(tokens_before=50, tokens_after=10, draft_seconds=0.25)
    metrics.record(tokens_before=7, tokens_after=7, skipped_because="too_small")
    metrics.record(skipped_because="too_small")
    metrics.record(
        tokens_before=9, tokens_after=9, draft_seconds=1.0, skipped_because="deadline_exceeded"
    )
    return metrics


def test_it_adds_up(metrics: CompressionMetrics) -> None:
    totals = metrics.totals()
    assert (totals.calls, totals.compressed) == (5, 2)
    assert (totals.tokens_before, totals.tokens_after) == (166, 46)
    assert totals.draft_seconds == 1.75
    assert totals.skips == {"too_small": 2, "deadline_exceeded": 1}
    assert totals.deadline_misses == 1


def test_failures_are_told_from_decisions(metrics: CompressionMetrics) -> None:
    for reason in get_args(SkipReason):
        metrics.record(skipped_because=reason)
    decisions = {"empty_text", "within_budget", "kind_excluded", "too_small", "never_pays"}
    assert metrics.totals().failures == 1 + len(FAILURES)
    assert not decisions & FAILURES
    assert {r for r in get_args(SkipReason) if r.endswith("failed")} < FAILURES


def test_totals_are_of_one_moment(metrics: CompressionMetrics) -> None:
    before = metrics.totals()
    metrics.record(tokens_before=1, tokens_after=1, skipped_because="too_small")
    assert (before.calls, before.skips["too_small"]) == (5, 2)
    assert metrics.totals().skips["too_small"] == 3


def test_a_new_one_is_empty() -> None:
    assert CompressionMetrics().totals() == MetricsTotals()
    assert CompressionMetrics().totals().deadline_misses == 0


def test_language_warnings_are_counted_by_call() -> None:
    metrics = CompressionMetrics()
    metrics.record(language_warnings=["text_unknown_to_draft"])
    metrics.record(language_warnings=["question_in_another_language", "text_unknown_to_draft"])
    metrics.record()
    warnings = {"text_unknown_to_draft": 2, "question_in_another_language": 1}
    assert metrics.totals().language_warnings == warnings
    assert metrics.totals().skips == {}


def test_threads_lose_nothing() -> None:
    metrics = CompressionMetrics()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(timeout=10)
        for _ in range(500):
            metrics.record(tokens_before=2, tokens_after=1, skipped_because="too_small")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = metrics.totals()
    assert (totals.calls, totals.tokens_before, totals.skips["too_small"]) == (2000, 4000, 2000)


def test_the_process_has_one() -> None:
    assert process_metrics() is process_metrics()
