"""The ends of strings, brackets and `try` statements of which only a part is kept.

Without its closing quotes, all that follows a part of a string would be read as string.
`CodeCutter` collects the ends of what it cuts.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from specprefill_integrations.splitting._code._languages import BLOCKS
from specprefill_integrations.splitting._code._tree import SyntaxNode
from specprefill_integrations.splitting._finer import trimmed
from specprefill_integrations.splitting._rendering import merge_adjacent
from specprefill_integrations.types import Span

_OPENING = re.compile(r"[A-Za-z]{0,3}#{0,9}(?:\"{3}|'{3}|[\"'`])|/\*{1,2}")
_CLOSING = re.compile(r"(?:\"{3}|'{3}|[\"'`])#{0,9}|\*/")
_LONGEST_CLOSING = 12
_AFTER_CLOSING = re.compile(r"[)\]},;]*")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}

# What a `try` statement must have besides its body.
_CLAUSES = frozenset({"except_clause", "except_group_clause", "finally_clause"})

# Up to so many characters, the rest of the line of an end is kept with it.
_NEAR_CHARS = 80


class Ends(NamedTuple):
    """The two ends of something that spans lines; both are kept with any part of it."""

    opening: Span
    """The line on which it opens, or only the quotes or bracket if that is long."""

    closing: Span
    """The line on which it closes, likewise; for `try`, its first `except` or `finally`."""


def ends_of(source: str, node: SyntaxNode) -> Ends | None:
    """Find the ends of a syntax node.

    Args:
        source: The source that the parser saw.
        node: A node that is to be cut.

    Returns:
        None if it stands without ends, such as a block of statements.
    """
    start, end = trimmed(source, Span(node.start_byte, node.end_byte))
    clause = next((child for child in node.children if child.type in _CLAUSES), None)
    if clause:
        colon = next((child for child in clause.children if child.type == ":"), clause)
        closing = Span(clause.start_byte, colon.end_byte)
        return Ends(_with_line(source, Span(start, start + 1)), _with_line(source, closing))
    if node.type in BLOCKS:
        return None
    if start < end and _BRACKETS.get(source[start]) == source[end - 1]:
        opening, closing = Span(start, start + 1), Span(end - 1, end)
    else:
        quotes = _OPENING.match(source, start, end)
        first = quotes.end() if quotes else end
        closing = _closing_quotes(source, first, end)
        opening = Span(start, first)
    if closing.start == closing.end or source.find("\n", opening.end, closing.start) < 0:
        return None
    return Ends(_with_line(source, opening), _with_line(source, closing))


def with_ends(text: str, spans: Sequence[Span], cut: Iterable[Ends]) -> tuple[Span, ...]:
    """Add the ends of all that is kept in part.

    Args:
        text: The original.
        spans: The kept parts: disjoint, ascending.
        cut: The ends of what may be kept in part.
    """
    kept = merge_adjacent(text, spans)
    starts, ends = [span.start for span in kept], [span.end for span in kept]
    added: list[Span] = []
    for opening, closing in cut:
        inside = range(bisect_left(ends, opening.end), bisect_left(starts, closing.start))
        if inside:
            added += (opening, closing)
    if not added:
        return kept
    together: list[Span] = []
    for span in sorted([*kept, *added]):
        if together and span.start <= together[-1].end:
            together[-1] = Span(together[-1].start, max(together[-1].end, span.end))
        else:
            together.append(span)
    return merge_adjacent(text, together)


def _closing_quotes(source: str, start: int, end: int) -> Span:
    """The quotes that a string ends with; empty if it ends without."""
    places = range(max(start, end - _LONGEST_CLOSING), end)
    return Span(next((p for p in places if _CLOSING.fullmatch(source, p, end)), end), end)


def _with_line(source: str, end: Span) -> Span:
    """An end with its line, as far as that is near, and with closing brackets behind it."""
    before = source.rfind("\n", max(0, end.start - _NEAR_CHARS), end.start) + 1
    is_first = before or end.start <= _NEAR_CHARS
    after = source.find("\n", end.end, end.end + _NEAR_CHARS)
    if after < 0:
        closers = _AFTER_CLOSING.match(source, end.end)
        after = closers.end() if closers else end.end
    return Span(before if is_first else end.start, after)
