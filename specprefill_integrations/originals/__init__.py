"""Stores of originals: texts that were cut, kept so that a recall tool can fetch them.

In memory or in an SQLite file. A store on LangGraph's `BaseStore` is in the LangChain folder.
"""

from __future__ import annotations

from specprefill_integrations.originals._in_memory_originals import InMemoryOriginals
from specprefill_integrations.originals._original_store import OriginalStore, reference_of
from specprefill_integrations.originals._sqlite_originals import SqliteOriginals

__all__ = ["InMemoryOriginals", "OriginalStore", "SqliteOriginals", "reference_of"]
