"""Split texts into units that are kept or dropped as a whole. One kind of text per file."""

from __future__ import annotations

from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._chat import ChatSplitter
from specprefill_integrations.splitting._code import CodeSplitter
from specprefill_integrations.splitting._diffs import DiffSplitter
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.splitting._json_text import JsonSplitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._logs import LogSplitter
from specprefill_integrations.splitting._markdown import MarkdownSplitter
from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._settings import SettingsSplitter
from specprefill_integrations.splitting._splitter import (
    FunctionSplitter,
    SplitResult,
    Splitter,
    SplitterChoice,
    as_splitter,
)
from specprefill_integrations.splitting._tables import TableSplitter

__all__ = [
    "ChatSplitter",
    "CodeSplitter",
    "DiffSplitter",
    "FunctionSplitter",
    "HtmlSplitter",
    "JsonSplitter",
    "LineSplitter",
    "LogSplitter",
    "MarkdownSplitter",
    "Outline",
    "OutlineSplitter",
    "ProseSplitter",
    "SettingsSplitter",
    "SplitByKind",
    "SplitResult",
    "Splitter",
    "SplitterChoice",
    "TableSplitter",
    "as_splitter",
]
