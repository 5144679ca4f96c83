"""Escapes in quoted strings: what a string says, and where each of its characters is written."""

from __future__ import annotations

import json
import re
import sys
from array import array

from specprefill_integrations.types import Span

_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
    r"|\\x[0-9a-fA-F]{2}|\\U000[0-9a-fA-F]{5}|\\.|.",
    re.DOTALL,
)
_BY_LETTER = dict(zip("bfnrtv0a", "\b\f\n\r\t\v\0\a", strict=True))
_SHORTEST_NUMBERED = 4
_SURROGATE_PAIR = 12


def decoded(written: str, levels: int = 1) -> str:
    """Decode the part of a string between its quotes, as JSON or as Python wrote it.

    Args:
        written: The part.
        levels: How many times to decode it: 2 for a string in a string.
    """
    for _ in range(levels):
        if "\\" not in written:
            break
        written = _CHARACTER.sub(lambda match: _decoded(match.group()), written)
    return written


def decoded_with_places(text: str, inside: Span, levels: int = 1) -> tuple[str, array[int]]:
    """Decode the part of a string between its quotes, and locate each character.

    Args:
        text: The source.
        inside: The part between the quotes.
        levels: How many times to decode it: 2 for a string in a string.

    Returns:
        What the string says, and the place in `text` of each of its characters and of its end.
    """
    said: list[str] = []
    places = array("q")
    for match in _CHARACTER.finditer(text, *inside):
        said.append(_decoded(match.group()))
        places.append(match.start())
    places.append(inside.end)
    once = "".join(said)
    if levels == 1:
        return once, places
    whole, inner = decoded_with_places(once, Span(0, len(once)), levels - 1)
    return whole, array("q", [places[place] for place in inner])


def escaped(text: str, levels: int) -> str:
    """Write a text so that it may stand in a string, or in a string within strings."""
    for _ in range(levels):
        text = json.dumps(text, ensure_ascii=False)[1:-1]
    return text


def _decoded(written: str) -> str:
    """Decode one character, which may be an escape."""
    if written[0] != "\\":
        return written
    if len(written) < _SHORTEST_NUMBERED:
        return _BY_LETTER.get(written[1:], written[1:] or written)
    if len(written) == _SURROGATE_PAIR:
        return str(json.loads(f'"{written}"'))
    number = int(f"0{written[2:]}", base=16)
    return chr(number) if number <= sys.maxunicode else "\ufffd"
