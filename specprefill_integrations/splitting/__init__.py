"""Split texts into units that are kept or dropped as a whole. One kind of text per file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names

if TYPE_CHECKING:
    from specprefill_integrations.splitting._by_kind import SplitByKind
    from specprefill_integrations.splitting._chat import ChatSplitter
    from specprefill_integrations.splitting._code._splitting import CodeSplitter
    from specprefill_integrations.splitting._code._sql import SqlSplitter
    from specprefill_integrations.splitting._diffs import DiffSplitter
    from specprefill_integrations.splitting._html_text import HtmlSplitter
    from specprefill_integrations.splitting._json._splitting import JsonSplitter
    from specprefill_integrations.splitting._lines import LineSplitter
    from specprefill_integrations.splitting._mail import MailSplitter
    from specprefill_integrations.splitting._markdown import MarkdownSplitter
    from specprefill_integrations.splitting._markup import MarkupSplitter
    from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
    from specprefill_integrations.splitting._output._logs import LogSplitter
    from specprefill_integrations.splitting._prose import ProseSplitter
    from specprefill_integrations.splitting._settings._splitting import SettingsSplitter
    from specprefill_integrations.splitting._splitter import (
        FunctionSplitter,
        SplitResult,
        Splitter,
        SplitterChoice,
        as_splitter,
    )
    from specprefill_integrations.splitting._subtitles import SubtitleSplitter
    from specprefill_integrations.splitting._tables import TableSplitter
    from specprefill_integrations.splitting._xml_text import XmlSplitter

_HOMES = {
    "ChatSplitter": "_chat",
    "CodeSplitter": "_code._splitting",
    "DiffSplitter": "_diffs",
    "FunctionSplitter": "_splitter",
    "HtmlSplitter": "_html_text",
    "JsonSplitter": "_json._splitting",
    "LineSplitter": "_lines",
    "LogSplitter": "_output._logs",
    "MailSplitter": "_mail",
    "MarkdownSplitter": "_markdown",
    "MarkupSplitter": "_markup",
    "Outline": "_outline",
    "OutlineSplitter": "_outline",
    "ProseSplitter": "_prose",
    "SettingsSplitter": "_settings._splitting",
    "SplitByKind": "_by_kind",
    "SplitResult": "_splitter",
    "Splitter": "_splitter",
    "SplitterChoice": "_splitter",
    "SqlSplitter": "_code._sql",
    "SubtitleSplitter": "_subtitles",
    "TableSplitter": "_tables",
    "XmlSplitter": "_xml_text",
    "as_splitter": "_splitter",
}

__all__ = [
    "ChatSplitter",
    "CodeSplitter",
    "DiffSplitter",
    "FunctionSplitter",
    "HtmlSplitter",
    "JsonSplitter",
    "LineSplitter",
    "LogSplitter",
    "MailSplitter",
    "MarkdownSplitter",
    "MarkupSplitter",
    "Outline",
    "OutlineSplitter",
    "ProseSplitter",
    "SettingsSplitter",
    "SplitByKind",
    "SplitResult",
    "Splitter",
    "SplitterChoice",
    "SqlSplitter",
    "SubtitleSplitter",
    "TableSplitter",
    "XmlSplitter",
    "as_splitter",
]

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
