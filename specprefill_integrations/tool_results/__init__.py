"""Tool results: the policy that all agent integrations share, free of frameworks.

Which results are compressed, the reason where one is not, the question, and the originals.
"""

from __future__ import annotations

from specprefill_integrations.tool_results._outcome import (
    Outcome,
    is_compressible,
    outcome_of,
    outcome_of_skipped,
)
from specprefill_integrations.tool_results._question import QuerySource, ToolRequest
from specprefill_integrations.tool_results._result import CompressedResult, ToolResult
from specprefill_integrations.tool_results._thresholds import MinTokens, Thresholds
from specprefill_integrations.tool_results._tool_policy import ToolPolicy
from specprefill_integrations.tool_results._tool_result_compressor import ToolResultCompressor

__all__ = [
    "CompressedResult",
    "MinTokens",
    "Outcome",
    "QuerySource",
    "Thresholds",
    "ToolPolicy",
    "ToolRequest",
    "ToolResult",
    "ToolResultCompressor",
    "is_compressible",
    "outcome_of",
    "outcome_of_skipped",
]
