"""Members and elements of JSON and JSON lines; what is kept is valid JSON.

Kept values are copied from the source, under the same keys, and omitted ones are counted. An
oversized string is split into sentences. A text that is not JSON is split into lines.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import ClassVar

from cachetools import LRUCache

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations._visible import visible
from specprefill_integrations.splitting._json_strings import sentences_in, written_text
from specprefill_integrations.splitting._lines import LineSplitter, filled_lines
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.splitting._splitter import SplitResult, Splitter, unit_chars
from specprefill_integrations.types import CountTokens, Span

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)

# Deeper values are not opened.
_DEEPEST = 100

# Keys of members that identify a record.
_IDENTITY = re.compile(
    r'"(?:_?id|uuid|guid|key|code|number|name|title|type|kind|slug|label'
    r'|\w+(?:_id|Id|ID|_number|Number|_code|Code))"'
)
_LONGEST_IDENTITY_CHARS = 100
_MOST_IDENTITIES = 3

_REFERENCE_KEY = "reference"

_MISSING_SENTENCES = "[...]"

# A typical count of missing elements, to estimate its cost.
_TYPICAL_COUNT = ' {"omitted": 12},'

# Small members are readable alone, so a unit may cost at most a quarter of the limit.
_UNITS_IN_LIMIT = 4
_LEAST_UNIT_TOKENS = 16

# Error of an estimated cost in tokens where two texts join.
_JOINT_TOKENS = 2

# Recent parses are cached, up to this many characters of JSON: both the detection of the kind of a
# text and its splitting need a parse.
_MEMO_CHARS = 2_000_000


@dataclass(slots=True, eq=False)
class _Node:
    """A value, with its key if it is a member."""

    lead_start: int
    """Start of the white space before it."""

    start: int
    """Start of its key, or of the value of an element."""

    value_start: int
    """Start of its value."""

    end: int = 0
    """End of the value."""

    bracket: str = ""
    """Its opening bracket, `{` or `[`; empty for a scalar and for the root of JSON lines."""

    children: list[_Node] = field(default_factory=list)
    """Its members or elements."""

    member_names: frozenset[str] | None = None
    """The names of its members, filled at first use."""

    @property
    def span(self) -> Span:
        """Key and value."""
        return Span(self.start, self.end)

    @property
    def between_quotes(self) -> Span:
        """The part of a string between its quotes."""
        return Span(self.value_start + 1, self.end - 1)

    def lead(self, text: str) -> str:
        """The white space before it."""
        return text[self.lead_start : self.start]

    def names(self, text: str) -> frozenset[str]:
        """The names of its members."""
        if self.member_names is None:
            self.member_names = frozenset(json.loads(_key(text, child)) for child in self.children)
        return self.member_names


@dataclass(frozen=True, slots=True)
class JsonValues:
    """The values of one text."""

    root: _Node | None
    """The outermost value; None if the text is neither JSON nor JSON lines."""

    chars: int
    """Characters of the text."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSplitter(Splitter[JsonValues]):
    """Splits JSON, or JSON lines, into members and elements."""

    max_unit_chars: PositiveInt = 400
    """Characters of an object or array up to which it is one unit; larger ones are opened."""

    omitted_key: str | None = "omitted"
    """Name of the counts of missing values: `{"omitted": 12}` among elements, `"omitted": 3` among
    members, with leading underscores if a member has that name. None: no counts."""

    cuts_long_texts: bool = True
    """True to keep sentences of a string that alone costs more than the whole budget."""

    cut_texts: frozenset[Span] = frozenset()
    """Strings that are split into sentences, with `[...]` for missing ones."""

    heads_stand_alone: ClassVar[bool] = True
    """The name of a record may be all that a question needs."""

    words_stand_alone: ClassVar[bool] = False
    """A part of a JSON value is not JSON."""

    def with_max_unit_chars(self, max_unit_chars: int) -> JsonSplitter:
        """Return this splitter with smaller units; itself if its units are no larger already."""
        if max_unit_chars >= self.max_unit_chars:
            return self
        return replace(self, max_unit_chars=max_unit_chars)

    def parse(self, text: str) -> JsonValues:
        """Find the values of `text`."""
        return _memo.parsed(text)

    def units(self, text: str, parsed: JsonValues) -> list[Span]:
        """Return members and elements; lines if `text` is not JSON."""
        if parsed.root is None:
            return LineSplitter()(text)
        return [
            span
            for leaf in self._leaves(parsed.root)
            for span in self._sentences(text, leaf) or [leaf.span]
        ]

    def links(
        self, text: str, units: Sequence[Span], parsed: JsonValues | None = None
    ) -> list[tuple[int, ...]]:
        """Return the members that identify the records of each unit, from the outermost in."""
        root = (parsed or self.parse(text)).root
        if root is None:
            return [()] * len(units)
        place = {unit: index for index, unit in enumerate(units)}
        links: list[tuple[int, ...]] = []
        waiting: list[tuple[_Node, tuple[int, ...]]] = [(root, ())]
        while waiting:
            node, needs = waiting.pop()
            children = self._opened(node)
            if not children:
                after = bisect_left(units, (node.end, 0))  # one unit, or sentences
                links += [needs] * (after - len(links))
                continue
            named = _identities(text, node) if node.bracket == "{" else []
            below = (*needs, *(place[one.span] for one in named if one.span in place))
            # An identity does not need the others.
            waiting += [(one, needs if one in named else below) for one in reversed(children)]
        return links

    def refine(
        self,
        found: SplitResult[JsonValues],
        costs: Sequence[int],
        limit: int,
        count_tokens: CountTokens,
        gaps: GapStyle,  # noqa: ARG002
    ) -> SplitResult[JsonValues]:
        """Open values that cost more than a quarter of the limit.

        A value is never cut, except for a string that alone costs more than the whole limit: it
        is split into sentences.
        """
        largest = max(costs, default=0)
        most = max(1, limit // _UNITS_IN_LIMIT)
        splitter = self
        if largest > most:
            splitter = self.with_max_unit_chars(unit_chars(found.text, most, sum(costs)))
        finer = found if splitter is self else splitter.split_again(found)
        if largest <= limit or most < _LEAST_UNIT_TOKENS or not self.cuts_long_texts:
            return finer
        if finer is not found:
            costs = count_tokens(finer.parts)
        oversized = [u for u, cost in zip(finer.units, costs, strict=True) if cost > limit]
        return replace(splitter, cut_texts=frozenset(oversized)).split_again(found)

    def split_again(self, found: SplitResult[JsonValues]) -> SplitResult[JsonValues]:
        """Split a text that another JSON splitter has parsed."""
        units = tuple(self.units(found.text, found.parsed))
        return SplitResult(self, found.text, found.parsed, units)

    def typical_marker(self, gaps: GapStyle) -> str:  # noqa: ARG002
        """Return a typical count of missing elements."""
        return _TYPICAL_COUNT

    def estimate_slack(self, gap_tokens: int) -> int:
        """Return by how many tokens one more unit may cost less than estimated.

        Estimates ignore the brackets around a member, and that all missing members of an object
        share one count.
        """
        return _JOINT_TOKENS + 2 * gap_tokens

    def joined(self, text: str, spans: Sequence[Span]) -> tuple[Span, ...]:  # noqa: ARG002
        """Return the spans unchanged: `render` writes the commas between them."""
        return tuple(spans)

    def render(
        self,
        text: str,
        kept: Sequence[Span],
        *,
        gaps: GapStyle | None = None,  # noqa: ARG002
        reference: str | None = None,
        parsed: JsonValues | None = None,
    ) -> str:
        """Write the kept units as JSON, with the brackets around them and counts of the rest.

        Args:
            text: The original.
            kept: Some of its units, ascending.
            gaps: Not used: JSON shows gaps as counts.
            reference: The value of a `"reference"` beside the first count.
            parsed: The parse of the text; None parses it again.

        Returns:
            JSON, or JSON lines; empty if nothing is kept.
        """
        root = (parsed or self.parse(text)).root
        if root is None or not kept:
            return "\n".join(text[span.start : span.end] for span in kept)
        shown = None if reference is None else visible(reference)
        return _Writer(text, kept, self.omitted_key, shown).write(root) or ""

    def _leaves(self, root: _Node) -> Iterator[_Node]:
        """Yield the values that are not opened, in order."""
        waiting = [root]
        while waiting:
            node = waiting.pop()
            children = self._opened(node)
            if children:
                waiting.extend(reversed(children))
            else:
                yield node

    def _opened(self, node: _Node) -> Sequence[_Node]:
        """The values in a large one; none of a value that is one unit."""
        is_lines = not node.bracket
        is_large = node.end - node.start > self.max_unit_chars
        return node.children if is_large or is_lines else ()

    def _sentences(self, text: str, node: _Node) -> list[Span]:
        """Return the sentences of a string that may be cut; none of any other value."""
        if node.span not in self.cut_texts or text[node.value_start] != '"':
            return []
        return sentences_in(text, node.between_quotes, self.max_unit_chars)


@dataclass(slots=True)
class _Writer:
    """Writes the kept units of one text, in order."""

    text: str
    """The original."""

    kept: Sequence[Span]
    """Its kept units, ascending."""

    omitted_key: str | None
    """See `JsonSplitter`."""

    reference: str | None
    """The reference for the next count; cleared once written."""

    def write(self, node: _Node) -> str | None:
        """Write a value with its kept parts; None if nothing of it is kept."""
        first = bisect_left(self.kept, (node.start, 0))
        if first == len(self.kept) or self.kept[first].start >= node.end:
            return None  # without opening it: most of a text is not kept
        if self.kept[first] == node.span and not (node.children and not node.bracket):
            return self.text[node.start : node.end]
        if not node.children:
            return self._text(node, first)
        written = [self.write(child) for child in node.children]
        if all(part is None for part in written):
            return None
        if node.bracket == "{":
            parts = self._members(node, written)
        else:
            parts = list(self._elements(node, written))
        if not node.bracket:
            return "\n".join(part.strip() for part in parts)
        head = self.text[node.start : node.value_start + 1]
        return head + ",".join(parts) + self.text[node.children[-1].end : node.end]

    def _text(self, node: _Node, first: int) -> str:
        """Write a string with its kept sentences.

        Args:
            node: The string.
            first: Index in `kept` of its first sentence.
        """
        inside = node.between_quotes
        sentences = self.kept[first : bisect_left(self.kept, (node.end, 0))]
        said = written_text(self.text, inside, sentences, self._missing_sentences)
        return self.text[node.start : inside.start] + said + self.text[inside.end : node.end]

    def _missing_sentences(self) -> str:
        """The gap marker within strings, escaped; the first marker includes the reference."""
        if self.omitted_key is None:
            return ""
        if self.reference is None:
            return _MISSING_SENTENCES
        reference, self.reference = self.reference, None
        return f"{_MISSING_SENTENCES} [{_REFERENCE_KEY} {json.dumps(reference)[1:-1]}]"

    def _members(self, node: _Node, written: Sequence[str | None]) -> list[str]:
        """The kept members, and the count of the others."""
        pairs = zip(node.children, written, strict=True)
        parts = [child.lead(self.text) + part for child, part in pairs if part is not None]
        missing = len(written) - len(parts)
        if missing and self.omitted_key is not None:
            taken = node.names(self.text)
            count = {_free(name, taken): value for name, value in self._count(missing).items()}
            parts.append(node.children[-1].lead(self.text) + json.dumps(count)[1:-1])
        return parts

    def _elements(self, node: _Node, written: Sequence[str | None]) -> Iterator[str]:
        """The kept elements, with counts of the others between them."""
        missing = 0
        for child, part in zip(node.children, written, strict=True):
            if part is None:
                missing += 1
                continue
            yield from self._gap(child.lead(self.text), missing)
            missing = 0
            yield child.lead(self.text) + part
        yield from self._gap(node.children[-1].lead(self.text), missing)

    def _gap(self, lead: str, missing: int) -> Iterator[str]:
        """The element with the count of missing ones, if any are missing."""
        if missing and self.omitted_key is not None:
            yield lead + json.dumps(self._count(missing))

    def _count(self, missing: int) -> dict[str, int | str]:
        """The count of missing values; the first count includes the reference."""
        assert self.omitted_key is not None, "counts need a key"
        count: dict[str, int | str] = {self.omitted_key: missing}
        if self.reference is not None:
            count[_REFERENCE_KEY] = self.reference
            self.reference = None
        return count


def is_json(text: str) -> bool:
    """True if a text is JSON or JSON lines."""
    return _memo.parsed(text).root is not None


def _free(name: str, keys: Container[str]) -> str:
    """The name, with leading underscores if it is taken."""
    while name in keys:
        name = f"_{name}"
    return name


def _identities(text: str, record: _Node) -> list[_Node]:
    """The members that identify an object among others of its kind."""
    named = (
        child
        for child in record.children
        if not child.children
        and child.end - child.start <= _LONGEST_IDENTITY_CHARS
        and _IDENTITY.fullmatch(_key(text, child))
    )
    return list(islice(named, _MOST_IDENTITIES))


def _key(text: str, member: _Node) -> str:
    """The key of a member as written, with its quotes."""
    found = _TOKEN.match(text, member.start)
    assert found, "a member starts with its key"
    return found.group()


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
        parsed = _parsed_anew(text)
        if parsed.chars <= _MEMO_CHARS:
            with self._lock:
                self._parses[text] = parsed
        return parsed

    def _clear(self) -> None:
        self._parses: LRUCache[str, JsonValues] = LRUCache(
            _MEMO_CHARS, getsizeof=lambda values: values.chars
        )


_memo = _Memo()


def _parsed_anew(text: str) -> JsonValues:
    """Parse JSON or JSON lines."""
    return JsonValues(_root(text), len(text))


def _root(text: str) -> _Node | None:
    """Return the outermost value; None if `text` is neither JSON nor JSON lines."""
    whole = _parsed_value(text, Span(0, len(text)))
    if whole is not None:
        return whole
    lines = filled_lines(text)
    values = [_parsed_value(text, line) for line in lines]
    children = [value for value in values if value is not None and value.bracket]
    if len(children) < len(lines) or len(lines) < 2:  # noqa: PLR2004 - one line is no JSON lines
        return None
    return _Node(0, 0, 0, end=len(text), children=children)


def _parsed_value(text: str, span: Span) -> _Node | None:
    """The value in a stretch of the text; None if it is not JSON."""
    start = span.start + text.startswith("\ufeff", span.start)
    try:
        json.loads(text[start : span.end])
    except (ValueError, RecursionError):
        return None
    return _scanned(text, Span(start, span.end))


def _scanned(text: str, span: Span) -> _Node:
    """The values of valid JSON, with their positions."""
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
            if len(above) <= _DEEPEST:
                above[-1].children.append(node)
            if mark in "[{":
                node.bracket = mark
                after_separator, key_start = end, None
                above.append(node)
    return above[0].children[0]
