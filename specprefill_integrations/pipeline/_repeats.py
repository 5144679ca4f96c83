"""Units that repeat others of a call: overlapping chunks, passages retrieved twice. Pure.

Two units are alike if their characters are, except for white space, the marks of lists, quotes and
emphasis around them, and a last full stop. Anything else may be what tells two facts apart. Where
the border of a chunk cuts a sentence, its piece repeats the whole sentence of another chunk.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate

from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.types import Kind, Span, Unit

# In other kinds, an equal line is another event, row or statement.
_PROSE: tuple[Kind, ...] = ("prose", "markdown", "html")

# Shorter sentences, such as "See below.", are not worth a marker.
_LEAST_CHARS = 20

_MARKS = " *_~`>#+-\u2022\"'\u2018\u2019\u201c\u201d"
_MARKER = "[... repeated ...]"

# The number of a document, and of a unit in it.
_Place = tuple[int, int]

_ENDS_A_SENTENCE = re.compile(r"[.!?\u2026\u3002\uff01\uff1f\u061f\u0964][\W_]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatGaps(GapStyle):
    """Another gap style that says so where the missing text is only repeated."""

    repeated: frozenset[str]
    """Stretches of text that repeat others, with single spaces."""

    def marked(self, missing: str, reference: str | None = None) -> str:
        """The marker for a stretch of missing text; see `GapStyle.marked`."""
        is_repeated = self.marker and " ".join(missing.split()) in self.repeated
        style = replace(self, marker=_MARKER) if is_repeated else self
        return GapStyle.marked(style, missing, reference)


def find_repeats(documents: Mapping[int, SplitDocument]) -> dict[int, SplitDocument]:
    """Return the documents with their repeated units, and gap styles that tell of them.

    Args:
        documents: The documents of a call in order.
    """
    seen: dict[str, _Place] = {}
    wholes: dict[tuple[str, tuple[Span, ...]], int] = {}
    repeats: dict[int, dict[int, _Place]] = {}
    for number, document in enumerate(documents.values()):
        whole = wholes.setdefault((document.text, document.units), number)
        repeats[number] = {}
        if whole != number:
            repeats[number] = {index: (whole, index) for index in range(len(document.units))}
        elif document.kind in _PROSE:
            for index, part in enumerate(document.found.parts):
                key, here = _key(part), (number, index)
                earlier = seen.setdefault(key, here) if len(key) >= _LEAST_CHARS else here
                if earlier != here:
                    repeats[number][index] = earlier
    for (number, index), whole_sentence in _cut_sentences(list(documents.values()), seen):
        repeats[number].setdefault(index, whole_sentence)
    return {
        place: _with_repeats(document, number, repeats[number]) if repeats[number] else document
        for number, (place, document) in enumerate(documents.items())
    }


def share_scores(units: Sequence[Unit], documents: Sequence[SplitDocument]) -> list[Unit]:
    """Keep repeated units only between others, and give their scores to the first of them."""
    firsts = [0, *accumulate(len(document.units) for document in documents)]
    shared = list(units)
    for number, document in enumerate(documents):
        for index, (owner, original) in document.repeats.items():
            copy, first = firsts[number] + index, firsts[owner] + original
            if not shared[first].only_heads:
                best = max(shared[first].score, shared[copy].score)
                shared[first] = replace(shared[first], score=best)
                shared[copy] = replace(shared[copy], only_heads=True, is_protected=False)
    return shared


def _cut_sentences(
    documents: Sequence[SplitDocument], places: Mapping[str, _Place]
) -> Iterator[tuple[_Place, _Place]]:
    """Yield the pieces of sentences at the ends of documents, with the sentence in another one.

    What is beside the piece must be beside the sentence, too, up to the end of either document.

    Args:
        documents: The documents of a call.
        places: Where each sentence of them is.
    """
    if len(documents) < 2:  # noqa: PLR2004 - one has no copy
        return
    starts = sorted(places)
    ends = sorted(key[::-1] for key in places)
    for number, document in enumerate(documents):
        if document.kind not in _PROSE or not document.units:
            continue
        first, last = (number, 0), (number, len(document.units) - 1)
        head, tail = document.found.parts[0], document.found.parts[-1]
        if found := _longer(ends, _key(head)[::-1]):
            whole = places[found[::-1]]
            if _go_on_alike(documents, first, whole, 1, or_ends=head[:1].islower()):
                yield first, whole
        if not _ENDS_A_SENTENCE.search(tail) and (found := _longer(starts, _key(tail))):
            whole = places[found]
            if _go_on_alike(documents, last, whole, -1, or_ends=True):
                yield last, whole


def _go_on_alike(
    documents: Sequence[SplitDocument], one: _Place, other: _Place, step: int, *, or_ends: bool
) -> bool:
    """Return True if the units beside two others are alike, or one is a piece of the other.

    Args:
        documents: The documents.
        one: The place of a unit.
        other: The place of another one.
        step: 1 for the units after them, -1 for those before.
        or_ends: What to return if one of them has no unit beside it.
    """
    beside = []
    for number, index in (one, other):
        parts = documents[number].found.parts
        beside += [_key(parts[index + step])[::step] for i in [index + step] if 0 <= i < len(parts)]
    if one[0] == other[0] or len(beside) < 2:  # noqa: PLR2004 - the two
        return or_ends and one[0] != other[0]
    return beside[0].startswith(beside[1]) or beside[1].startswith(beside[0])


def _longer(keys: Sequence[str], piece: str) -> str | None:
    """Return a longer one of some sorted keys that begins with a piece, up to the end of a word."""
    if len(piece) < _LEAST_CHARS:
        return None
    for key in keys[bisect_left(keys, piece + " ") :][:1]:
        if key.startswith(piece + " "):
            return key
    return None


def _with_repeats(
    document: SplitDocument, number: int, repeats: Mapping[int, tuple[int, int]]
) -> SplitDocument:
    """Return a document whose gap style tells of repeated stretches."""
    # A gap is known by its text. Of what is repeated in one document it could be the first.
    others = [document.units[index] for index, (owner, _) in repeats.items() if owner != number]
    repeated = {" ".join(document.text[a:b].split()) for a, b in document.joined(others)}
    same = {one.name: getattr(document.gaps, one.name) for one in fields(GapStyle)}
    gaps = RepeatGaps(**same, repeated=frozenset(repeated))
    return replace(document, repeats=repeats, gaps=gaps)


def _key(part: str) -> str:
    """A unit's text without what may differ between copies."""
    words = re.sub(r"\s+", " ", part.strip(_MARKS + "\n\t\r\f\v"))
    return words.removesuffix(".").rstrip(_MARKS)
