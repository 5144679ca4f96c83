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

    body: str = ""
    """A statement that stands for an omitted body, such as `...` in Python: written before the
    marker where the line above it ends with a colon and nothing indented follows."""

    comment: str = ""
    """A comment of the text's language, such as `# {marker}`, that becomes the marker. A line break
    follows it. Empty: the marker is no comment."""

    def marked(self, missing: str, reference: str | None = None) -> str:
        """The marker for a stretch of missing text.

        Args:
            missing: The stretch.
            reference: The reference to the original that the marker names; None for none.
        """
        lines = sum(map(bool, map(str.strip, missing.split("\n"))))
        marker = self.marker.replace("{lines}", "1 line" if lines == 1 else f"{lines} lines")
        if reference is not None:
            marker += f" {self.reference_note.replace('{reference}', visible(reference))}"
        return self.comment.replace("{marker}", marker) if self.comment and marker else marker

    def in_place_of(self, text: str, reference: str | None = None) -> str:
        """The replacement for a text of which nothing is kept: a marker, or the text if shorter.

        Args:
            text: The text.
            reference: The reference to the original that the marker names; None for none.
        """
        marker = self.marked(text.strip(), reference).strip() or GapStyle().marker
        return marker if len(marker) < len(text) else text


# Deeper indentation is not compared.
_INDENT_CHARS = 200

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
    line = ""
    for span, gap, following in zip(kept, missing[1:], (*starts[1:], len(text)), strict=True):
        part = text[span.start : span.end]
        line = next(filter(_is_code, reversed(part.splitlines())), line) if gaps.body else ""
        lead = _lead(gaps, line, gap, text[following : following + _INDENT_CHARS])
        is_last = following == len(text)
        parts += (part, marks.at_end(gap, lead) if is_last else marks.between(gap, lead))
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
        return marker and marker + self._blank_after(missing)

    def between(self, missing: str, lead: str) -> str:
        """The marker between two kept spans, after `lead`; a gap of white space is kept."""
        if not missing.strip():
            return missing
        blank, marker = _blank(missing), self._marker(missing)
        return f"{blank}{lead}{marker}{self._blank_after(missing)}" if marker else blank

    def at_end(self, missing: str, lead: str) -> str:
        """The marker after the last kept span, after `lead`."""
        marker = self._marker(missing) if self.gaps.mark_ends else ""
        return marker and f"{_blank(missing)}{lead}{marker}"

    def _blank_after(self, missing: str) -> str:
        """The white space after a marker: a line break ends a comment."""
        return "\n" if self.gaps.comment else _blank(missing)

    def _marker(self, missing: str) -> str:
        """The marker; empty if nothing is missing or the style has no marker."""
        if not missing.strip() or not self.gaps.marker:
            return ""
        marker = self.gaps.marked(missing.strip(), self.reference)
        self.reference = None
        return marker


def _lead(gaps: GapStyle, above: str, missing: str, below: str) -> str:
    """The indentation of a marker that is a comment, and a statement for a missing body.

    Args:
        gaps: The gap style.
        above: The last line of code that is kept above the gap.
        missing: The gap.
        below: The beginning of the kept part below the gap.
    """
    if not gaps.comment or "\n" not in missing:
        return ""
    first = next(filter(_is_code, missing.splitlines()), "")
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    goes_on = below and (missing.rpartition("\n")[2] + below).startswith(indent)
    opens = above.partition("  #")[0].rstrip().endswith(":")
    return f"{indent}{gaps.body}  " if gaps.body and opens and not goes_on else indent


def _is_code(line: str) -> bool:
    """True if a line is neither blank nor a comment of Python."""
    return line.lstrip()[:1] not in {"", "#"}


def _blank(missing: str) -> str:
    """The white space between a marker and the text around it."""
    return "\n" if "\n" in missing else " "
