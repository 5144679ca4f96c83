"""Search for gap markers in texts, such as the arguments with which an agent calls a tool.

All patterns have bounded repeats, so that the time grows with the length of a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.splitting._splitter import Splitter

# `[... 12 lines omitted ...]` and its like; `[...]` where neither code nor JSON has it: not as an
# index (`rows[...]`) or as a value (`rows = [...]`), but after a line break that is escaped.
_BRACKETS = r"\[\.\.\. [^\[\]\n]{1,80} \.\.\.\]"
_DOTS = (
    r"(?:(?<=\\[nrt])|(?<![\w\])}.=(\[{])(?<![=(\[{] )(?<![\"']:)(?<![\"']: ))"
    r"\[\.\.\.\](?![\w\[(.])"
)

_QUOTE = r"\\{0,8}[\"']"
_MOST_REFERENCE_CHARS = 100

_DEFAULT_KEY = "omitted"


class FoundMarker(NamedTuple):
    """A gap marker in a value."""

    path: str
    """The place of the text in the value, such as `edits[0].text`."""

    marker: str
    """The marker as it is written there."""

    reference: str | None
    """The reference to the original that the value names; None for none."""


@checked
@dataclass(frozen=True, kw_only=True)
class MarkerSearch:
    """Finds the markers of a gap style, and those that are used without one."""

    gaps: GapStyle | None = None
    """A gap style; None for those of each kind of text."""

    omitted_keys: frozenset[str] = frozenset({_DEFAULT_KEY})
    """The names of counts in JSON."""

    @classmethod
    def of(cls, splitter: Splitter[Any], gaps: GapStyle | None) -> MarkerSearch:
        """Return the search for what a splitter and a gap style write."""
        inner = splitter.splitters.values() if isinstance(splitter, SplitByKind) else [splitter]
        keys = {one.omitted_key for one in inner if isinstance(one, JsonSplitter)}
        return cls(gaps=gaps, omitted_keys=frozenset({_DEFAULT_KEY, *filter(None, keys)}))

    def find(self, value: object) -> FoundMarker | None:
        """Return the first marker in a text, or in a value that contains texts.

        Args:
            value: A text, or mappings and lists of texts, nested at will.
        """
        marker = path = reference = None
        for place, one in _leaves(value):
            if marker is None:
                marker, path = self._marker_in(one), place
            if marker is not None:
                reference = self._reference_in(one)
            if marker is not None and reference is not None:
                break
        return None if marker is None else FoundMarker(path or "", marker, reference)

    def _marker_in(self, one: object) -> str | None:
        if isinstance(one, str):
            found = self._marker.search(one)
            return None if found is None else found[0]
        for name, value in _members(one):
            if self._is_count(name, value):
                return f'"{name}": {value}'
        return None

    def _reference_in(self, one: object) -> str | None:
        if isinstance(one, str):
            found = self._reference.search(one)
            return next(filter(None, found.groups()), None) if found else None
        members = dict(_members(one))
        is_count = any(self._is_count(name, value) for name, value in members.items())
        named = members.get("reference")
        return named if is_count and isinstance(named, str) else None

    def _is_count(self, name: str, value: object) -> bool:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return is_number and name.lstrip("_") in {key.lstrip("_") for key in self.omitted_keys}

    @cached_property
    def _keys(self) -> str:
        keys = "|".join(re.escape(key) for key in sorted(self.omitted_keys))
        quoted = rf"{_QUOTE}_{{0,8}}(?:{keys}){_QUOTE}\s{{0,8}}:"
        return rf"(?:{quoted}|(?<![\w-])_{{0,8}}(?:{keys})=)\s{{0,8}}\d{{1,18}}"

    @cached_property
    def _marker(self) -> re.Pattern[str]:
        patterns = [_BRACKETS, _DOTS, self._keys]
        own = self.gaps.marker.strip() if self.gaps else ""
        if own and own != GapStyle().marker:
            shape = re.escape(own).replace(re.escape("{lines}"), r"\d{1,18} lines?")
            patterns.insert(0, shape)
        return re.compile("|".join(patterns))

    @cached_property
    def _reference(self) -> re.Pattern[str]:
        notes = {style.reference_note for style in (self.gaps, GapStyle()) if style}
        named = rf"([^\s\[\]\"'\\]{{1,{_MOST_REFERENCE_CHARS}}})"
        shapes = [
            re.escape(note).replace(re.escape("{reference}"), named, 1)
            for note in sorted(notes)
            if "{reference}" in note
        ]
        name = rf"(?:{_QUOTE})?_{{0,8}}reference(?:{_QUOTE})?"
        beside = rf",\s{{0,8}}{name}\s{{0,8}}[:=]\s{{0,8}}{_QUOTE}{named}"
        return re.compile("|".join([*shapes, self._keys + beside]))


def _members(one: object) -> Iterator[tuple[str, object]]:
    if isinstance(one, Mapping):
        yield from ((name, value) for name, value in one.items() if isinstance(name, str))


def _leaves(value: object) -> Iterator[tuple[str, object]]:
    """Yield the texts and the mappings in a value, with their places, in order."""
    waiting: list[tuple[str, object]] = [("", value)]
    seen: set[int] = set()
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, str):
            yield path, one
        elif isinstance(one, Mapping | Sequence) and not isinstance(one, bytes | bytearray):
            if id(one) in seen:  # it contains itself, or is there twice
                continue
            seen.add(id(one))
            yield path, one
            waiting += reversed(list(_inner(path, one)))


def _inner(path: str, one: Mapping[Any, object] | Sequence[object]) -> Iterator[tuple[str, object]]:
    if isinstance(one, Mapping):
        for name, value in one.items():
            yield (f"{path}.{name}" if path else str(name)), value
    else:
        for place, value in enumerate(one):
            yield f"{path}[{place}]", value
