"""The values of a text: JSON, JSON lines, what is close to them, and all of these in strings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.splitting._json._escapes import decoded_with_places
from specprefill_integrations.splitting._json._like import values_like_json
from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.splitting._json._scan import scan_json
from specprefill_integrations.splitting._lines import filled_lines
from specprefill_integrations.types import Span

# Recent parses are cached, up to this many characters of JSON: both the detection of the kind of a
# text and its splitting need a parse. They are found by a digest, so that no text is held.
_MEMO_CHARS = 5_000_000

# Shorter texts, such as the rows of a result, are parsed again instead.
_LEAST_MEMO_CHARS = 1000

# Shorter strings are not searched for JSON.
_LEAST_INNER_CHARS = 80

# Strings in strings in strings are searched up to this depth.
_DEEPEST_STRING = 4

_QUOTED = re.compile(r"\s{0,99}[bBrRuU]{0,2}([\"'])")
_BRACKET = re.compile(r"[\[{(]")


StringParts = tuple[Sequence[Span], Sequence[tuple[int, ...]]]
"""The parts of a string, and for each the indices of those that it needs."""


@dataclass(frozen=True, slots=True)
class JsonValues:
    """The values of one text."""

    root: Node | None
    """The outermost value; None if the text is neither JSON nor close to it."""

    chars: int
    """Characters of the text."""

    is_valid: bool = False
    """True if the text is JSON or JSON lines."""

    parts: Mapping[Span, StringParts] = field(default_factory=dict)
    """The parts of strings that were split, by the place of each string."""


def is_json(text: str) -> bool:
    """True if a text is JSON or JSON lines."""
    return parsed_json(text).is_valid


def is_like_json(text: str) -> bool:
    """True if a text is JSON, JSON lines or close to them."""
    return parsed_json(text).root is not None


def parsed_json(text: str) -> JsonValues:
    """Parse JSON or a text close to it, unless the text is known."""
    return _memo.parsed(text)


class _Memo:
    """The parses of recent texts. Safe to use from many threads."""

    def __init__(self) -> None:
        self._clear()
        self._lock = ForkSafeLock(self._clear)

    def parsed(self, text: str) -> JsonValues:
        """Parse JSON or a text close to it, unless the text is known."""
        if len(text) < _LEAST_MEMO_CHARS:
            return _parsed_anew(text)
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            known = self._parses.get(key)
        if known is not None:
            return known
        found = _parsed_anew(text)
        if found.chars <= _MEMO_CHARS:
            with self._lock:
                self._parses[key] = found
        return found

    def _clear(self) -> None:
        self._parses: LRUCache[bytes, JsonValues] = LRUCache(
            _MEMO_CHARS, getsizeof=lambda values: values.chars
        )


_memo = _Memo()


def _parsed_anew(text: str) -> JsonValues:
    """Parse JSON or a text close to it."""
    found = _outermost(text)
    if found.root is not None:
        _open_strings(text, found.root)
        found.root.measure()
    return found


def _outermost(text: str) -> JsonValues:
    """Find the values of a text, without those in its strings."""
    root = _parsed_value(text, Span(0, len(text))) or _json_lines(text)
    if root is not None:
        return JsonValues(root, len(text), is_valid=True)
    return JsonValues(_quoted(text) or values_like_json(text), len(text))


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


def _quoted(text: str) -> Node | None:
    """The string of lines that is the whole text, as Python's `repr` writes one."""
    found = _QUOTED.match(text)
    end = len(text.rstrip()) - 1
    if found is None or end < found.end() or text[end] != found[1] or "\\n" not in text:
        return None
    if found[1] in text[found.end() : end].replace(f"\\{found[1]}", ""):
        return None
    return Node(0, 0, 0, end=len(text), inside_start=found.end(), inside_end=end)


def _open_strings(text: str, root: Node, level: int = 0) -> None:
    """Find the values in strings that are JSON themselves."""
    for node in root.walk() if level < _DEEPEST_STRING else ():
        inside = node.inside if node.inside_chars >= _LEAST_INNER_CHARS else None
        if inside is None or not _BRACKET.search(text, *inside):
            continue
        said, places = decoded_with_places(text, inside)
        inner = _outermost(said).root
        if inner is not None and not inner.inside:
            _open_strings(said, inner, level + 1)
            inner.move_to(places)
            node.bracket, node.open_end, node.children = '"', inside.start, [inner]
