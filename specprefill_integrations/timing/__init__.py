"""Time to first token as users pay it, and the length from which compression shortens it.

Pure: knows no framework, no model and no price list; whoever watches an app writes here.
"""

from __future__ import annotations

from specprefill_integrations.timing.bounded_dict import BoundedDict
from specprefill_integrations.timing.break_even import BreakEven, least_tokens_that_pay
from specprefill_integrations.timing.run_tree import RunTree
from specprefill_integrations.timing.target_speed import target_tokens_per_second
from specprefill_integrations.timing.ttft_log import TtftLog
from specprefill_integrations.timing.ttft_record import TokenUsage, TtftRecord
from specprefill_integrations.timing.ttft_recorder import TtftRecorder
from specprefill_integrations.timing.ttft_summary import Percentiles, TtftSummary, percentiles_of

__all__ = [
    "BoundedDict",
    "BreakEven",
    "Percentiles",
    "RunTree",
    "TokenUsage",
    "TtftLog",
    "TtftRecord",
    "TtftRecorder",
    "TtftSummary",
    "least_tokens_that_pay",
    "percentiles_of",
    "target_tokens_per_second",
]
