"""What to do with a unit that is too large: cut it at the next finer boundary.

Stops, clauses, words, then grapheme clusters: a letter is never torn from its accents, nor an
emoji from its parts.
"""

from __future__ import annotations

from itertools import pairwise

import regex

from specprefill_integrations.types import Span

# What `str.isspace` calls white space; `regex` leaves out the separators of ASCII.
_SPACE = r"[\s\x1c-\x1f]"

# Ends a boundary: white space, or what does not belong to the letter before.
CUT = rf"(?:{_SPACE}+|(?![\p{{GCB=Extend}}\p{{GCB=SpacingMark}}\p{{GCB=ZWJ}}]))"

_WORD = regex.compile(r"[^\s\x1c-\x1f]+")

# Flags are taken by twos, because \X counts all the flags before each one again.
_ONE_CLUSTER = (
    r"(?:\p{GCB=Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]*+|\X)"
)
_CLUSTER = regex.compile(_ONE_CLUSTER)

# Coarsest first: what follows a match starts a new piece.
_BOUNDARIES = (
    regex.compile(rf"[.!?…][\p{{Pe}}\p{{Pf}}\"']*{_SPACE}+|\n"),
    regex.compile(rf"[;:,،؛、，；：–—]{CUT}"),
    regex.compile(rf"{_SPACE}+"),
)


def split_words(text: str, span: Span) -> list[Span]:
    """Cut a span at white space, or into grapheme clusters where it holds none.

    Args:
        text: The original.
        span: The part to cut.
    """
    words = _matches(_WORD, text, span)
    return words if len(words) > 1 else _matches(_CLUSTER, text, span)


def split_oversized(text: str, span: Span, max_chars: int, depth: int = 0) -> list[Span]:
    """Cut a span into pieces of at most `max_chars`, at the coarsest boundaries that allow it.

    Args:
        text: The original.
        span: The part to cut, without white space at its ends.
        max_chars: Characters of a piece; only a single grapheme cluster may be longer.
        depth: How many of the coarser boundaries did not help.

    Returns:
        Disjoint spans in ascending order, none with white space at its ends.
    """
    if span.end - span.start <= max_chars:
        return [span]
    if depth == len(_BOUNDARIES):
        return _split_graphemes(text, span, max_chars)
    pieces = [
        finer
        for piece in cut_after(text, span, _BOUNDARIES[depth])
        for finer in split_oversized(text, piece, max_chars, depth + 1)
    ]
    return _pack(pieces, max_chars)


def cut_after(text: str, span: Span, boundary: regex.Pattern[str]) -> list[Span]:
    """A span cut after every match of `boundary`; pieces of mere white space are left out."""
    cuts = [m.end() for m in boundary.finditer(text, span.start, span.end)]
    pieces = (trimmed(text, Span(a, b)) for a, b in pairwise([span.start, *cuts, span.end]))
    return [piece for piece in pieces if piece.start < piece.end]


def trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends; empty where there is nothing else."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def _split_graphemes(text: str, span: Span, max_chars: int) -> list[Span]:
    """Runs of grapheme clusters; a run of `max_chars` clusters is looked into only if too long."""
    pieces: list[Span] = []
    for run in _matches(regex.compile(rf"{_ONE_CLUSTER}{{1,{max_chars}}}"), text, span):
        long = run.end - run.start > max_chars
        pieces.extend(_matches(_CLUSTER, text, run) if long else [run])
    return _pack(pieces, max_chars)


def _pack(pieces: list[Span], max_chars: int) -> list[Span]:
    """Join neighbors again as long as they stay within `max_chars`."""
    packed = pieces[:1]
    for piece in pieces[1:]:
        if piece.end - packed[-1].start <= max_chars:
            packed[-1] = Span(packed[-1].start, piece.end)
        else:
            packed.append(piece)
    return packed


def _matches(pattern: regex.Pattern[str], text: str, span: Span) -> list[Span]:
    return [Span(m.start(), m.end()) for m in pattern.finditer(text, span.start, span.end)]
