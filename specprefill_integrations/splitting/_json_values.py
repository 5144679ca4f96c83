"""The values of a text: JSON, JSON lines, and JSON in the strings of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cachetools import LRUCache

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.splitting._json_escapes import decoded_with_places
from specprefill_integrations.splitting._json_nodes import Node
from specprefill_integrations.splitting._json_scan import scan_json
from specprefill_integrations.splitting._lines import filled_lines
from specprefill_integrations.types import Span

# Recent parses are cached, up to this many characters of JSON: both the detection of the kind of a
# text and its splitting need a parse.
_MEMO_CHARS = 2_000_000

# Shorter strings are not searched for JSON.
_LEAST_INNER_CHARS = 80

# Strings in strings in strings are searched up to this depth.
_DEEPEST_STRING = 4


@dataclass(frozen=True, slots=True)
class JsonValues:
    """The values of one text."""

    root: Node | None
    """The outermost value; None if the text is neither JSON nor JSON lines."""

    chars: int
    """Characters of the text."""


def is_json(text: str) -> bool:
    """True if a text is JSON or JSON lines."""
    return parsed_json(text).root is not None


def parsed_json(text: str) -> JsonValues:
    """Parse JSON or JSON lines, unless the text is known."""
    return _memo.parsed(text)


class _Memo:
    """The parses of recent texts. Safe to use from many threads."""

    def __init__(self) -> None:
        self._clear()
        self._lock = ForkSafeLock(self._clear)

    def parsed(self, text: str) -> JsonValues:
        """Parse JSON or JSON lines, unless the text is known."""
        with self._lock:
            known = self._parses.get(text)
        if known is not None:
            return known
        found = _parsed_anew(text)
        if found.chars <= _MEMO_CHARS:
            with self._lock:
                self._parses[text] = found
        return found

    def _clear(self) -> None:
        self._parses: LRUCache[str, JsonValues] = LRUCache(
            _MEMO_CHARS, getsizeof=lambda values: values.chars
        )


_memo = _Memo()


def _parsed_anew(text: str) -> JsonValues:
    """Parse JSON or JSON lines."""
    return JsonValues(_root(text), len(text))


def _root(text: str, level: int = 0) -> Node | None:
    """Return the outermost value; None if `text` is neither JSON nor JSON lines."""
    root = _parsed_value(text, Span(0, len(text))) or _json_lines(text)
    if root is not None and level < _DEEPEST_STRING:
        _open_strings(text, root, level)
    if root is not None and not level:
        root.measure()
    return root


def _json_lines(text: str) -> Node | None:
    """The sequence of the values of JSON lines."""
    lines = filled_lines(text)
    values = [_parsed_value(text, line) for line in lines]
    children = [value for value in values if value is not None and value.bracket]
    if len(children) < len(lines) or len(lines) < 2:  # noqa: PLR2004 - one line is no JSON lines
        return None
    return Node(0, 0, 0, end=len(text), children=children)


def _parsed_value(text: str, span: Span) -> Node | None:
    """The value in a stretch of the text; None if it is not JSON."""
    start = span.start + text.startswith("\ufeff", span.start)
    try:
        json.loads(text[start : span.end])
    except (ValueError, RecursionError):
        return None
    return scan_json(text, Span(start, span.end))


def _open_strings(text: str, root: Node, level: int) -> None:
    """Find the values in strings that are JSON themselves."""
    for node in root.walk():
        inside = node.inside
        if inside is None or node.inside_chars < _LEAST_INNER_CHARS:
            continue
        if text[inside.start : inside.end].lstrip()[:1] not in {"{", "["}:
            continue
        said, places = decoded_with_places(text, inside)
        inner = _root(said, level + 1)
        if inner is not None:
            inner.move_to(places)
            node.bracket, node.open_end, node.children = '"', inside.start, [inner]
