"""Time to first token as users pay it, and the length from which compression shortens it.

Pure: knows no framework, no model and no price list; whoever watches an app writes here.
"""

from __future__ import annotations

from specprefill_integrations.timing.bounded_dict import BoundedDict
from specprefill_integrations.timing.break_even import BreakEven, least_tokens_that_pay
from specprefill_integrations.timing.reading_speed import ReadingSpeed, Unclear, reading_speed
from specprefill_integrations.timing.run_tree import RunTree
from specprefill_integrations.timing.target_speed import (
    target_reading_speed,
    target_tokens_per_second,
)
from specprefill_integrations.timing.thresholds import MinTokens, Thresholds
from specprefill_integrations.timing.ttft_log import TtftLog
from specprefill_integrations.timing.ttft_record import TokenUsage, TtftRecord
from specprefill_integrations.timing.ttft_recorder import TtftRecorder
from specprefill_integrations.timing.ttft_summary import Percentiles, TtftSummary, percentiles_of

__all__ = [
    "BoundedDict",
    "BreakEven",
    "MinTokens",
    "Percentiles",
    "ReadingSpeed",
    "RunTree",
    "Thresholds",
    "TokenUsage",
    "TtftLog",
    "TtftRecord",
    "TtftRecorder",
    "TtftSummary",
    "Unclear",
    "least_tokens_that_pay",
    "percentiles_of",
    "reading_speed",
    "target_reading_speed",
    "target_tokens_per_second",
]
