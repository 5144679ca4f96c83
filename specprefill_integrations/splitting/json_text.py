"""JSON and JSON lines -> members and elements; what is kept of them is JSON again.

Every value that is kept stands there as in the source, under the keys that it had, and a count
stands where others were left out. What is no JSON is cut at lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from specprefill_integrations.splitting.lines import LineSplitter
from specprefill_integrations.types import Span

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)

# Deeper texts are no records that someone reads.
_DEEPEST = 100

# Members that say which record this is.
_IDENTITY = re.compile(
    r'"(?:_?id|uuid|guid|key|code|number|name|title|type|kind|slug|label|\w+_id|\w+Id)"'
)
_LONGEST_IDENTITY_CHARS = 100
_MOST_IDENTITIES = 3


@dataclass(slots=True, eq=False)
class _Node:
    """A value, with its key where it is a member."""

    lead_start: int
    """Where the white space before it starts."""

    start: int
    """Where its key starts; of an element, the value itself."""

    value_start: int
    """Where its value starts."""

    end: int = 0
    """Where it ends."""

    bracket: str = ""
    """What the value opens with: `{`, `[`, or nothing of a scalar and of JSON lines as a whole."""

    children: list[_Node] = field(default_factory=list)
    """Its members or elements."""

    @property
    def span(self) -> Span:
        """Key and value."""
        return Span(self.start, self.end)

    def lead(self, text: str) -> str:
        """The white space before it."""
        return text[self.lead_start : self.start]


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSplitter:
    """Cuts JSON, or JSON lines, into members and elements that are kept or dropped as a whole."""

    max_unit_chars: int = 400
    """Characters of an object or array up to which it is one unit; larger ones are looked into."""

    omitted_key: str | None = "omitted"
    """Names the counts of what was left out: `{"omitted": 12}` among elements, `"omitted": 3` among
    members, underscores before it where a member has that name. None: nothing is said."""

    def __call__(self, text: str) -> list[Span]:
        """Cut `text`: disjoint, ascending, none empty."""
        root = _parsed(text)
        if root is None:
            return LineSplitter()(text)
        return [unit.span for unit, _ in self._units(root, ())]

    def links(self, text: str, units: Sequence[Span]) -> list[tuple[int, ...]]:
        """For each unit the members that say which record it belongs to, from the outermost in."""
        root = _parsed(text)
        if root is None:
            return [()] * len(units)
        place = {unit: index for index, unit in enumerate(units)}
        links = []
        for unit, records in self._units(root, ()):
            named: list[int] = []
            for record in records:
                identities = _identities(text, record)
                if unit in identities:  # one of those that name the record needs no other
                    break
                named.extend(place[found.span] for found in identities if found.span in place)
            links.append(tuple(named))
        return links

    def render(self, text: str, kept: Sequence[Span]) -> str:
        """Write the kept units as JSON: what is around them stays, what is beside them is counted.

        Args:
            text: The original.
            kept: Some of its units, ascending.

        Returns:
            JSON, or JSON lines; empty where nothing is kept.
        """
        root = _parsed(text)
        if root is None or not kept:
            return "\n".join(text[span.start : span.end] for span in kept)
        return self._written(text, root, frozenset(kept)) or ""

    def _units(
        self, node: _Node, records: tuple[_Node, ...]
    ) -> Iterator[tuple[_Node, tuple[_Node, ...]]]:
        """Units with the objects that they stand in, from the outermost in."""
        is_lines = not node.bracket and node.children
        if not node.children or (node.end - node.start <= self.max_unit_chars and not is_lines):
            yield node, records
            return
        inside = (*records, node) if node.bracket == "{" else records
        for child in node.children:
            yield from self._units(child, inside)

    def _written(self, text: str, node: _Node, kept: frozenset[Span]) -> str | None:
        """A value with what is kept of it; None where nothing is."""
        if node.span in kept and not (node.children and not node.bracket):
            return text[node.start : node.end]
        written = [self._written(text, child, kept) for child in node.children]
        if all(part is None for part in written):
            return None
        if node.bracket == "{":
            parts = self._members(text, node, written)
        else:
            parts = list(self._elements(text, node, written))
        if not node.bracket:
            return "\n".join(part.strip() for part in parts)
        head = text[node.start : node.value_start + 1]
        return head + ",".join(parts) + text[node.children[-1].end : node.end]

    def _members(self, text: str, node: _Node, written: Sequence[str | None]) -> list[str]:
        """The kept members, and how many are not."""
        pairs = zip(node.children, written, strict=True)
        parts = [child.lead(text) + part for child, part in pairs if part is not None]
        missing = len(written) - len(parts)
        if missing and self.omitted_key is not None:
            keys = {json.loads(_key(text, child)) for child in node.children}
            name = self.omitted_key
            while name in keys:
                name = f"_{name}"
            parts.append(f"{node.children[-1].lead(text)}{json.dumps(name)}: {missing}")
        return parts

    def _elements(self, text: str, node: _Node, written: Sequence[str | None]) -> Iterator[str]:
        """The kept elements, and between them how many are not."""
        missing = 0
        for child, part in zip(node.children, written, strict=True):
            if part is None:
                missing += 1
                continue
            yield from self._count(child.lead(text), missing)
            missing = 0
            yield child.lead(text) + part
        yield from self._count(node.children[-1].lead(text), missing)

    def _count(self, lead: str, missing: int) -> Iterator[str]:
        """The element that says how many are missing, where some are."""
        if missing and self.omitted_key is not None:
            yield lead + json.dumps({self.omitted_key: missing})


def _identities(text: str, record: _Node) -> list[_Node]:
    """The members by which a reader tells an object from others of its kind."""
    named = (
        child
        for child in record.children
        if not child.children
        and child.end - child.start <= _LONGEST_IDENTITY_CHARS
        and _IDENTITY.fullmatch(_key(text, child))
    )
    return list(islice(named, _MOST_IDENTITIES))


def _key(text: str, member: _Node) -> str:
    """A member's key as it is written, quotes included."""
    found = _TOKEN.match(text, member.start)
    assert found, "a member starts with its key"
    return found.group()


