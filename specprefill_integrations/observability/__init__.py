"""Observability: metrics, time to first token, break-even length, prices, records of runs.

Independent of frameworks and models: the integrations report to it.
"""

from __future__ import annotations

from specprefill_integrations.observability._break_even import BreakEven, least_tokens_that_pay
from specprefill_integrations.observability._metrics import (
    CompressionMetrics,
    MetricsTotals,
    process_metrics,
)
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.observability._prompt_saving import PromptChange, PromptSaving
from specprefill_integrations.observability._reading_speed import (
    ReadingSpeed,
    Unclear,
    reading_speed,
)
from specprefill_integrations.observability._shadow_log import ShadowLog
from specprefill_integrations.observability._shadow_summary import ShadowSummary
from specprefill_integrations.observability._target_speed import (
    target_reading_speed,
    target_tokens_per_second,
)
from specprefill_integrations.observability._ttft_log import TtftLog
from specprefill_integrations.observability._ttft_record import TokenUsage, TtftRecord
from specprefill_integrations.observability._ttft_summary import Percentiles, TtftSummary

__all__ = [
    "BreakEven",
    "CompressionMetrics",
    "MetricsTotals",
    "Percentiles",
    "Prices",
    "PromptChange",
    "PromptSaving",
    "ReadingSpeed",
    "ShadowLog",
    "ShadowSummary",
    "TokenUsage",
    "TtftLog",
    "TtftRecord",
    "TtftSummary",
    "Unclear",
    "least_tokens_that_pay",
    "process_metrics",
    "reading_speed",
    "target_reading_speed",
    "target_tokens_per_second",
]
