"""One call of the compressor, step by step: counted, split, scored, selected, rendered."""

from __future__ import annotations

from specprefill_integrations.pipeline._protection import DEFAULT_PROTECTION, ProtectionRule
from specprefill_integrations.pipeline._query_intent import needs_every_word
from specprefill_integrations.pipeline._selection import select_best, select_covering

__all__ = [
    "DEFAULT_PROTECTION",
    "ProtectionRule",
    "needs_every_word",
    "select_best",
    "select_covering",
]
