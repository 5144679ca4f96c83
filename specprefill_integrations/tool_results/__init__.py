"""Which tool results are compressed, why not, and for which question, for every framework."""

from __future__ import annotations

from specprefill_integrations.tool_results._thresholds import MinTokens, Thresholds

__all__ = ["MinTokens", "Thresholds"]