@lru_cache(maxsize=8)
def _parsed(text: str) -> _Node | None:
    """The values of a text; None where it is neither JSON nor JSON lines."""
    whole = _parsed_value(text, Span(0, len(text)))
    if whole is not None:
        return whole
    lines = LineSplitter(max_unit_chars=len(text) or 1)(text)
    values = [_parsed_value(text, line) for line in lines]
    children = [value for value in values if value is not None and value.bracket]
    if len(children) < len(lines) or len(lines) < 2:  # noqa: PLR2004 - one line is no JSON lines
        return None
    return _Node(0, 0, 0, end=len(text), children=children)


def _parsed_value(text: str, span: Span) -> _Node | None:
    """The value that a stretch of the text holds; None where it is no JSON."""
    start = span.start + text.startswith("\ufeff", span.start)
    try:
        json.loads(text[start : span.end])
    except (ValueError, RecursionError):
        return None
    return _scanned(text, Span(start, span.end))


def _scanned(text: str, span: Span) -> _Node | None:
    """Where the values of valid JSON stand; None where they are nested too deep."""
    above: list[_Node] = [_Node(span.start, span.start, span.start)]
    key_start: int | None = None
    after_separator = span.start
    for match in _TOKEN.finditer(text, span.start, span.end):
        mark, start, end = match.group(), match.start(), match.end()
        if mark in "]}":
            above.pop().end = end
        elif mark == ",":
            after_separator, key_start = end, None
        elif mark != ":":
            if above[-1].bracket == "{" and key_start is None:
                key_start = start
                continue
            first = start if key_start is None else key_start
            node = _Node(after_separator, first, start, end=end)
            above[-1].children.append(node)
            if mark in "[{":
                node.bracket = mark
                after_separator, key_start = end, None
                above.append(node)
                if len(above) > _DEEPEST:
                    return None
    return above[0].children[0]
