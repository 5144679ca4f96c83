"""Sentences of a long JSON string, as spans of the JSON source.

Escapes, and pairs of escapes that form one character, are never split.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from specprefill_integrations.splitting._finer import split_oversized
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span

_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)

# Encoded bytes, minified code: a part of it is useless.
_ENCODED = re.compile(r"[!-~]{200}")


def sentences_in(text: str, inside: Span, max_chars: int) -> list[Span]:
    """Split a JSON string into sentences.

    Args:
        text: The JSON.
        inside: The part between the quotes.
        max_chars: Approximate maximum characters of a piece.

    Returns:
        Disjoint spans of the JSON in ascending order; empty if a part of the string is useless
        without the rest: encoded bytes, or nested JSON.
    """
    characters = [match.group() for match in _CHARACTER.finditer(text, *inside)]
    said = "".join(map(_decoded, characters))
    if _ENCODED.search(said) or _is_json(said):
        return []
    places = [inside.start]
    for character in characters:
        places.append(places[-1] + len(character))
    return [
        Span(places[piece.start], places[piece.end])
        for sentence in ProseSplitter()(said)
        for piece in split_oversized(said, sentence, max_chars)
    ]


def written_text(text: str, inside: Span, kept: Sequence[Span], marker: Callable[[], str]) -> str:
    """Write the kept sentences of a JSON string, to go between quotes.

    Args:
        text: The JSON.
        inside: The part between the quotes.
        kept: Some of its sentences, ascending.
        marker: Returns the next gap marker, escaped for JSON.
    """
    written = []
    at = inside.start
    for start, end in [*kept, Span(inside.end, inside.end)]:
        between = text[at:start]
        if not _is_blank(between):
            between = f" {marker()} ".replace("  ", " ")
            between = between if at > inside.start else between.lstrip()
            between = between if start < inside.end else between.rstrip()
        written += [between, text[start:end]]
        at = end
    return "".join(written)


def _decoded(character: str) -> str:
    """Decode a character, which may be an escape."""
    return json.loads(f'"{character}"') if character.startswith("\\") else character


def _is_blank(written: str) -> bool:
    return all(_decoded(match.group()).isspace() for match in _CHARACTER.finditer(written))


def _is_json(said: str) -> bool:
    if said.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        json.loads(said)
    except (ValueError, RecursionError):
        return False
    return True
