"""Messages of mail files and mailboxes: header fields, parts and replies.

Reads only the starts of lines; the `email` package keeps no positions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.splitting._lines import source_lines, without_blank_ends
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span

_FIELD = re.compile(
    r"\ufeff?(?P<quoted>(?:> ?){0,5})\*?(?P<name>[A-Za-z][A-Za-z0-9-]{0,60}):\*?(?=\s|$)"
)
_ENVELOPE = re.compile(r"\ufeff?From \S{1,300} [^\r\n]{0,100}\d{1,2}:\d{2}")
_BOUNDARY = re.compile(r"--[^\s-][^\r\n]{0,100}$")
_ATTRIBUTION = re.compile(
    r"[^\r\n]{1,200}(?:wrote|writes|schrieb|écrit|escribió|said)\b[^\r\n]{0,20}:\s*$"
)
_HTML = re.compile(r"content-type:\s*text/html", re.IGNORECASE)

# Fields that name a message; all of it needs them, unless they are long.
_NAMING = frozenset({"from", "subject"})
_LONGEST_NAMING = 300

# Of these, a message has at least two.
_TELLING = frozenset(
    {
        *_NAMING,
        *("to", "date", "sent", "newsgroups", "received", "message-id", "return-path", "reply-to"),
        "in-reply-to",
    }
)
_LEAST_TELLING = 2


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class MailSplitter(OutlineSplitter):
    """Splits messages into header fields, sentences and quoted lines.

    All of a message needs its fields `From` and `Subject`, and quoted lines need the line above
    that says who wrote them. Messages forwarded in a message have fields of their own.
    """

    def parse(self, text: str) -> Outline:
        """Find the messages of `text`."""
        reading = _Reading(text, self.max_unit_chars)
        reading.read()
        return reading.outline


class _Reading:
    """One pass over the lines of a text."""

    def __init__(self, text: str, max_chars: int) -> None:
        """Start before the first message."""
        self.outline = Outline(text)
        self._text = text
        self._lines = source_lines(text)
        self._max_chars = max_chars
        self._prose = ProseSplitter(max_unit_chars=max_chars)
        self._html = HtmlSplitter(max_unit_chars=max_chars)
        self._needs: Needs = ()
        self._is_html = False
        self._start = 0  # first line of the body that is not yet added

    def read(self) -> None:
        """Read all lines."""
        index = 0
        while index < len(self._lines):
            after = self._header_end(index)
            if after > index:
                self._add_body(index)
                self._add_header(index, after)
                index = self._start = after
            else:
                index += 1
        self._add_body(len(self._lines))

    def starts_with_a_message(self) -> bool:
        """True if there is a header at the start, and a body."""
        after = self._header_end(0) if self._lines else 0
        names = {self._field(index) for index in range(after)}
        is_told = len(names & _TELLING) >= _LEAST_TELLING and not names.isdisjoint(_NAMING)
        return is_told and after < len(self._lines)

    def _header_end(self, index: int) -> int:
        """The index after a header that starts at a line; the same index if none does."""
        line = self._line(index)
        is_first = index == 0 or not self._line(index - 1).strip("> \t\r\n")
        is_part = index > 0 and bool(_BOUNDARY.match(self._line(index - 1)))
        is_forwarded = index > 0 and self._line(index - 1).strip("> ")[:2] in {"--", "__", "=="}
        if not (is_first or is_part or is_forwarded):
            return index
        has_envelope = bool(_ENVELOPE.match(line))
        after = index + has_envelope
        names = set()
        while after < len(self._lines):
            found = _FIELD.match(self._text, *self._lines[after])
            if found:
                names.add(found["name"].lower())
            elif not names or not self._line(after)[:1].isspace() or self._line(after).isspace():
                break
            after += 1
        is_header = len(names & _TELLING) >= _LEAST_TELLING or has_envelope
        is_part_header = is_part and any(name.startswith("content-") for name in names)
        return after if is_header or is_part_header else index

    def _add_header(self, start: int, end: int) -> None:
        """Add the fields of a header."""
        fields = self._fields(start, end)
        naming = [i for i, (name, _) in enumerate(fields) if name in _NAMING]
        if naming:
            self._needs = ()
        self._is_html = any(_HTML.match(self._text, *span) for _, span in fields)
        most = min(_LONGEST_NAMING, self._max_chars)
        if naming and fields[naming[-1]][1].end - fields[naming[0]][1].start <= most:
            together = Span(fields[naming[0]][1].start, fields[naming[-1]][1].end)
            fields[naming[0] : naming[-1] + 1] = [("from", together)]
        for name, span in fields:
            if name in _NAMING and span.end - span.start <= most:
                self._needs = self.outline.add(without_blank_ends(self._text, span), self._needs)
            else:
                self.outline.add_lines(span, self._needs, self._max_chars)

    def _fields(self, start: int, end: int) -> list[tuple[str, Span]]:
        """The fields of a header: name in lower case (empty for an envelope) and lines."""
        fields: list[tuple[str, Span]] = []
        for index in range(start, end):
            name, line = self._field(index), self._lines[index]
            if name or not fields:
                fields.append((name, line))
            else:
                last, span = fields[-1]
                fields[-1] = (last, Span(span.start, line.end))
        return fields

    def _add_body(self, end: int) -> None:
        """Add the lines of a body up to a line."""
        if self._start >= end:
            return
        if self._is_html:
            span = Span(self._lines[self._start].start, self._lines[end - 1].end)
            self.outline.add_split(self._html, span, self._needs)
            return
        start, is_quoted, needs = self._start, False, self._needs
        for index in range(self._start, end):
            line = self._line(index)
            if not line.strip() or line.startswith(">") == is_quoted:
                continue
            needs = self._add_lines(start, index, needs, is_quoted=is_quoted)
            start, is_quoted = index, not is_quoted
            needs = needs if is_quoted else self._needs
        self._add_lines(start, end, needs, is_quoted=is_quoted)

    def _add_lines(self, start: int, end: int, needs: Needs, *, is_quoted: bool) -> Needs:
        """Add quoted lines, or sentences.

        Returns:
            The needs of what is quoted below.
        """
        if start >= end:
            return needs
        span = Span(self._lines[start].start, self._lines[end - 1].end)
        if is_quoted:
            self.outline.add_lines(span, needs, self._max_chars)
            return needs
        sentences = self._prose(self._text[span.start : span.end])
        spans = [Span(span.start + a, span.start + b) for a, b in sentences]
        self.outline.add_all(spans, needs)
        is_attribution = spans and _ATTRIBUTION.fullmatch(self._text, *spans[-1])
        return (*needs, len(self.outline.spans) - 1) if is_attribution else needs

    def _field(self, index: int) -> str:
        """The name of the field that a line starts, in lower case; empty if it starts none."""
        found = _FIELD.match(self._text, *self._lines[index])
        return found["name"].lower() if found else ""

    def _line(self, index: int) -> str:
        return self._text[self._lines[index].start : self._lines[index].end]


def looks_like_mail(head: str) -> bool:
    """True if a text starts with the header of a message and has a body."""
    return _Reading(head.lstrip("\ufeff\r\n"), 1).starts_with_a_message()
