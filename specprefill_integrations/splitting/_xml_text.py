"""Elements of XML with the start tags around them, and what names these.

One regular expression finds the tags, in linear time; there is no parser, so broken XML works too,
and no entity is ever expanded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import regex

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lines import without_blank_ends
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.types import Span

_ATTRIBUTES = r"(?:[^<>\"']++|\"[^\"]{0,100000}\"|'[^']{0,100000}'){0,2000}+"
_MARKUP = regex.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)"
    r"|<![A-Za-z][^<>\[]{0,2000}(?:\[[^\]]{0,50000}\]\s{0,100})?>"
    r"|(?<!\p{GCB=Prepend})"
    rf"<(?P<closes>/?)(?P<name>[\p{{L}}_:][\p{{L}}\p{{N}}_:.-]{{0,100}})(?=[\s/>]){_ATTRIBUTES}>"
    r"(?![\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}])",
    regex.DOTALL,
)
_START = regex.compile(r"\s*+<\?xml\b")
_NAMING = regex.compile(
    r"(?i:(?:.{0,60}[-_.:])?(?:id|name|title|key|label|guid|loc|subject|uid))"
    r"|\w{1,30}(?:Id|ID|Name|Key)"
)

# In property lists, this element names the one below it.
_KEY = "key"

# Further children are no part of a head.
_NAMING_CHILDREN = 4
_HEAD_CHARS = 300

# Deeper elements are split at lines.
_DEEPEST = 20

# First tags of pages and READMEs.
_HTML_NAMES = (
    "a b big blockquote br center code details div em font form h1 h2 h3 h4 h5 h6 hr i img li link "
    "meta nav ol p picture pre section small span strong style sub sup table td tr u ul"
)
_HTML = frozenset(_HTML_NAMES.split())

_LEAST_TAGS = 4
_TAGS_A_LINE = 0.5


@dataclass(slots=True)
class _Element:
    """An element, or the whole text."""

    name: str
    start: int
    content: int
    """Start of its content."""

    end: int
    children: list[_Element] = field(default_factory=list)
    chars: int = 0
    """Characters of text directly in it, without white space at the ends of each run."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class XmlSplitter(OutlineSplitter):
    """Splits XML into elements.

    A small element is one unit. The parts of a large one need its start tag, with the children at
    its beginning up to the one that names it, such as `<artifactId>` or `<title>`. End tags belong
    to the unit before them.
    """

    max_unit_chars: PositiveInt = 400
    """Characters of an element up to which it is one unit; larger ones are opened."""

    heads_stand_alone: ClassVar[bool] = True
    """The name of an element may be all that a question needs of it."""

    lines_flow: ClassVar[bool] = True
    """Line breaks in XML are white space."""

    def parse(self, text: str) -> Outline:
        """Find the elements of `text` and those around them."""
        outline = Outline(text)
        root = elements(text)
        _Writing(outline, self.max_unit_chars).add_children(root, 0, root.end, (), 0)
        return outline


def elements(text: str) -> _Element:
    """The elements of a text, in an element without tags."""
    root = _Element("", 0, 0, len(text))
    around = [root]
    names: Counter[str] = Counter()
    position = 0
    for markup in _MARKUP.finditer(text):
        start, end = markup.span()
        around[-1].chars += len(text[position:start].strip())
        position = end
        name = markup["name"]
        if not name:
            around[-1].chars += (end - start) * text.startswith("<![CDATA[", start)
        elif not markup["closes"]:
            element = _Element(name, start, end, end)
            around[-1].children.append(element)
            if not text.endswith("/>", start, end):
                around.append(element)
                names[name] += 1
        elif names[name]:
            while around[-1].name != name:
                _close(around, names, start)
            _close(around, names, end)
    around[-1].chars += len(text[position:].strip())
    while len(around) > 1:
        _close(around, names, len(text))
    return root


def _close(around: list[_Element], names: Counter[str], end: int) -> None:
    element = around.pop()
    element.end = end
    names[element.name] -= 1


