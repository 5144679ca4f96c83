"""Observability: metrics, time to first token, break-even length, recorded runs, prices.

Independent of frameworks and models: the integrations report to it.
"""

from __future__ import annotations

from specprefill_integrations.observability._app_run import AppRun, FoundText, LeftOutReason
from specprefill_integrations.observability._app_run_recorder import AppRunRecorder
from specprefill_integrations.observability._break_even import BreakEven, least_tokens_that_pay
from specprefill_integrations.observability._case_file import CaseFile
from specprefill_integrations.observability._metrics import (
    CompressionMetrics,
    MetricsTotals,
    process_metrics,
)
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.observability._reading_speed import (
    ReadingSpeed,
    Unclear,
    reading_speed,
)
from specprefill_integrations.observability._run_tree import RunTree
from specprefill_integrations.observability._target_speed import (
    target_reading_speed,
    target_tokens_per_second,
)
from specprefill_integrations.observability._ttft_log import TtftLog
from specprefill_integrations.observability._ttft_record import TokenUsage, TtftRecord
from specprefill_integrations.observability._ttft_recorder import TtftRecorder
from specprefill_integrations.observability._ttft_summary import (
    Percentiles,
    TtftSummary,
    percentiles_of,
)

__all__ = [
    "AppRun",
    "AppRunRecorder",
    "BreakEven",
    "CaseFile",
    "CompressionMetrics",
    "FoundText",
    "LeftOutReason",
    "MetricsTotals",
    "Percentiles",
    "Prices",
    "ReadingSpeed",
    "RunTree",
    "TokenUsage",
    "TtftLog",
    "TtftRecord",
    "TtftRecorder",
    "TtftSummary",
    "Unclear",
    "least_tokens_that_pay",
    "percentiles_of",
    "process_metrics",
    "reading_speed",
    "target_reading_speed",
    "target_tokens_per_second",
]
