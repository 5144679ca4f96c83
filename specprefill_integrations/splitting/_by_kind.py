"""Choice of a splitter by the kind of a text.

A wrong kind does no harm beyond a worse choice of units: every splitter accepts every text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._chat import ChatSplitter
from specprefill_integrations.splitting._code._guess_language import comment_form, guess_language
from specprefill_integrations.splitting._code._splitting import CodeSplitter
from specprefill_integrations.splitting._code._sql import SqlSplitter, looks_like_sql
from specprefill_integrations.splitting._detection import guess_kind
from specprefill_integrations.splitting._diffs import DiffSplitter
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.splitting._json._values import is_like_json
from specprefill_integrations.splitting._lines import LineSplitter, filled_lines, source_lines
from specprefill_integrations.splitting._mail import MailSplitter
from specprefill_integrations.splitting._markdown import MarkdownSplitter
from specprefill_integrations.splitting._markup import MarkupSplitter
from specprefill_integrations.splitting._markup_lines import may_be_markup
from specprefill_integrations.splitting._output._http import (
    HttpSplitter,
    body_start,
    looks_like_http,
)
from specprefill_integrations.splitting._output._logs import LogSplitter
from specprefill_integrations.splitting._output._splitting import OutputSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._rendering import LINE_GAPS, GapStyle
from specprefill_integrations.splitting._settings._ini import may_be_ini
from specprefill_integrations.splitting._settings._splitting import SettingsSplitter
from specprefill_integrations.splitting._splitter import Splitter, SplitterChoice, as_splitter
from specprefill_integrations.splitting._subtitles import SubtitleSplitter
from specprefill_integrations.splitting._tables import TableSplitter, sniff_delimiter
from specprefill_integrations.splitting._xml_text import XmlSplitter
from specprefill_integrations.types import Kind, Span, TextHint

_SPLITTERS: Mapping[Kind, Callable[[], Splitter[Any]]] = {
    "prose": ProseSplitter,
    "markdown": MarkdownSplitter,
    "markup": MarkupSplitter,
    "json": JsonSplitter,
    "jsonl": JsonSplitter,
    "yaml": partial(SettingsSplitter, form="yaml"),
    "toml": partial(SettingsSplitter, form="toml"),
    "ini": partial(SettingsSplitter, form="ini"),
    "xml": XmlSplitter,
    "csv": TableSplitter,
    "log": LogSplitter,
    "diff": DiffSplitter,
    "html": HtmlSplitter,
    "chat": ChatSplitter,
    "mail": MailSplitter,
    "subtitles": SubtitleSplitter,
    "lines": OutputSplitter,
}

READ_BY_LINES: frozenset[Kind] = frozenset(
    {"code", "yaml", "toml", "ini", "xml", "csv", "log", "diff", "chat", "subtitles", "lines"}
)
"""Kinds whose gap markers give the number of missing lines."""

# What a gap marker looks like so that the rest can still be parsed.
_COMMENTS: Mapping[Kind, str] = {"yaml": "# {marker}", "toml": "# {marker}", "ini": "# {marker}"}

_JSON: frozenset[Kind] = frozenset({"json", "jsonl"})

_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_HEAD_CHARS = 20_000


def _may_be_table(text: str) -> bool:
    head = text[:_HEAD_CHARS]
    return sniff_delimiter(head, source_lines(head)) is not None


def _may_be_ini(text: str) -> bool:
    head = text[:_HEAD_CHARS]
    return may_be_ini([head[a:b] for a, b in filled_lines(head)])


# Loaders often pass the text of a page, a record or a row under the name of its file.
_MAY_BE: Mapping[Kind, Callable[[str], object]] = {
    "html": _TAG.search,
    "json": is_like_json,
    "jsonl": is_like_json,
    "xml": _TAG.search,
    "markup": may_be_markup,
    "ini": _may_be_ini,
    "csv": _may_be_table,
}


_guess = partial(guess_kind, is_code=guess_language, is_like_json=is_like_json)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitByKind(Splitter[SplitterChoice]):
    """Splits each text by its kind: from the hint, the file name, the MIME type, or the text."""

    json: Literal["valid", "pass_through"] = "valid"
    """`valid` compresses JSON to valid JSON, `pass_through` does not compress it."""

    splitters: Mapping[Kind, Splitter[Any] | Callable[[str], Sequence[Span]]] = field(
        default_factory=dict
    )
    """Splitters that replace the default ones of some kinds."""

    def parse(self, text: str) -> SplitterChoice:
        """Choose the splitter for `text`."""
        return self.for_text(text)

    def units(self, text: str, parsed: SplitterChoice) -> list[Span]:
        """Return the units of the chosen splitter; a text that is not to be cut is one unit."""
        return parsed.splitter(text) if parsed.splitter else [Span(0, len(text))]

    def for_text(self, text: str, hint: TextHint | None = None) -> SplitterChoice:
        """Choose the splitter and the gap style by the kind of one text."""
        kind = self.kind(text, hint)
        return SplitterChoice(
            kind=kind,
            splitter=self.splitter(text, kind, hint.name if hint else None),
            gaps=_gaps(text, kind, hint.name if hint else None),
        )

    def kind(self, text: str, hint: TextHint | None = None) -> Kind:
        """Determine the kind of a text.

        Args:
            text: The text.
            hint: Its kind is trusted. Its file name and MIME type are ignored if the text does not
                look like their kind.
        """
        hint = hint or TextHint()
        if hint.kind:
            return hint.kind
        kind = _guess(text, hint.name, hint.mime_type)
        may_be = _MAY_BE.get(kind)
        return kind if may_be is None or may_be(text) else _guess(text)

    def splitter(self, text: str, kind: Kind, name: str | None = None) -> Splitter[Any] | None:
        """The splitter for a text of a kind; None if the text is not to be cut.

        Args:
            text: The text.
            kind: Its kind.
            name: Its file name, for the language of code.
        """
        if kind in _JSON and not is_like_json(text):
            return LineSplitter()
        if kind in _JSON and self.json == "pass_through":
            return None
        if kind in self.splitters:
            return as_splitter(self.splitters[kind])
        if kind == "lines" and looks_like_http(text):
            return HttpSplitter(body=self._of_body(text[body_start(text) :]))
        if kind == "code":
            language = _language(text, name)
            return SqlSplitter() if language == "sql" else CodeSplitter(language=language)
        return _SPLITTERS[kind]()

    def _of_body(self, body: str) -> Splitter[Any]:
        """The splitter for the body of an answer, which is no answer itself."""
        kind = self.kind(body)
        found = None if kind == "lines" else self.splitter(body, kind)
        return found or _SPLITTERS["lines"]()


def _language(text: str, name: str | None) -> str | None:
    """The language of code; SQL has a splitter of its own."""
    is_sql = (name or "").lower().endswith(".sql") or (not name and looks_like_sql(text))
    return "sql" if is_sql else guess_language(text, name)


def _gaps(text: str, kind: Kind, name: str | None) -> GapStyle:
    """The gap style of a kind; in code and settings, markers are comments of the language."""
    if kind not in READ_BY_LINES:
        return GapStyle()
    if kind != "code":
        return replace(LINE_GAPS, comment=_COMMENTS.get(kind, ""))
    language = _language(text, name)
    body = "..." if language == "python" else ""
    return replace(LINE_GAPS, comment=comment_form(language, name), body=body)
