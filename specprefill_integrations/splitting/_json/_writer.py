"""Writing of kept JSON values, with the brackets around them and counts of the rest."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from specprefill_integrations.splitting._json._escapes import escaped
from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.splitting._json._strings import written_string
from specprefill_integrations.types import Span

_REFERENCE_KEY = "reference"

_MISSING_SENTENCES = "[...]"


@dataclass(slots=True)
class _Opened:
    """A value that is being written."""

    node: Node
    """The value."""

    waiting: Iterator[Node]
    """Its members or elements that are still to be written."""

    written: list[str | None] = field(default_factory=list)
    """The others as written; None if nothing of one is kept."""


class _Entry(NamedTuple):
    """A kept member or element, or the count of missing ones."""

    place: int
    """Its place among all members or elements; -1 for a count."""

    lead: str
    """The white space before it."""

    written: str
    """It as written."""

    child: Node | None
    """The value; None for a count."""


@dataclass(slots=True)
class JsonWriter:
    """Writes the kept units of one text, in order."""

    text: str
    """The original."""

    kept: Sequence[Span]
    """Its kept units, ascending."""

    omitted_key: str | None
    """See `JsonSplitter`."""

    reference: str | None
    """The reference for the next count; cleared once written."""

    def write(self, root: Node) -> str:
        """Write a value with its kept parts; empty if nothing of it is kept."""
        opened: list[_Opened] = []
        node: Node | None = root
        while True:
            if node is not None and self._is_partly_kept(node):
                opened.append(_Opened(node, iter(node.children)))
            else:
                done = None if node is None else self._whole(node)
                if node is None:
                    done = self._joined(opened.pop())
                if not opened:
                    return done or ""
                opened[-1].written.append(done)
            node = next(opened[-1].waiting, None)

    def _is_partly_kept(self, node: Node) -> bool:
        """True if some of its members or elements, or parts of them, are kept."""
        first = bisect_left(self.kept, (node.start, 0))
        is_kept = first < len(self.kept) and self.kept[first].start < node.end
        return is_kept and bool(node.children) and self.kept[first] != node.unit

    def _whole(self, node: Node) -> str | None:
        """Write a value that is one unit, or a string with some of its sentences."""
        first = bisect_left(self.kept, (node.unit.start, 0))
        if first == len(self.kept) or self.kept[first].start >= node.end:
            return None
        if self.kept[first] == node.unit:
            return self.text[node.start : node.end]
        parts = self.kept[first : bisect_left(self.kept, (node.end, 0))]
        return written_string(self.text, node, parts, lambda: self._missing_sentences(node))

    def _joined(self, opened: _Opened) -> str | None:
        """Write a value with its kept members or elements, and counts of the others."""
        node = opened.node
        if all(part is None for part in opened.written):
            return None
        entries = list(self._entries(node, opened.written))
        if not node.bracket:
            return self._in_sequence(node, entries)
        written = [self.text[node.start : node.open_end]]
        last: _Entry | None = None
        for entry in entries:
            written += (self._between(node, last, entry), entry.written)
            last = entry
        tail = self.text[node.children[-1].end : node.end]
        ends_with = last.child.ends_with if last and last.child else ""
        if ends_with and last and last.child is not node.children[-1]:
            tail = _after_comment(tail.lstrip(", "), ends_with, node.level)
        return "".join((*written, tail))

    def _entries(self, node: Node, written: Sequence[str | None]) -> Iterator[_Entry]:
        """The kept members or elements, with counts of the others: a single one among members."""
        is_record = bool(node.names())
        missing: list[Node] = []
        place = 0
        for place, (child, part) in enumerate(zip(node.children, written, strict=True)):
            if part is None:
                missing.append(child)
                continue
            if missing and not is_record:
                yield from self._counted(node, child.lead(self.text), missing)
                missing = []
            yield _Entry(place, child.lead(self.text), part, child)
        if missing:
            yield from self._counted(node, node.children[-1].lead(self.text), missing)

    def _counted(self, node: Node, lead: str, missing: Sequence[Node]) -> Iterator[_Entry]:
        """The count of missing values."""
        if self.omitted_key is None:
            return
        number = sum(child.elements for child in missing)
        if not number:  # sentences between values
            yield _Entry(-1, lead, self._missing_sentences(node), None)
            return
        count: dict[str, int | str] = {self.omitted_key: number}
        if self.reference is not None:
            count[_REFERENCE_KEY] = self.reference
            self.reference = None
        names = node.names()
        if not names:
            said = json.dumps(count)
        else:
            count = {_free(name, names): value for name, value in count.items()}
            said = json.dumps(count)[1:-1]
            if node.bracket == "(":
                said = ", ".join(f"{name}={json.dumps(value)}" for name, value in count.items())
        yield _Entry(-1, lead, escaped(said, node.level), None)

    def _between(self, node: Node, last: _Entry | None, entry: _Entry) -> str:
        """The separator and the white space before an entry."""
        if last is None:
            return entry.lead
        if (between := self._source_between(last, entry)) is not None:
            return between
        ends_with = last.child.ends_with if last.child else ""
        if ends_with.startswith(","):
            return _after_comment(entry.lead, ends_with, node.level)
        return _after_comment(",", ends_with, node.level) + entry.lead

    def _source_between(self, above: _Entry, entry: _Entry) -> str | None:
        """The source between two neighbors; None if they are not."""
        if above.child and entry.child and entry.place == above.place + 1:
            return self.text[above.child.end : entry.child.start]
        return None

    def _in_sequence(self, node: Node, entries: Sequence[_Entry]) -> str:
        """Write values that stand one after the other, such as JSON lines."""
        line_end = escaped("\n", node.level)
        first, last = node.children[0], node.children[-1]
        written = [self.text[node.start : first.start]] if entries[0].child is first else []
        written.append(entries[0].written)
        for above, entry in pairwise(entries):
            between = self._source_between(above, entry)
            written += (line_end if between is None else between, entry.written)
        if entries[-1].child is last:
            written.append(self.text[last.end : node.end])
        return "".join(written)

    def _missing_sentences(self, node: Node) -> str:
        """The gap marker within strings, escaped; the first marker includes the reference."""
        if self.omitted_key is None:
            return ""
        if self.reference is None:
            return _MISSING_SENTENCES
        reference, self.reference = self.reference, None
        marker = f"{_MISSING_SENTENCES} [{_REFERENCE_KEY} {reference}]"
        shown = escaped(marker, node.level + (node.inside is not None))
        return shown.replace("'", "\\x27") if self.text[node.end - 1 : node.end] == "'" else shown


def _after_comment(after: str, ends_with: str, level: int) -> str:
    """The text after a value, on a new line if the value ends with a comment."""
    if ends_with.endswith("//") and not after.startswith(("\n", "\r")):
        return escaped("\n", level) + after
    return after


def _free(name: str, keys: Container[str]) -> str:
    """The name, with leading underscores if it is taken."""
    while name in keys:
        name = f"_{name}"
    return name
