"""Scan of JSON, and of notations close to it, for its values.

One linear pass over brackets, quotes and separators. It also reads comments, trailing and missing
commas, single quotes, unquoted words, calls such as `Shop(id=1)`, and values that are cut off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations.splitting._json._escapes import decoded
from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.types import Span

# Deeper values are not opened.
_DEEPEST = 500

# Of longer arrays of numbers, the first, the last, and runs of so many are units.
_RUN_NUMBERS = 32

_OPENING = {"]": "[", "}": "{", ")": "(", ">": "<"}

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)

# A quote ends a string if a separator, a line end or another key follows: strings that were not
# written by a program contain quotes.
_ENDS = r"(?=\s{0,99}(?:[,:\])}=>;/#]|\Z)|[ \t]{0,99}[\r\n]|\s{1,99}\w{1,60}=)"
_TOKEN = re.compile(
    r"(?P<comment>(?<![^\s,\[{(])(?://[^\r\n]*|\#(?!<)[^\r\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/)?))"
    rf'|[bBrRuUfF]{{0,2}}"(?:[^"\\]|\\.|"(?!{_ENDS}))*"?'
    rf"|[bBrRuUfF]{{0,2}}'(?:[^'\\]|\\.|'(?!{_ENDS}))*'?"
    r"|(?<![\w.])\#?<(?=[A-Za-z_])|[\[\]{}(),:>]|=>?|(?:[^\s\[\]{}(),:=>]|<\w{1,40}>|->)+",
    re.DOTALL,
)
_STRING = re.compile(r"[bBrRuUfF]{0,2}([\"'])")
_BRACKETS = {"[", "{", "(", "<", "#<"}
_SEPARATORS = {":", "=", "=>"}
_TAIL = ">;)]}"
_NUMBER = re.compile(r"[+-]?[\d.][\w.+-]{0,99}|NaN|nan|null|None|[+-]?(?:Infinity|inf)")


def scan_json(text: str, span: Span) -> Node:
    """Find the values of valid JSON."""
    scan = _Scan(text, span.start)
    for match in _JSON_TOKEN.finditer(text, *span):
        scan.take(match.group(), match.start())
    return scan.finished().children[0]


def scan_value(text: str, span: Span) -> Node:
    """Find the first value, of any notation, that starts with a bracket at the start of a span.

    It ends with the span if its last bracket is missing.
    """
    scan = _Scan(text, span.start)
    for match in _TOKEN.finditer(text, *span):
        if match.lastgroup:
            scan.take_comment(match.group(), match.start())
        else:
            scan.take(match.group(), match.start())
        if not scan.is_open:
            break
    return scan.finished().children[0]


def scan_record(text: str, span: Span) -> Node:
    """Find the members that start a span, such as `id=1 name='x'`, up to the end of their line."""
    scan = _Scan(text, span.start)
    end = span.start
    for match in _TOKEN.finditer(text, *span):
        if scan.is_complete and "\n" in text[end : match.start()]:
            break
        if not match.lastgroup:
            scan.take(match.group(), match.start())
        end = match.end()
    record = scan.finished()
    record.bracket, record.open_end = "(", span.start
    record.end = max((child.end for child in record.children), default=end)
    record.is_closed = all(child.is_closed for child in record.children[-1:])
    return record


@dataclass(slots=True)
class _Frame:
    """An open bracket, and the member or element in it that is being read."""

    node: Node
    """The value that the bracket opened."""

    items: list[Node]
    """Its members or elements so far."""

    lead_start: int
    """End of the last separator."""

    start: int = -1
    """Start of the item; -1 before its first token."""

    value_start: int = -1
    """Start of its value."""

    end: int = 0
    """End of its last token."""

    name: str | None = None
    """Its key."""

    group: Node | None = None
    """The value in brackets that it ends with."""

    string: Span | None = None
    """The part between the quotes if it is a single string."""

    last: str = ""
    """Its last token: a `word`, `string`, `group` or `separator`."""

    ends_with: str = ""
    """`//` if its last token is a comment to the end of the line."""

    word_start: int = -1
    """Start of its last word or string."""

    word_before: int = 0
    """End of the token before that."""

    is_numeric: bool = True
    """True if all items so far are numbers."""

    def reset(self) -> None:
        """Wait for the next item."""
        self.start = self.value_start = -1
        self.name = self.group = self.string = None
        self.last = self.ends_with = ""


class _Scan:
    """Values found so far."""

    def __init__(self, text: str, start: int) -> None:
        """Start before the first value."""
        self._text = text
        self._frames: list[_Frame] = []
        self._open_frame(Node(start, start, start), start)
        self._open_brackets = dict.fromkeys(_OPENING.values(), 0)

    @property
    def is_open(self) -> bool:
        """True if a bracket is open."""
        return len(self._frames) > 1

    @property
    def is_complete(self) -> bool:
        """True if no bracket is open and no value is missing."""
        return not self.is_open and self._frames[0].last in {"word", "string", "group"}

    def finished(self) -> Node:
        """Close what is open, and return the sequence of all values."""
        while self.is_open:
            self._frames[-1].node.is_closed = False
            self._pop(self._frames[-1].end)
        self._finish_item()
        return self._frames[0].node

    def take(self, mark: str, start: int) -> None:
        """Read the next token."""
        end = start + len(mark)
        if mark in _BRACKETS:
            self._open(mark[-1], start, end)
        elif mark in _OPENING:
            self._close(_OPENING[mark], start, end)
        elif mark == ",":
            self._finish_item()
            self._frames[-1].lead_start = end
        elif mark in _SEPARATORS:
            self._separate(start, end)
        else:
            self._add_word(mark, start, end)

    def take_comment(self, mark: str, start: int) -> None:
        """Read a comment: it belongs to the item on its line, else to the next one."""
        frame, end = self._frames[-1], start + len(mark)
        ends_with = "" if mark.startswith("/*") else "//"
        if frame.last:
            frame.end, frame.ends_with = end, ends_with
            return
        siblings = frame.items
        if siblings and frame.start < 0 and "\n" not in self._text[frame.lead_start : start]:
            siblings[-1].end, siblings[-1].ends_with = end, f",{ends_with}"
            frame.lead_start = end
        elif frame.start < 0:
            frame.start = start

    def _open(self, mark: str, start: int, end: int) -> None:
        frame = self._begin_token(start)
        frame.value_start = start if frame.value_start < 0 else frame.value_start
        node = Node(frame.lead_start, frame.start, frame.value_start, name=frame.name)
        node.bracket, node.open_end = mark, end
        self._open_brackets[mark] += 1
        self._open_frame(node, end)

    def _open_frame(self, node: Node, end: int) -> None:
        """Read the members or elements of a value, from a place on."""
        items: list[Node] = []
        node.children = items
        self._frames.append(_Frame(node, items, end, end=end))

    def _close(self, opening: str, start: int, end: int) -> None:
        if not self._open_brackets[opening]:
            self._add_word(_TAIL, start, end)
            return
        while self._frames[-1].node.bracket != opening:
            self._pop(start)
        self._pop(end)

    def _pop(self, end: int) -> None:
        """Close the last open bracket."""
        self._finish_item()
        frame = self._frames.pop()
        node, parent = frame.node, self._frames[-1]
        self._open_brackets[node.bracket] -= 1
        node.end = end
        node.is_numeric = frame.is_numeric and node.bracket in "[(" and bool(node.children)
        if node.is_numeric and len(node.children) > _RUN_NUMBERS:
            _pack(node)
        parent.group, parent.end, parent.last, parent.string = node, end, "group", None

    def _begin_at_last_word(self, frame: _Frame) -> None:
        """Begin a new item at a word that is a key, as in `id=1 name='x'`."""
        key = Span(frame.word_start, frame.end)
        if frame.node.bracket in {"[", "{"} or not self._text[key.start - 1].isspace():
            return
        frame.end = frame.word_before
        self._finish_item()
        frame.lead_start = frame.word_before
        frame.start = frame.value_start = key.start
        frame.end, frame.last = key.end, "word"

    def _separate(self, start: int, end: int) -> None:
        """Read a mark between a key and its value."""
        frame = self._frames[-1]
        if frame.name is not None and frame.last == "word" and frame.word_start > frame.value_start:
            self._begin_at_last_word(frame)
        if frame.name is not None or frame.group is not None or not frame.last:
            self._add_word(":", start, end)
            return
        # `<Shop id=1>`: the first key stands behind the name of the class.
        key_start = frame.word_start if frame.node.bracket == "<" else frame.value_start
        written = self._text[key_start : frame.end]
        inner = frame.string and self._text[frame.string.start : frame.string.end]
        frame.name = written.strip(" :") if inner is None else decoded(inner)
        frame.value_start, frame.end, frame.last, frame.string = -1, end, "separator", None

    def _add_word(self, mark: str, start: int, end: int) -> None:
        """Read a string or a word of a value."""
        is_tail = not mark.strip(_TAIL)
        frame = self._frames[-1] if is_tail else self._begin_token(start)
        quoted = _STRING.match(mark)
        is_first = frame.value_start < 0
        if frame.start < 0:
            frame.start = start
        if is_first:
            frame.value_start = start
        frame.string = None
        if quoted and is_first:
            closes = len(mark) > quoted.end() and mark.endswith(quoted[1])
            frame.string = Span(start + quoted.end(), end - closes)
        frame.word_start, frame.word_before = start, frame.end
        frame.end, frame.ends_with = end, ""
        if not is_tail:
            frame.last = "string" if quoted else "word"

    def _begin_token(self, start: int) -> _Frame:
        """Begin a new item if a comma is missing before the next token."""
        frame = self._frames[-1]
        if frame.last in {"group", "string"}:
            after = frame.end
            self._finish_item()
            frame.lead_start = after
        if not frame.last:
            frame.start = start if frame.start < 0 else frame.start
        frame.ends_with = ""
        return frame

    def _finish_item(self) -> None:
        """Add the item that is being read to the value that it is in."""
        frame = self._frames[-1]
        if not frame.last:
            return
        node = frame.group
        siblings = frame.items
        if frame.last == "word" and frame.name is None and siblings and self._is_rest(siblings[-1]):
            siblings[-1].end = frame.end
            frame.reset()
            return
        if node is None:
            value_start = frame.end if frame.value_start < 0 else frame.value_start
            node = Node(frame.lead_start, frame.start, value_start, name=frame.name)
            if frame.string is not None:
                node.inside_start, node.inside_end = frame.string
            node.is_numeric = bool(
                frame.is_numeric
                and frame.name is None
                and frame.string is None
                and _NUMBER.fullmatch(self._text, value_start, frame.end)
            )
        node.end, node.ends_with = frame.end, frame.ends_with
        frame.is_numeric = frame.is_numeric and node.is_numeric and node.name is None
        if len(self._frames) <= _DEEPEST:
            frame.items.append(node)
        frame.reset()

    def _is_rest(self, sibling: Node) -> bool:
        """True if a word without a key belongs to the value before it, which has no quotes."""
        is_word = not sibling.children and not sibling.bracket and sibling.inside is None
        return is_word and sibling.name is not None and not sibling.ends_with


def _pack(array: Node) -> None:
    """Join the numbers of a long array into runs, except the first and the last."""
    first, *middle, last = array.children
    if not first.children:
        first.unit_start = array.start
    runs = []
    for at in range(0, len(middle), _RUN_NUMBERS):
        part = middle[at : at + _RUN_NUMBERS]
        run = Node(part[0].lead_start, part[0].start, part[0].value_start, end=part[-1].end)
        run.elements = len(part)
        runs.append(run)
    array.children = [first, *runs, last]
    array.is_packed = True
