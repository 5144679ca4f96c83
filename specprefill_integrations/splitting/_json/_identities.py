"""The members that say which one of many records an object is."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.types import Span

_LONGEST_CHARS = 120

# Of the first text of a record without a member that is known to name it.
_LONGEST_FIRST_CHARS = 60

_MOST = 2

# Best first.
_NAMES = (
    re.compile(r"(?i)name|title|login|path|url"),
    re.compile(
        r"(?i:(?:\w{0,40}_)?(?:name|title|login|path|url|uri|label|slug|subject|source|file|email)"
        r"|(?:file|full|user|host|nick)name)|\w{1,40}(?:Name|Title|Login|Path|Url|URL|File|Source)"
    ),
)
_IDS = (
    re.compile(r"(?i)_?id_?"),
    re.compile(
        r"(?i:uuid|guid|key|code|number|\w{1,40}_(?:id_?|number|code))"
        r"|\w{1,40}(?:Id|ID|Number|Code)"
    ),
)
_KINDS = (re.compile(r"(?i)type|kind"),)

# Objects whose names are the names of the record that they are in.
_METADATA = re.compile(r"(?i)(?:meta|extra_?info|headers?)\w{0,10}")

# What a cell of a notebook shows belongs to its source.
_CELL = {"cell_type", "source"}

_QUOTES = "\"'"

_EMPTY = re.compile(r"""(?:null|None|undefined|""|''|\[\]|\{\}|\(\))$""")


def identities(
    text: str, record: Node, units: Container[Span], *, is_element: bool = False
) -> list[Span]:
    """The units that identify an object among others of its kind, the best one first.

    At most one of them is an id. None of them is empty. An element of an array without a
    name is identified by its first member if that is a short text, as a row by its first cell. A
    cell of a notebook is identified by its source, or the first line of it.

    Args:
        text: The JSON.
        record: The object.
        units: All units.
        is_element: True if it is an element of an array, or one of several values.
    """
    if record.names() >= _CELL:
        return _source_of_cell(record, units)
    members = [(member, member) for member in record.children]
    for child in record.children:
        if child.children and child.name and _METADATA.fullmatch(child.name):
            whole = child if child.unit in units else None
            members += [(inner, whole or inner) for inner in child.children]
    usable = [(one, unit) for one, unit in members if _is_usable(text, one) and unit.unit in units]
    names, ids, kinds = (_best(usable, patterns) for patterns in (_NAMES, _IDS, _KINDS))
    if not names and is_element and _is_text(text, record.children[0]):
        names = [unit.unit for one, unit in usable[:1] if one is record.children[0]]
    found = [*names[:1], *ids[:1], *names[1:]][:_MOST] or kinds[:1]
    return list(dict.fromkeys(found))


def _source_of_cell(cell: Node, units: Container[Span]) -> list[Span]:
    source = next(member for member in cell.children if member.name == "source")
    heads = [one.unit for one in (source, *source.children[:1]) if one.unit in units]
    return heads[:1]


def _is_usable(text: str, member: Node) -> bool:
    is_short = not member.children and member.end - member.start <= _LONGEST_CHARS
    return is_short and not _EMPTY.match(text, member.value_start, member.end)


def _is_text(text: str, member: Node) -> bool:
    is_short = member.end - member.value_start <= _LONGEST_FIRST_CHARS
    return is_short and member.name is not None and text[member.value_start] in _QUOTES


def _best(
    members: Sequence[tuple[Node, Node]], patterns: tuple[re.Pattern[str], ...]
) -> list[Span]:
    """The units of the members whose names match, by the first pattern that one matches."""
    ranked: list[list[Span]] = [[] for _ in patterns]
    for member, unit in members:
        for rank, pattern in enumerate(patterns):
            if member.name is not None and pattern.fullmatch(member.name):
                ranked[rank].append(unit.unit)
                break
    return [unit for spans in ranked for unit in spans]
