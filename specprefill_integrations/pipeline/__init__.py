"""One call of the compressor, step by step: counted, split, scored, selected, rendered."""

from __future__ import annotations

from specprefill_integrations.pipeline._protection import DEFAULT_PROTECTION, ProtectionRule
from specprefill_integrations.pipeline._query_intent import (
    LeaveWhole,
    asks_about_whole_text,
    needs_every_word,
)
from specprefill_integrations.pipeline._selection import Selector, select_best, select_covering
from specprefill_integrations.pipeline._token_counting import as_token_counter

__all__ = [
    "DEFAULT_PROTECTION",
    "LeaveWhole",
    "ProtectionRule",
    "Selector",
    "as_token_counter",
    "asks_about_whole_text",
    "needs_every_word",
    "select_best",
    "select_covering",
]
