"""Terms that an answer can only have from what it read: numbers, identifiers and names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

TermKind = Literal["number", "identifier", "name"]
"""Kind of a term; a name is a capitalized word of at least three letters."""

_RUN = re.compile(r"\w[\w.:/@#+-]*")
_INNER = re.compile(r"[\w][._:/@#+][\w]")
_CAMEL = re.compile(r"[a-z][A-Z]")
_LEAST_NAME = 3

# Characters before a word that tell whether it starts a sentence.
_LOOK_BACK = 8

# Beyond this, data is encoded rather than written: the rest of it is left out.
_MOST_CHARS = 200


def terms_of(text: str, *, is_answer: bool = False) -> Iterator[tuple[str, TermKind]]:
    """Yield each term of a text, as often as it occurs, with its kind.

    Single digits and plain words are none: they stand in many texts by chance.

    Args:
        text: The text.
        is_answer: Leave out names at the start of a sentence, where any word has a capital.
    """
    for run in _RUN.finditer(text):
        term = run[0][:_MOST_CHARS].rstrip("_.:/@#+-")
        kind = _kind_of(term)
        if kind is None or (is_answer and kind == "name" and _starts(text, run.start())):
            continue
        yield term, kind


def _starts(text: str, place: int) -> bool:
    before = text[max(0, place - _LOOK_BACK) : place].rstrip(" \t*#>-")
    return not before or before[-1] in ".!?:\n"


def _kind_of(term: str) -> TermKind | None:
    has_digit = any(map(str.isdigit, term))
    has_letter = any(map(str.isalpha, term))
    if has_digit and not has_letter:
        return "number" if len(term) > 1 else None
    if has_digit or _INNER.search(term) or _CAMEL.search(term):
        return "identifier"
    return "name" if len(term) >= _LEAST_NAME and term[0].isupper() else None
