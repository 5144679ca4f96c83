"""Split texts into units that are kept or dropped as a whole. One kind of text per file."""

from __future__ import annotations

from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._json_text import JsonSplitter
from specprefill_integrations.splitting._splitter import FunctionSplitter, Splitter, as_splitter

__all__ = ["FunctionSplitter", "JsonSplitter", "SplitByKind", "Splitter", "as_splitter"]
