"""Kept spans -> one text with a visible marker at every gap. Pure; stable bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specprefill_integrations.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class GapStyle:
    """How a gap is shown."""

    marker: str = "[...]"
    """What stands for the missing text; `{lines}` in it becomes `1 line` or `34 lines`, the missing
    ones that are not blank. Where it is empty, nothing but white space does."""

    mark_ends: bool = True
    """Whether a cut at the very start or end of a text is marked too."""

    reference_note: str = "[reference {reference}]"
    """What follows the first marker of a text whose original can be fetched back."""

    def marked(self, missing: str, reference: str | None = None) -> str:
        """The marker for a stretch of text that is missing.

        Args:
            missing: The stretch.
            reference: What fetches the original back, where the marker is to say it.
        """
        lines = sum(map(bool, map(str.strip, missing.split("\n"))))
        marker = self.marker.replace("{lines}", "1 line" if lines == 1 else f"{lines} lines")
        if reference is None:
            return marker
        return f"{marker} {self.reference_note.replace('{reference}', reference)}"

    def in_place_of(self, text: str, reference: str | None = None) -> str:
        """What stands for a text of which nothing is kept, never empty: a marker, if it is shorter.

        Args:
            text: The text.
            reference: What fetches it back, where the marker is to say it.
        """
        marker = self.marked(text.strip(), reference).strip() or GapStyle().marker
        return marker if len(marker) < len(text) else text


LINE_GAPS = GapStyle(marker="[... {lines} omitted ...]")
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


def render_kept(
    text: str, kept: Sequence[Span], gaps: GapStyle, reference: str | None = None
) -> str:
    """Write the kept spans of `text` one after the other, byte for byte, with gaps marked.

    A marker stands on a line of its own where the source had a line break in the gap, else
    between two spaces.

    Args:
        text: The original.
        kept: Disjoint spans in ascending order, already merged.
        gaps: How gaps are shown.
        reference: What the first marker is to name.

    Returns:
        The compressed text; empty where nothing is kept.
    """
    if not kept:
        return ""
    starts, ends = zip(*kept, strict=True)
    missing = [text[a:b] for a, b in zip((0, *ends), (*starts, len(text)), strict=True)]
    marks = _Marks(gaps, reference)
    parts = [marks.at_start(missing[0])]
    for span, gap in zip(kept, missing[1:-1], strict=False):
        parts += (text[span.start : span.end], marks.between(gap))
    parts += (text[kept[-1].start : kept[-1].end], marks.at_end(missing[-1]))
    return "".join(parts)


@dataclass(slots=True)
class _Marks:
    """What stands for the gaps of one text, from its beginning to its end."""

    gaps: GapStyle
    """How they are shown."""

    reference: str | None
    """What the next marker has to name; no other does."""

    def at_start(self, missing: str) -> str:
        """What stands for text that is missing before all that is kept."""
        marker = self._marker(missing) if self.gaps.mark_ends else ""
        return marker and marker + _blank(missing)

    def between(self, missing: str) -> str:
        """What stands for text between two kept spans: white space for mere white space."""
        if not missing.strip():
            return missing
        blank, marker = _blank(missing), self._marker(missing)
        return f"{blank}{marker}{blank}" if marker else blank

    def at_end(self, missing: str) -> str:
        """What stands for text that is missing after all that is kept."""
        marker = self._marker(missing) if self.gaps.mark_ends else ""
        return marker and _blank(missing) + marker

    def _marker(self, missing: str) -> str:
        """The marker; empty where nothing is missing or nothing is to be said."""
        if not missing.strip() or not self.gaps.marker:
            return ""
        marker = self.gaps.marked(missing.strip(), self.reference)
        self.reference = None
        return marker


def _blank(missing: str) -> str:
    """What parts a marker from the text around it."""
    return "\n" if "\n" in missing else " "