def looks_like_xml(head: str) -> bool:
    """True if a text starts with the declaration or a tag of XML, and much of it is tags."""
    text = head.removeprefix("\ufeff").lstrip()
    if _START.match(text):
        return True
    first = _MARKUP.match(text)
    if not first or (not first["name"] and not text.startswith("<!")) or first["closes"]:
        return False
    if first["name"] and first["name"].lower() in _HTML:
        return False
    found = list(_MARKUP.finditer(text))
    names = [markup["name"] for markup in found if markup["name"]]
    closed = sum(bool(markup["closes"]) or markup[0].endswith("/>") for markup in found)
    lines = sum(1 for line in text.split("\n") if line.strip())
    enough = len(names) >= max(_LEAST_TAGS, _TAGS_A_LINE * lines)
    return enough and closed * 3 >= len(names)


@dataclass(slots=True)
class _Writing:
    """Adds elements to an outline."""

    outline: Outline
    max_chars: int

    def add(self, element: _Element, start: int, needs: Needs, depth: int) -> None:
        """Add an element, with the white space before it from `start`, or its parts."""
        text, most = self.outline.text, self.max_chars
        whole = without_blank_ends(text, Span(start, element.end))
        if whole.end - whole.start <= most:
            self.outline.add(whole, needs)
            return
        if depth >= _DEEPEST:
            self.outline.add_lines(whole, needs, most)
            return
        head_end, rest = self._head(element)
        head = Span(whole.start, head_end)
        if head.end - head.start > min(most, _HEAD_CHARS):
            [first, *_] = split_oversized(text, trimmed(text, head), min(most, _HEAD_CHARS))
            below = self.outline.add(first, needs)
            self._add_text(Span(first.end, head_end), below)
        else:
            below = self.outline.add(without_blank_ends(text, head), needs)
        self.add_children(element, rest, element.end, below, depth + 1)

    def add_children(
        self, element: _Element, first: int, end: int, needs: Needs, depth: int
    ) -> None:
        """Add the children of an element from one of them on, and the text between them."""
        children = element.children[first:]
        position = element.children[first - 1].end if first else element.content
        if element.chars and all(c.end - c.start <= self.max_chars for c in children):
            self._add_text(Span(position, end), needs)
            return
        above: _Element | None = None
        for child in children:
            between = trimmed(self.outline.text, Span(position, child.start))
            self._add_text(between, needs)
            is_blank = between.start == between.end
            named = self._with_key(child, above, needs)
            self.add(child, position if is_blank else between.end, named, depth)
            above, position = child, child.end
        self._add_text(Span(position, end), needs)

    def _with_key(self, child: _Element, above: _Element | None, needs: Needs) -> Needs:
        """The needs of a child with the `<key>` right above it, as in property lists."""
        is_named = above is not None and above.name == _KEY != child.name
        return (*needs, len(self.outline.spans) - 1) if is_named else needs

    def _head(self, element: _Element) -> tuple[int, int]:
        """The end of an element's head, and the index of the first child after it."""
        children = element.children[:_NAMING_CHILDREN]
        end, count = element.content, 0
        for index, child in enumerate(children, start=1):
            if child.children or child.end - element.start > min(self.max_chars, _HEAD_CHARS):
                break
            if child.name != _KEY and _NAMING.fullmatch(child.name):
                end, count = child.end, index
        return (element.content, 0) if element.chars else (end, count)

    def _add_text(self, span: Span, needs: Needs) -> None:
        """Add text, comments and end tags between children."""
        text = self.outline.text
        content = trimmed(text, span)
        if content.start == content.end:
            return
        spans = self.outline.spans
        is_end = text.startswith("</", content.start) and spans
        if is_end and content.end - spans[-1].start <= self.max_chars:
            spans[-1] = Span(spans[-1].start, content.end)
        else:
            pieces = split_oversized(text, content, self.max_chars, lines_flow=True)
            self.outline.add_all(pieces, needs)
