"""Rendering of kept spans as one text with a visible marker at every gap. Pure; stable bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specprefill_integrations._arguments import checked
from specprefill_integrations._visible import visible
from specprefill_integrations.types import Span


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class GapStyle:
    """The look of a gap."""

    marker: str = "[...]"
    """The text in place of a gap. `{lines}` becomes `1 line` or `34 lines`, without blank lines.
    Empty: white space only."""

    mark_ends: bool = True
    """True to mark gaps at the very start and end of a text, too."""

    reference_note: str = "[reference {reference}]"
    """Text after the first marker if the original can be recalled."""

    def marked(self, missing: str, reference: str | None = None) -> str:
        """The marker for a stretch of missing text.

        Args:
            missing: The stretch.
            reference: The reference to the original that the marker names; None for none.
        """
        lines = sum(map(bool, map(str.strip, missing.split("\n"))))
        marker = self.marker.replace("{lines}", "1 line" if lines == 1 else f"{lines} lines")
        if reference is None:
            return marker
        return f"{marker} {self.reference_note.replace('{reference}', visible(reference))}"

    def in_place_of(self, text: str, reference: str | None = None) -> str:
        """The replacement for a text of which nothing is kept: a marker, or the text if shorter.

        Args:
            text: The text.
            reference: The reference to the original that the marker names; None for none.
        """
        marker = self.marked(text.strip(), reference).strip() or GapStyle().marker
        return marker if len(marker) < len(text) else text


LINE_GAPS = GapStyle(marker="[... {lines} omitted ...]")
"""For texts read line by line: logs, code, tables."""

PUBLISHED_PROSE_GAPS = GapStyle(mark_ends=False)
"""Markers between selected chunks only (arXiv:2603.02631, cross-family reconstruction)."""

PUBLISHED_CODE_GAPS = GapStyle(marker="// omitted", mark_ends=False)
"""The same, for code."""


def merge_adjacent(text: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join spans that have only white space between them, and keep that white space.

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
    """Write the kept spans of `text` in order, byte for byte, with a marker at every gap.

    A marker is on its own line if the gap contains a line break, else between two spaces.

    Args:
        text: The original.
        kept: Disjoint spans in ascending order, already merged.
        gaps: The gap style.
        reference: The reference that the first marker names; None for none.

    Returns:
        The compressed text; empty if nothing is kept.
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
    """The gap markers of one text, in order."""

    gaps: GapStyle
    """The gap style."""

    reference: str | None
    """The reference for the next marker; cleared once written."""

    def at_start(self, missing: str) -> str:
        """The marker before the first kept span."""
        marker = self._marker(missing) if self.gaps.mark_ends else ""
        return marker and marker + _blank(missing)

    def between(self, missing: str) -> str:
        """The marker between two kept spans; a gap of white space is kept."""
        if not missing.strip():
            return missing
        blank, marker = _blank(missing), self._marker(missing)
        return f"{blank}{marker}{blank}" if marker else blank

    def at_end(self, missing: str) -> str:
        """The marker after the last kept span."""
        marker = self._marker(missing) if self.gaps.mark_ends else ""
        return marker and _blank(missing) + marker

    def _marker(self, missing: str) -> str:
        """The marker; empty if nothing is missing or the style has no marker."""
        if not missing.strip() or not self.gaps.marker:
            return ""
        marker = self.gaps.marked(missing.strip(), self.reference)
        self.reference = None
        return marker


def _blank(missing: str) -> str:
    """The white space between a marker and the text around it."""
    return "\n" if "\n" in missing else " "
