"""Detection of the kind of a text: by its name, its MIME type, or cheap evidence in its beginning.

Doubtful texts are prose: a wrong guess costs more than none.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from itertools import islice, pairwise
from statistics import median

from specprefill_integrations.splitting._chat import ROLES, Turn, turn_lines
from specprefill_integrations.splitting._code._sql import looks_like_sql
from specprefill_integrations.splitting._kind_names import kind_of_mime_type, kind_of_name
from specprefill_integrations.splitting._lines import as_shown, source_lines
from specprefill_integrations.splitting._lists import is_caption
from specprefill_integrations.splitting._mail import looks_like_mail
from specprefill_integrations.splitting._markup_lines import markup_form
from specprefill_integrations.splitting._output._http import looks_like_http
from specprefill_integrations.splitting._output._log_starts import start_kind, start_share
from specprefill_integrations.splitting._output._rows import KEY
from specprefill_integrations.splitting._output._signs import (
    has_prefix,
    looks_like_output,
    looks_like_records,
)
from specprefill_integrations.splitting._plays import looks_like_play
from specprefill_integrations.splitting._settings._files import looks_like_toml, looks_like_yaml
from specprefill_integrations.splitting._settings._ini import looks_like_ini
from specprefill_integrations.splitting._subtitles import looks_like_subtitles
from specprefill_integrations.splitting._tables import (
    cell_counts,
    is_printed,
    is_quoted_table,
    is_rule,
    opens_a_bracket,
    sniff_delimiter,
)
from specprefill_integrations.splitting._xml_text import looks_like_xml
from specprefill_integrations.types import Kind

_HEAD_CHARS = 20_000

# Characters of which a terminal may show fewer.
_SHOWN_CHARS = 100_000

_FENCE = re.compile(r"^ {0,3}(?:```|~~~~{0,9}[ \t]{0,9}[\w{.-]{0,40}[ \t]{0,9}$)", re.MULTILINE)
_HUNK = re.compile(r"^@@+ -\d+(?:,\d+)? [^\r\n]*@@", re.MULTILINE)
_CHANGED_FILE = re.compile(r"^(?:diff -|Index: |--- \S[^\r\n]*(?:\r\n?|\n)\+\+\+ \S)", re.MULTILINE)

_HTML_START = re.compile(
    r"\s*(?:<!doctype html|(?:<[!?][^>]*>\s*)*<(?:html|head|body)\b)", re.IGNORECASE
)
_XML_DECLARATION = "<?xml"
_HTML_END = re.compile(r"</(?:p|div|li|[uo]l|t[drh]|table|h[1-6]|section|body)\s*>", re.IGNORECASE)
_TAGS = 3

# A single `#` line with text right below it is usually a comment in a script.
_HEADING = re.compile(
    r"(?:\A|(?<=\n\n)|(?<=\r\n\r\n))(?:# \S[^\r\n]*(?=(?:\r?\n){2})|#{2,6} \S[^\r\n]*\r?\n(?!#))"
)
_COMMENT_LINE = re.compile(r"\s*(?:#|//|--|;|%)")
_COMMENT_START = re.compile(r"\s*(?:#!|/\*|//|<\?)")
_ITEM = re.compile(r"^ {0,6}(?:[-*]|\d{1,3}[.)]) \S", re.MULTILINE)
_INLINE = re.compile(
    r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)|\*\*[^\s*][^*\n]{0,200}\*\*|`[^`\n]{1,200}`"
)
_ITEMS = 3

# Least share of list items among all lines, with other marks of markdown and without.
_ITEMS_OF_MARKUP = 0.15
_ITEMS_ALONE = 0.5

# A line of a file, in the output of a program.
_PLACE = re.compile(r"^\s*(?:[^\s:]{1,200}:\d{1,7}[:\s]|File \"|Traceback \()")
_PLACES_SHARE = 0.05

_REPEATED = 3

# Titles that programs print above what they write.
_TITLE = re.compile(r"={3,} \S|=+> \S")

_RECORDS = 50

_ROWS = 3
_COLUMNS_BEYOND_DOUBT = 3
_LOG_SHARE = 0.5
_LOG_LINES = 3

_TURN_SHARE = 0.3
_TURNS = 3
_MOST_SPEAKERS = 12
_KEYS = 3
_KEYS_OF_A_RECORD = 2.5
_LEAST_IN_ORDER = 0.85

# Lines of prose are longer and end in full stops more often.
_SHORT_LINE_CHARS = 45
_SHORT_LINES = 5
_ENDS_SHARE = 0.3
_SENTENCE_END = re.compile(r"[.!?。！？।؟][\"'”’)\]]*\s*$")
_TWO_SENTENCES = re.compile(r"[^\W\d_]{2}[.!?] {1,2}[A-ZÀ-ÖØ-Þ][^\W\d_]*[ ,][^.!?]{1,300}[.!?:]$")
_ALIGNED = re.compile(r"[^\s.!?:;,](?: {2,}|\t+)\S")
_ALIGNED_SHARE = 0.6
_ALIGNED_LINE_CHARS = 200

# Signs of code that are rare in natural language.
_CODE_LINE = re.compile(
    r"^(?!\s*(?:[-*•]|\(?(?:\d{1,3}|[^\W\d_]|[ivxIVX]{2,5})[.)])\s).*[;{}]\s*$|^\s*(?:def|class|import|from|return|if|elif|else|for|while|try|except|with|fn|func"
    r"|function|const|let|var|public|private|static|#include|export|@\w+)\b.*[:;(){}=,\"'\w]$"
    r"|\w\([^()]*\)\s*$|\S = \S"
)
_CODE_SHARE = 0.3


def guess_kind(
    text: str,
    name: str | None = None,
    mime_type: str | None = None,
    *,
    is_code: Callable[[str], object] = lambda _head: False,
    is_like_json: Callable[[str], object] = lambda _text: False,
) -> Kind:
    """Guess the kind of a text.

    Args:
        text: The text. Its first 20,000 characters are examined, or all of it if it may be JSON.
        name: The file's name or path.
        mime_type: The MIME type given by a server or a framework.
        is_code: Returns a true value (such as a language name) if the beginning of a text is code.
        is_like_json: Returns a true value if a text that is not JSON is close to it.

    Returns:
        The kind of the name or the MIME type if these are specific, else that of the text itself.
    """
    told = (kind_of_name(name) if name else None) or (
        kind_of_mime_type(mime_type) if mime_type else None
    )
    return told or _Evidence(text, is_code, is_like_json).kind()


class _Evidence:
    """The beginning of a text, with a check for each kind."""

    def __init__(
        self,
        text: str,
        is_code: Callable[[str], object],
        is_like_json: Callable[[str], object],
    ) -> None:
        """Take the complete lines of the beginning, as a terminal shows them."""
        self._is_code = is_code
        self._is_like_json = is_like_json
        self.text = text.removeprefix("\ufeff")
        shown = as_shown(self.text[:_SHOWN_CHARS])
        self.head = shown[:_HEAD_CHARS]
        found = source_lines(self.head)
        is_cut = len(shown) > _HEAD_CHARS or len(self.text) > _SHOWN_CHARS
        if is_cut and len(found) > 1:
            self.head = self.head[: found.pop().start]
        self.lines = [line for line in found if not self.head[line.start : line.end].isspace()]

    def kind(self) -> Kind:
        """The first kind with enough evidence."""
        checks: Sequence[tuple[Kind, Callable[[], object]]] = (
            ("lines", lambda: looks_like_http(self.head)),
            ("json", self._is_json),
            ("jsonl", self._is_json_lines),
            ("diff", self._is_diff),
            ("mail", lambda: looks_like_mail(self.head)),
            ("subtitles", lambda: looks_like_subtitles(self.head)),
            ("html", self._is_html),
            ("xml", lambda: looks_like_xml(self.head)),
            ("json", lambda: self._is_like_json(self.text)),
            ("lines", lambda: not self._has_documents() and looks_like_records(self.head)),
            ("csv", lambda: is_quoted_table(self.head)),
            (
                "lines",
                lambda: not self._is_log() and not self._is_table() and has_prefix(self.head),
            ),
            ("markup", lambda: not self._has_titles() and self._is_markup()),
            ("chat", self._is_chat),
            ("markdown", self._has_blocks_of_markdown),
            ("csv", self._is_table),
            ("log", self._is_log),
            ("toml", lambda: looks_like_toml(self._line_texts())),
            ("ini", lambda: not self._has_places() and looks_like_ini(self._line_texts())),
            ("yaml", lambda: self._is_yaml() and not self._is_flush_code()),
            ("code", lambda: looks_like_sql(self.head)),
            ("code", lambda: self._is_code(self.head)),
            ("lines", lambda: looks_like_output(self.head)),
            ("markdown", self._is_markdown),
            ("lines", self._is_lines),
        )
        if not self.lines:
            return "prose"
        return next((kind for kind, holds in checks if holds()), "prose")

    def _line_texts(self) -> list[str]:
        return [self.head[a:b].rstrip() for a, b in self.lines]

    def _is_json(self) -> bool:
        return self.head.lstrip()[:1] in {"{", "["} and _parses(self.text)

    def _is_json_lines(self) -> bool:
        if self.head.lstrip()[:1] not in {"{", "["}:
            return False
        # A single record may be longer than `head`.
        rows = [row for row in islice(StringIO(self.text), _RECORDS) if row.strip()]
        return len(rows) > 1 and all(
            row.lstrip()[:1] in {"{", "["} and _parses(row) for row in rows
        )

    def _is_diff(self) -> bool:
        file, hunk = _CHANGED_FILE.search(self.head), _HUNK.search(self.head)
        if not file or not hunk:
            return False
        fence = _FENCE.search(self.head)
        return not fence or fence.start() > file.start()

    def _has_places(self) -> bool:
        """True if some lines name a line of a file, as compilers and stack traces do."""
        return self._share(_PLACE) >= _PLACES_SHARE

    def _has_titles(self) -> bool:
        """True if lines such as `=== host ===` stand below no heading of a higher level."""
        rows = self._line_texts()
        is_markup = any(row.startswith(("= ", "== ")) for row in rows)
        return not is_markup and sum(bool(_TITLE.match(row)) for row in rows) > 1

    def _is_markup(self) -> bool:
        """True if there is markup; comments in code may have underlined titles, too."""
        form = markup_form(self.head)
        return form is not None and not (form == "rst" and self._is_flush_code())

    def _is_flush_code(self) -> bool:
        """True if the lines without indentation are code: code in texts mostly is indented."""
        flush = [row for row in self._line_texts() if not row[:1].isspace()]
        return bool(self._is_code("\n".join(flush)))

    def _is_yaml(self) -> bool:
        return not self._repeats_keys() and looks_like_yaml(self._line_texts())

    def _has_documents(self) -> bool:
        """True if it is YAML with lines between documents."""
        rows = self._line_texts()
        return "---" in rows and looks_like_yaml(rows)

    def _repeats_keys(self) -> bool:
        """True if keys occur again that are not indented, as in records; YAML forbids it."""
        rows = self._line_texts()
        keys = Counter(row.partition(":")[0] for row in rows if KEY.match(row))
        return max(keys.values(), default=0) >= _REPEATED and "---" not in rows

    def _is_html(self) -> bool:
        if _HTML_START.match(self.head):
            return True
        start = self.head.lstrip()
        if not start.startswith("<") or start.startswith(_XML_DECLARATION):
            return False
        is_marked_up = len(_HTML_END.findall(self.head)) >= _TAGS
        # Many READMEs open with a centered picture in HTML.
        return is_marked_up and not (self._has_blocks_of_markdown() or self._is_markdown())

    def _is_chat(self) -> bool:
        if looks_like_play(self.head, source_lines(self.head)):
            return True
        turns = turn_lines(self.head, self.lines)
        names = [turn.speaker.casefold() for turn in turns.values()]
        speakers = set(names)
        if 0 in turns and len(speakers) > 1 and speakers <= ROLES:
            return True
        small = sum(not t.is_marked and t.speaker[0].islower() for t in turns.values())
        few = len(speakers) in range(2, 1 + min(_MOST_SPEAKERS, max(3, len(turns) // 3)))
        many = len(turns) >= max(_TURNS, 2 * len(speakers) - 1, _TURN_SHARE * len(self.lines))
        replies = sum(a != b for a, b in pairwise(names))
        if _are_keys(names) or 2 * self._empty_turns(turns) > len(turns):
            return False
        return few and many and small * 2 <= len(turns) <= 1 + replies * _TURNS

    def _empty_turns(self, turns: Mapping[int, Turn]) -> int:
        """Count names in no marks without a word after the colon, such as `Expected:`."""
        return sum(
            not (turn.is_marked or turn.has_timestamp) and not self._after(turn.end, index)
            for index, turn in turns.items()
        )

    def _after(self, start: int, index: int) -> str:
        return self.head[start : self.lines[index].end].strip()

    def _is_table(self) -> bool:
        delimiter = sniff_delimiter(self.head, self.lines)
        if delimiter is None or len(self.lines) < _ROWS:
            return False
        lines = self.lines[self._has_caption(delimiter) :]
        counts = cell_counts(self.head, lines, delimiter)
        is_even = len(set(counts)) == 1 and len(counts) >= _ROWS
        rows = [self.head[a:b].rstrip() for a, b in lines]
        if not is_even or all(row.endswith(delimiter) for row in rows):
            return False
        if delimiter == "," and all(map(opens_a_bracket, rows)):
            return False
        if delimiter in "|\t" and is_printed(rows, delimiter):
            return False
        if counts[0] < _COLUMNS_BEYOND_DOUBT and (
            self._is_log() or (delimiter != "\t" and any(f"{delimiter} " in row for row in rows))
        ):
            return False
        return not (self._is_log() and start_kind(self._line_texts()[0]))

    def _has_caption(self, delimiter: str) -> bool:
        """True if the first line is above a table, not a row of it."""
        first, *_ = rows = self._line_texts()
        is_apart = self.head.partition(first)[2].replace("\r", "").startswith("\n\n")
        return delimiter not in first and len(rows) > _ROWS and (is_apart or is_caption(first))

    def _is_log(self) -> bool:
        return len(self.lines) >= _LOG_LINES and start_share(self._line_texts()) >= _LOG_SHARE

    def _has_blocks_of_markdown(self) -> bool:
        """True if there is a fenced block or a table."""
        rows = self._line_texts()
        return len(_FENCE.findall(self.head)) > 1 or any(
            "|" in above and "|" in row and is_rule(row) and "+" not in row
            for above, row in pairwise(rows)
        )

    def _is_markdown(self) -> bool:
        headings = len(_HEADING.findall(self.head))
        items = len(_ITEM.findall(self.head))
        inline = len(_INLINE.findall(self.head))
        if _COMMENT_START.match(self.head) or self._share(_CODE_LINE) >= _CODE_SHARE:
            return False
        if headings:
            return headings > 1 or items > 1 or inline > 0
        least = _ITEMS_OF_MARKUP if inline else _ITEMS_ALONE
        return items >= max(_ITEMS, least * len(self.lines))

    def _is_lines(self) -> bool:
        if len(self.lines) < _SHORT_LINES:
            return False
        chars = median(end - start for start, end in self.lines)
        if chars < _ALIGNED_LINE_CHARS and self._share(_ALIGNED) >= _ALIGNED_SHARE:
            return True
        # A list between paragraphs has short lines, too, and a paragraph has `p = 0.02` in it.
        rows = self._line_texts()
        sentences = [
            row for row in rows if _TWO_SENTENCES.search(row) and not _COMMENT_LINE.match(row)
        ]
        if 2 * sum(map(len, sentences)) >= sum(map(len, rows)):
            return False
        if self._share(_CODE_LINE) >= _CODE_SHARE:
            return True
        return chars < _SHORT_LINE_CHARS and self._share(_SENTENCE_END) <= _ENDS_SHARE

    def _share(self, sign: re.Pattern[str]) -> float:
        """The share of lines that match a pattern."""
        return sum(bool(sign.search(row)) for row in self._line_texts()) / len(self.lines)


def _are_keys(names: Sequence[str]) -> bool:
    """Return True if three or more names come in order again and again, or most have hyphens."""
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    if 2 * sum("-" in name for name in order) > max(len(order), 2 * _KEYS - 1):
        return True
    if len(order) < _KEYS or names.count(names[0]) * _KEYS_OF_A_RECORD > len(names):
        return False
    places = [order[name] for name in names]
    in_order = sum(b in {0, a + 1} for a, b in pairwise(places))
    return in_order >= _LEAST_IN_ORDER * (len(names) - 1)


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
