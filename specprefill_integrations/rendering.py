"""Kept spans -> one text with a visible marker at every gap. Pure; stable bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specprefill_integrations.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class GapStyle:
    """How a gap is shown."""

    marker: str = "[...]"
    """What stands for the missing text; `{lines}` in it becomes the number of missing lines. Where
    it is empty, nothing but white space does."""

    mark_ends: bool = True
    """Whether a cut at the very start or end of a text is marked too."""

    def marked(self, missing: str) -> str:
        """The marker for a stretch of text that is missing."""
        if "{lines}" not in self.marker:
            return self.marker
        return self.marker.replace("{lines}", str(sum(map(bool, missing.split("\n")))))


LINE_GAPS = GapStyle(marker="[... {lines} lines omitted ...]")
"""For texts that are read by lines: logs, code, tables."""

PUBLISHED_PROSE_GAPS = GapStyle(mark_ends=False)
"""Between selected chunks only (arXiv 2603.02631, cross-family reconstruction)."""

PUBLISHED_CODE_GAPS = GapStyle(marker="// omitted", mark_ends=False)
"""The same for code."""


def merge_adjacent(text: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join spans with nothing but white space between them, so that the white space is kept too.

    Args:
        text: The original.
        spans: Disjoint spans in ascending order.
    """
    merged: list[Span] = []
    for span in spans:
        if merged and not text[merged[-1].end : span.start].strip():
            merged[-1] = Span(merged[-1].start, span.end)
        else:
            merged.append(span)
    return tuple(merged)


def render_kept(text: str, kept: Sequence[Span], gaps: GapStyle) -> str:
    """Write the kept spans of `text` one after the other, byte for byte, with gaps marked.

    A marker stands on a line of its own where the source had a line break in the gap, else
    between two spaces.

    Args:
        text: The original.
        kept: Disjoint spans in ascending order, already merged.
        gaps: How gaps are shown.

    Returns:
        The compressed text; empty where nothing is kept.
    """
    if not kept:
        return ""
    parts: list[str] = []
    position = 0
    for span in kept:
        parts.append(_gap(text[position : span.start], gaps, at_start=position == 0))
        parts.append(text[span.start : span.end])
        position = span.end
    parts.append(_gap(text[position:], gaps, at_end=True))
    return "".join(parts)


def _gap(missing: str, gaps: GapStyle, *, at_start: bool = False, at_end: bool = False) -> str:
    """What stands for `missing`: nothing for white space at the ends, else the marker."""
    if not missing.strip():
        return "" if at_start or at_end else missing
    blank = "\n" if "\n" in missing else " "
    if (at_start or at_end) and not gaps.mark_ends:
        return ""
    if not gaps.marker:
        return "" if at_start or at_end else blank
    before = "" if at_start else blank
    after = "" if at_end else blank
    return f"{before}{gaps.marked(missing.strip())}{after}"
