"""Questions with known evidence, to fit a readout to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specprefill_integrations._arguments import checked
from specprefill_integrations.types import Span

Place = tuple[int, Span]
"""Index of a text, and a span of it."""

Piece = tuple[Place, ...]
"""The places of a piece of evidence; any one of them will do."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledCase:
    """A question, its texts, and the evidence in them.

    Raises:
        ValueError: There is no evidence, a piece of it has no place, or a place is not a span of
            its text.
    """

    kind: str
    """Kind of case, such as `facts`, `chat` or the name of a data set."""

    query: str
    """The question."""

    texts: tuple[str, ...]
    """The texts."""

    evidence: tuple[Piece, ...]
    """The pieces of evidence, all of which are needed."""

    def __post_init__(self) -> None:
        """Validate the evidence."""
        if not self.evidence or not all(self.evidence):
            msg = f"a case needs evidence; {self.query!r} has none, or a piece without a place"
            raise ValueError(msg)
        for document, span in (place for piece in self.evidence for place in piece):
            inside = 0 <= document < len(self.texts) and 0 <= span.start < span.end
            if not inside or span.end > len(self.texts[document]):
                msg = f"evidence {span!r} of text {document!r} is outside of the texts"
                raise ValueError(msg)


def find_evidence(
    texts: Sequence[str],
    answers: Sequence[str],
    marked: Sequence[str] = (),
    *,
    needs_all: bool = False,
) -> tuple[Piece, ...]:
    """Find the evidence of answers in texts, upper and lower case alike.

    The places of a piece are those of its answers within marked evidence; else those of the marked
    evidence; else those of the answers.

    Args:
        texts: The texts.
        answers: The answers.
        marked: Sentences or lines that hold the answers.
        needs_all: True for a piece per answer, False for one piece that any answer gives.

    Returns:
        The pieces; empty if one of them is nowhere.
    """
    evidence = _places(texts, marked)
    needed = [(answer,) for answer in dict.fromkeys(answers)] if needs_all else [tuple(answers)]
    pieces = []
    for strings in needed:
        everywhere = _places(texts, strings)
        within = tuple(place for place in everywhere if _is_within(place, evidence))
        pieces.append(within or evidence or everywhere)
    return tuple(pieces) if all(pieces) else ()


def _places(texts: Sequence[str], strings: Iterable[str]) -> Piece:
    """Find every occurrence of any of the strings."""
    wanted = {string.strip() for string in strings} - {""}
    found = {
        (document, Span(*match.span()))
        for string in wanted
        for document, text in enumerate(texts)
        for match in re.finditer(re.escape(string), text, re.IGNORECASE)
    }
    return tuple(sorted(found, key=lambda place: (place[0], place[1].start, place[1].end)))


def _is_within(place: Place, others: Piece) -> bool:
    document, span = place
    return any(d == document and e.start <= span.start and span.end <= e.end for d, e in others)
