"""Units that repeat earlier ones of a call: overlapping chunks, passages retrieved twice. Pure.

Two units are alike if their characters are, except for white space, the marks of lists, quotes and
emphasis around them, and a last full stop. Anything else may be what tells two facts apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatGaps(GapStyle):
    """Another gap style that says so where the missing text is only repeated."""

    repeated: frozenset[str]
    """Stretches of text that repeat others, with single spaces."""

    def marked(self, missing: str, reference: str | None = None) -> str:
        """The marker for a stretch of missing text; see `GapStyle.marked`."""
        same = {one.name: getattr(self, one.name) for one in fields(GapStyle)}
        if self.marker and " ".join(missing.split()) in self.repeated:
            same["marker"] = _MARKER
        return GapStyle(**same).marked(missing, reference)


def find_repeats(documents: Mapping[int, SplitDocument]) -> dict[int, SplitDocument]:
    """Return the documents with their repeated units, and gap styles that tell of them.

    Args:
        documents: The documents of a call in order.
    """
    seen: dict[str, tuple[int, int]] = {}
    wholes: dict[tuple[str, tuple[Span, ...]], int] = {}
    found: dict[int, SplitDocument] = {}
    for number, (place, document) in enumerate(documents.items()):
        whole = wholes.setdefault((document.text, document.units), number)
        repeats: dict[int, tuple[int, int]] = {}
        if whole != number:
            repeats = {index: (whole, index) for index in range(len(document.units))}
        elif document.kind in _PROSE:
            for index, part in enumerate(document.found.parts):
                key, here = _key(part), (number, index)
                earlier = seen.setdefault(key, here) if len(key) >= _LEAST_CHARS else here
                if earlier != here:
                    repeats[index] = earlier
        found[place] = _with_repeats(document, number, repeats) if repeats else document
    return found


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
