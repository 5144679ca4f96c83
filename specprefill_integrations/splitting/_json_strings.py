"""A long text within JSON -> its sentences, where they stand, escapes and all.

No cut is within an escape, nor between two escapes that are one character.
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

# What nobody reads, and what is of no use in part: encoded bytes, a program without white space.
_ENCODED = re.compile(r"[!-~]{200}")


def sentences_in(text: str, inside: Span, max_chars: int) -> list[Span]:
    """The sentences of a text within JSON.

    Args:
        text: The JSON.
        inside: What stands between the quotes.
        max_chars: About how many characters a piece has at most.

    Returns:
        Disjoint spans of the JSON in ascending order; none where no part of the text is of use
        without the rest: encoded bytes, or JSON again.
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
    """What is kept of a text within JSON, fit to stand between quotes.

    Args:
        text: The JSON.
        inside: What stands between the quotes.
        kept: Some of its sentences, ascending.
        marker: Says what stands for the next of the others, as JSON writes it.
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
    """A character, which may be written as an escape."""
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
