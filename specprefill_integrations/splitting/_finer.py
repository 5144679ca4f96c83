"""Splitting of oversized units at the next finer boundary.

Full stops, clauses, words, then grapheme clusters: a letter stays with its accents, an emoji with
its parts.
"""

from __future__ import annotations

from itertools import pairwise

import regex

from specprefill_integrations.types import Span

# White space as in `str.isspace`; `\s` of `regex` lacks the ASCII separators.
_SPACE = r"[\s\x1c-\x1f]"

# The end of a boundary: white space, or a character that starts a new grapheme cluster.
CUT = rf"(?:{_SPACE}+|(?![\p{{GCB=Extend}}\p{{GCB=SpacingMark}}\p{{GCB=ZWJ}}]))"

_WORD = regex.compile(r"[^\s\x1c-\x1f]+")

_LEADING_SPACE = regex.compile(rf"{_SPACE}+")
_TRAILING_SPACE = regex.compile(rf"(?r){_SPACE}+")

# Flags are matched in pairs: \X would recount all preceding flags for each one (quadratic).
_ONE_CLUSTER = (
    r"(?:\p{GCB=Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]*+|\X)"
)
_CLUSTER = regex.compile(_ONE_CLUSTER)

_SENTENCE = rf"[.!?…][\p{{Pe}}\p{{Pf}}\"']*{_SPACE}+"

# Coarsest first. A new piece starts after each match.
_BOUNDARIES = (
    regex.compile(rf"{_SENTENCE}|\n"),
    regex.compile(rf"[;:,،؛、，；：–—]{CUT}"),
    regex.compile(rf"{_SPACE}+"),
)
_BOUNDARIES_IN_FLOW = (regex.compile(_SENTENCE), *_BOUNDARIES[1:])


def split_words(text: str, span: Span) -> list[Span]:
    """Split a span at white space, or into grapheme clusters if it has none.

    Args:
        text: The original.
        span: The part to split.
    """
    words = _matches(_WORD, text, span)
    return words if len(words) > 1 else _matches(_CLUSTER, text, span)


def split_oversized(
    text: str, span: Span, max_chars: int, depth: int = 0, *, lines_flow: bool = False
) -> list[Span]:
    """Split a span into pieces of at most `max_chars`, at the coarsest possible boundaries.

    Args:
        text: The original.
        span: The part to split, without white space at its ends.
        max_chars: Maximum characters of a piece; a single grapheme cluster may be longer.
        depth: Number of coarser boundaries already tried.
        lines_flow: True if a line break is like any other white space.

    Returns:
        Disjoint spans in ascending order, none with white space at its ends.
    """
    if span.end - span.start <= max_chars:
        return [span]
    if depth == len(_BOUNDARIES):
        return _split_graphemes(text, span, max_chars)
    boundaries = _BOUNDARIES_IN_FLOW if lines_flow else _BOUNDARIES
    pieces = [
        finer
        for piece in cut_after(text, span, boundaries[depth])
        for finer in split_oversized(text, piece, max_chars, depth + 1, lines_flow=lines_flow)
    ]
    return _pack(pieces, max_chars)


def cut_after(text: str, span: Span, boundary: regex.Pattern[str]) -> list[Span]:
    """Split a span after every match of `boundary`, without pieces that are only white space."""
    cuts = [m.end() for m in boundary.finditer(text, span.start, span.end)]
    pieces = (trimmed(text, Span(a, b)) for a, b in pairwise([span.start, *cuts, span.end]))
    return [piece for piece in pieces if piece.start < piece.end]


def trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends; empty if it is all white space."""
    start, end = span
    # Most spans have no white space there, and looking is faster than matching.
    if start < end and text[start].isspace():
        leading = _LEADING_SPACE.match(text, start, end)
        start = leading.end() if leading else start
    if start < end and text[end - 1].isspace():
        trailing = _TRAILING_SPACE.match(text, start, end)
        end = trailing.start() if trailing else end
    return Span(start, end)


def _split_graphemes(text: str, span: Span, max_chars: int) -> list[Span]:
    """Pack grapheme clusters into pieces; runs of `max_chars` clusters are tried first."""
    pieces: list[Span] = []
    for run in _matches(regex.compile(rf"{_ONE_CLUSTER}{{1,{max_chars}}}"), text, span):
        long = run.end - run.start > max_chars
        pieces.extend(_matches(_CLUSTER, text, run) if long else [run])
    return _pack(pieces, max_chars)


def _pack(pieces: list[Span], max_chars: int) -> list[Span]:
    """Join neighbors up to `max_chars`."""
    packed = pieces[:1]
    for piece in pieces[1:]:
        if piece.end - packed[-1].start <= max_chars:
            packed[-1] = Span(packed[-1].start, piece.end)
        else:
            packed.append(piece)
    return packed


def _matches(pattern: regex.Pattern[str], text: str, span: Span) -> list[Span]:
    return [Span(m.start(), m.end()) for m in pattern.finditer(text, span.start, span.end)]
