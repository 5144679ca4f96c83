"""Texts that hold values in JSON, or in a notation close to it, and little else.

Examples are JSON with a preface, a fence, comments or a missing end, the output of Python's `repr`,
JSONP, several values one after the other, and JSON lines of which some are broken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from specprefill_integrations.splitting._finer import trimmed
from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.splitting._json._scan import scan_record, scan_value
from specprefill_integrations.splitting._lines import filled_lines
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span

# Characters examined before the whole text is.
_HEAD_CHARS = 20_000

# Minimum share of the characters that are part of values.
_LEAST_SHARE = 0.7

# Maximum share of members and elements that look like code or natural language.
_MOST_ODD_SHARE = 0.1
_LEAST_SCALARS = 2

# Minimum share of lines that are values by themselves.
_LEAST_LINES_SHARE = 0.5

# Characters of a line that introduces a value, and of a label on its own line.
_HEAD_LINE_CHARS = 120
_LABEL_CHARS = 60

# Values whose labels are searched for times.
_LABELS = 5

_START = re.compile(
    r"(?P<record>^[A-Za-z_]\w{0,40}=(?=['\[{(]))|[\[{]|^#?<(?=[A-Z][\w.]{0,80}[ :(])"
    r"|(?:(?<=[\w>])|\A\s{0,99})\(",
    re.MULTILINE,
)
_QUOTES = "\"'`"
_CALLED = re.compile(r"[\w>]\(")
_TAIL = re.compile(r"[ \t]{0,20}[;,)\]}>]{1,9}(?=[ \t]{0,20}(?:[\r\n]|\Z))")
_FENCE = re.compile(
    r"[ \t]{0,20}(?:\r?\n[ \t]{0,20})?(?:```|~~~)[`~]{0,9}(?=[ \t]{0,20}(?:[\r\n]|\Z))"
)
_FENCE_LINE = re.compile(r"\s*(?:```|~~~)")
_TIME = re.compile(r"\d{1,4}[:/-]\d\d")
_KEY = re.compile(r"[\w$@.:*-]{1,80}")
_LITERAL = re.compile(
    r"Array|Object|Circular \*\d+|\.\.\. \d+ more items?|"
    r"[+-]?\d[\w.+:-]*|true|false|null|True|False|None|nil|undefined|NaN|nan|[+-]?(?:Infinity|inf)"
    r"|\.\.\.|[A-Za-z_]\w{0,40}(?:\.\w{1,40}){1,5}"
)
_OPENING = re.compile(r"[\w.<>:$&%#]{0,80}\s?#?[\[{(<]")
_PLAIN = re.compile(r"[^;`\n(){}]{1,300}")


def values_like_json(text: str) -> Node | None:
    """Find the values of a text that is close to JSON.

    Returns:
        The values and the texts between them, as one sequence; None if the text is no such text.
    """
    if not _may_be(text):
        return None
    return _lines_of_values(text) or _values_between_texts(text)


def _may_be(text: str) -> bool:
    """True if the beginning of a text holds little else than values."""
    if len(text) <= _HEAD_CHARS:
        return True
    head = text[:_HEAD_CHARS]
    return bool(_lines_of_values(head) or _values_between_texts(head))


def _are_data(text: str, values: Sequence[Node], rest: Sequence[Span]) -> bool:
    """True if values are most of a text and look like data.

    Args:
        text: The text.
        values: The values in it.
        rest: The other parts of it.
    """
    inside = sum(_filled_chars(text, Span(node.value_start, node.end)) for node in values)
    outside = sum(_filled_chars(text, span) for span in rest)
    outside += sum(_filled_chars(text, Span(node.start, node.value_start)) for node in values)
    if not values or inside < _LEAST_SHARE * (inside + outside):
        return False
    if any(_TIME.search(text, node.start, node.open_end) for node in values[:_LABELS]):
        return False  # a log
    inner = [
        child
        for value in values
        for one in value.walk()
        for child in one.children
        if one.bracket != "<" or child.name is not None  # `<Lock at 0x7f>` is one value
    ]
    odd = sum(_is_odd(text, one) for one in inner)
    scalars = sum(not one.bracket for one in inner)
    return scalars >= _LEAST_SCALARS and odd <= _MOST_ODD_SHARE * len(inner)


def _filled_chars(text: str, span: Span) -> int:
    return len("".join(text[span.start : span.end].split()))


def _is_odd(text: str, node: Node) -> bool:
    """True if a member or element looks like code or natural language."""
    if node.name is not None:
        key = text[node.start : node.value_start].rstrip(" :=>")
        if not key.endswith(("'", '"')) and not _KEY.fullmatch(node.name):
            return True
    if text.startswith("=>", node.value_start):
        return True  # its key is the value before it, as PHP writes dumps
    if node.inside is not None or node.is_numeric:
        return False
    written = text[node.value_start : node.open_end or node.end].strip()
    if node.bracket:
        return not _OPENING.fullmatch(written)
    return not (_LITERAL if node.name is None else _PLAIN).fullmatch(written)


def _lines_of_values(text: str) -> Node | None:
    """The lines of a text most of which are values."""
    lines = filled_lines(text)
    found = [_value_in(text, line) for line in lines]
    values = [value for value in found if value is not None]
    if len(values) < max(2, _LEAST_LINES_SHARE * len(lines)):
        return None
    children = [value or _text_node(line) for value, line in zip(found, lines, strict=True)]
    rest = [child.unit for child in children if not child.bracket]
    if not _are_data(text, values, rest):
        return None
    return Node(0, 0, 0, end=len(text), children=children)


def _value_in(text: str, line: Span) -> Node | None:
    """The value that a line consists of, with at most a label before it."""
    start = _START.search(text, *line)
    if start is None or start.end() - line.start > _LABEL_CHARS:
        return None
    node = _scanned(text, start, line.end)
    label = text[line.start : start.end() - 1]
    is_whole = node.end == line.end and node.is_closed
    if not is_whole or not _holds_data(text, node) or "'" in label or '"' in label:
        return None
    node.start = node.lead_start = line.start
    return node


def _values_between_texts(text: str) -> Node | None:
    """The values of a text, and what stands between them."""
    values: list[Node] = []
    children: list[Node] = []
    rest: list[Span] = []
    at = last_end = 0
    while (start := _START.search(text, at)) is not None:
        node = _scanned(text, start, len(text))
        at = node.end
        if not _holds_data(text, node):
            continue
        head_start = _head_start(text, last_end, node.start)
        node.start = node.lead_start = head_start
        at = node.end = _with_tail(text, node)
        between = Span(last_end, head_start)
        rest.append(between)
        children += (*_text_nodes(text, between), node)
        values.append(node)
        last_end = node.end
    rest.append(Span(last_end, len(text)))
    if not _are_data(text, values, rest):
        return None
    children += _text_nodes(text, rest[-1])
    return Node(0, 0, 0, end=len(text), children=children)


def _scanned(text: str, start: re.Match[str], end: int) -> Node:
    if start["record"] is not None:
        return scan_record(text, Span(start.start(), end))
    return scan_value(text, Span(start.end() - 1, end))


def _holds_data(text: str, node: Node) -> bool:
    """True if a value holds more than a word in brackets, or than one member without any.

    A value right after a quote is part of a string, such as a cell of a table.
    """
    if node.start and text[node.start - 1] in _QUOTES:
        return False
    if node.open_end == node.value_start:
        return len(node.children) > 1
    if any(child.name is not None or child.bracket for child in node.children):
        return True
    is_call = node.bracket == "(" and node.start and _CALLED.match(text, node.start - 1)
    data = [child for child in node.children if child.inside or child.is_numeric]
    return not is_call and len(data) > 1


def _head_start(text: str, after: int, start: int) -> int:
    """Start of the label and of the lines that introduce a value.

    Args:
        text: The text.
        after: End of the value before.
        start: Start of the value.
    """
    line_start = 1 + max(after - 1, *(text.rfind(mark, after, start) for mark in "\r\n"))
    label = trimmed(text, Span(line_start, start))
    if label.end - label.start > _LABEL_CHARS or (after and line_start == after):
        return start
    head_start = label.start
    for line in reversed(filled_lines(text[after:line_start])):
        if line.end - line.start > _HEAD_LINE_CHARS:
            break
        head_start = after + line.start
        if not _FENCE_LINE.match(text, head_start):
            break
    return head_start


def _with_tail(text: str, node: Node) -> int:
    """End of a value with the punctuation and the end of the fence after it."""
    end = node.end
    for pattern in (_TAIL, _FENCE):
        found = pattern.match(text, end)
        end = found.end() if found else end
    return end


def _text_nodes(text: str, span: Span) -> list[Node]:
    """The sentences of a text between values."""
    part = text[span.start : span.end]
    return [_text_node(Span(span.start + a, span.start + b), 0) for a, b in ProseSplitter()(part)]


def _text_node(span: Span, elements: int = 1) -> Node:
    return Node(span.start, span.start, span.start, end=span.end, elements=elements)
