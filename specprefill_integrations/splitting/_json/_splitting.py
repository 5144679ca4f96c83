"""Members and elements of JSON, JSON lines and texts close to them; kept JSON is valid JSON.

Kept values are copied from the source, under the same keys, and omitted ones are counted. A long
string is split into sentences or lines, or opened if it is JSON itself. Any other text is split
into lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations._visible import visible
from specprefill_integrations.splitting._json._identities import identities
from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.splitting._json._strings import parts_of_string
from specprefill_integrations.splitting._json._tables import (
    Columns,
    Header,
    header_row,
    headers_in,
)
from specprefill_integrations.splitting._json._values import JsonValues, StringParts, parsed_json
from specprefill_integrations.splitting._json._writer import JsonWriter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.splitting._splitter import SplitResult, Splitter, unit_chars
from specprefill_integrations.types import CountTokens, Span

# A typical count of missing elements, to estimate its cost.
_TYPICAL_COUNT = ' {"omitted": 12},'

# Small members are readable alone, so a unit may cost at most a quarter of the limit.
_UNITS_IN_LIMIT = 4

# Strings are not split into smaller parts.
_LEAST_PART_CHARS = 60

# Error of an estimated cost in tokens where two texts join.
_JOINT_TOKENS = 2


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSplitter(Splitter[JsonValues]):
    """Splits JSON, or JSON lines, into members and elements."""

    max_unit_chars: PositiveInt = 400
    """Characters of a value up to which it is one unit; larger ones are opened."""

    omitted_key: str | None = "omitted"
    """Name of the counts of missing values: `{"omitted": 12}` among elements, `"omitted": 3` among
    members, with leading underscores if a member has that name. None: no counts."""

    cuts_long_texts: bool = True
    """True to let `refine` split strings above `max_unit_chars` into sentences or lines, with
    `[...]` for missing ones. False to keep or drop every string as a whole."""

    max_text_chars: PositiveInt | None = None
    """Characters of a string up to which it is one unit. None: all, unless a string is the whole
    text."""

    max_around_chars: PositiveInt | None = None
    """Values whose keys and brackets around them are longer are not opened. None: no maximum."""

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
        return parsed_json(text)

    def units(self, text: str, parsed: JsonValues) -> list[Span]:
        """Return members and elements; lines if `text` is not JSON."""
        if parsed.root is None:
            return LineSplitter()(text)
        return [
            span
            for leaf in self._leaves(parsed.root)
            for span in self._parts(text, leaf, parsed)[0] or [leaf.unit]
        ]

    def links(
        self, text: str, units: Sequence[Span], parsed: JsonValues | None = None
    ) -> list[tuple[int, ...]]:
        """Return the members that identify the records of each unit, and the ends of its array.

        Rows of a table need the names of their columns. The first and the last number of a long
        array of numbers are kept together.
        """
        parsed = parsed or self.parse(text)
        root = parsed.root
        if root is None:
            return [()] * len(units)
        place = {unit: index for index, unit in enumerate(units)}
        links: list[tuple[int, ...]] = []
        waiting: list[tuple[Node, tuple[int, ...], Columns | None]] = [(root, (), None)]
        has_tables = False
        while waiting:
            node, needs, columns = waiting.pop()
            children = self._opened(node)
            if not children:
                needs += columns.places if columns else ()
                first = len(links)
                count = bisect_left(units, (node.end, 0)) - first  # parts, if it is a string
                parts = self._parts(text, node, parsed)[1] if count > 1 else []
                inner = parts if len(parts) == count else [()] * count
                links += [(*needs, *(first + index for index in one)) for one in inner]
                continue
            is_element = node is not root and node.name is None
            named = identities(text, node, place, is_element=is_element)
            if node.is_packed:
                named = [one.unit for one in (children[0], children[-1]) if one.unit in place]
            elif columns and columns.names_row(node):
                named = [one.unit for one in children[:1] if one.unit in place]
            below = (*needs, *sorted(place[one] for one in named))
            # An id may be what is asked for, so it needs the name. The name does not need the id.
            dependent, free = (named[:1], named[1:]) if node.is_packed else (named[1:], named[:1])
            own = dict.fromkeys(free, needs)
            own |= dict.fromkeys(dependent, (*needs, *(place[one] for one in free)))
            has_tables |= columns is not None
            columns_below = self._columns_below(node, columns, place)
            waiting += [
                (one, own.get(one.unit, below), inner)
                for one, inner in zip(reversed(children), reversed(columns_below), strict=True)
            ]
        return _closed(links) if has_tables else links

    def _columns_below(
        self, node: Node, columns: Columns | None, place: Mapping[Span, int]
    ) -> Sequence[Columns | None]:
        """Return what names the columns of each member or element of an opened value."""
        if columns:
            return columns.below(node)
        if node.bracket == "{":
            headers = headers_in(node)
            return [
                self._columns(headers[one], place) if one in headers else None
                for one in node.children
            ]
        header = header_row(node)
        if header is None:
            return [None] * len(node.children)
        row = self._columns(header, place)._replace(is_row=True)
        return [None, *[row] * (len(node.children) - 1)]

    def _columns(self, header: Header, place: Mapping[Span, int]) -> Columns:
        """Return the units that name the columns of a table."""
        is_one = not (self._opened(header.holder) and self._opened(header.names))
        nodes: Sequence[Node] = [header.holder if not self._opened(header.holder) else header.names]
        if not is_one:
            nodes = header.names.children
        places = [
            tuple(place[leaf.unit] for leaf in self._leaves(one) if leaf.unit in place)
            for one in nodes
        ]
        return Columns(tuple(places * len(header.names.children) if is_one else places))

    def refine(
        self,
        found: SplitResult[JsonValues],
        costs: Sequence[int],
        limit: int,
        count_tokens: CountTokens,
        gaps: GapStyle,
    ) -> SplitResult[JsonValues]:
        """Open values that cost more than a quarter of the limit.

        Sizes are halved, so that slightly different limits give the same units. A value is not
        opened if the keys and brackets around its members alone would cost more than the limit.
        """
        marker = self.typical_marker(gaps)
        around = limit * len(marker) // max(1, count_tokens([marker])[0])
        splitter = replace(self, max_around_chars=max(1, around))
        most = max(1, limit // _UNITS_IN_LIMIT)
        if max(costs, default=0) > most:
            wanted = max(1, unit_chars(found.text, most, sum(costs)))
            chars = self.max_unit_chars
            while chars > wanted:
                chars = max(1, chars // 2)
            splitter = splitter.with_max_unit_chars(chars)
        if self.cuts_long_texts:
            most_chars = max(splitter.max_unit_chars, _LEAST_PART_CHARS)
            splitter = replace(splitter, max_text_chars=most_chars)
        parsed = splitter.with_parts(found.text, found.parsed)
        return SplitResult(splitter, found.text, parsed, tuple(splitter.units(found.text, parsed)))

    def with_parts(self, text: str, parsed: JsonValues) -> JsonValues:
        """Return the values of `text` with the parts of its long strings."""
        plain = replace(parsed, parts={})
        leaves = self._leaves(parsed.root) if parsed.root else ()
        return replace(plain, parts={leaf.unit: self._parts(text, leaf, plain) for leaf in leaves})

    def typical_marker(self, gaps: GapStyle) -> str:  # noqa: ARG002
        """Return a typical count of missing elements."""
        return _TYPICAL_COUNT

    def estimate_slack(self, gap_tokens: int) -> int:
        """Return by how many tokens one more unit may cost less than estimated.

        Estimates ignore the brackets around a member, and that all missing members of an object
        share one count.
        """
        return _JOINT_TOKENS + 2 * gap_tokens

    def joined(
        self,
        text: str,  # noqa: ARG002
        spans: Sequence[Span],
        parsed: JsonValues | None = None,  # noqa: ARG002
    ) -> tuple[Span, ...]:
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
        return JsonWriter(text, kept, self.omitted_key, shown).write(root)

    def _leaves(self, root: Node) -> Iterator[Node]:
        """Yield the values that are not opened, in order."""
        waiting = [root]
        while waiting:
            node = waiting.pop()
            children = self._opened(node)
            if children:
                waiting.extend(reversed(children))
            else:
                yield node

    def _opened(self, node: Node) -> Sequence[Node]:
        """The values in a large one; none of a value that is one unit."""
        is_sequence = not node.bracket
        is_large = node.end - node.start > self.max_unit_chars
        if not node.children or not (is_large or is_sequence):
            return ()
        most = self.max_around_chars
        return node.children if most is None or node.children[0].around <= most else ()

    def _parts(self, text: str, node: Node, parsed: JsonValues) -> StringParts:
        """Return the parts of a long string with their needs; none of any other value."""
        is_text = node.start == 0
        most = self.max_text_chars or (self.max_unit_chars if is_text else None)
        if most is None or node.inside_chars <= most:
            return (), ()
        if node.unit in parsed.parts:
            return parsed.parts[node.unit]
        parts, links = parts_of_string(text, node, most)
        if parts and is_text:  # its quotes are no units of their own
            parts[0] = Span(0, parts[0].end)
            parts[-1] = Span(parts[-1].start, node.end)
        return parts, links


def _closed(links: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The links with all that needed units need."""
    return [
        tuple(dict.fromkeys(above for one in needs for above in (*links[one], one)))
        for needs in links
    ]
