"""What was cut, kept so that a tool can fetch it back: in memory or in a file of SQLite.

A store in LangGraph's `BaseStore` is in the LangChain folder. Nothing here knows a framework.
"""

from __future__ import annotations

from specprefill_integrations.originals._in_memory_originals import InMemoryOriginals
from specprefill_integrations.originals._original_store import OriginalStore, reference_of
from specprefill_integrations.originals._sqlite_originals import SqliteOriginals

__all__ = ["InMemoryOriginals", "OriginalStore", "SqliteOriginals", "reference_of"]
