"""Cues of subtitles (SRT, WebVTT, SBV): a time code with the words shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._lines import source_lines
from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
from specprefill_integrations.types import Span

_TIME = r"(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}"
_TIME_LINE = re.compile(rf"\ufeff?[ \t]{{0,10}}{_TIME}(?:[ \t]{{0,10}}-->[ \t]{{0,10}}|,){_TIME}")

_LEAST_CUES = 2


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleSplitter(OutlineSplitter):
    """Splits subtitles into cues, each with its number and its time code.

    The pieces of an oversized cue need the time code.
    """

    def parse(self, text: str) -> Outline:
        """Find the cues of `text`."""
        outline = Outline(text)
        lines = source_lines(text)
        head = Span(0, 0)
        for index in cue_lines(text, lines):
            start = lines[_first_line(text, lines, index)].start
            outline.add_headed(head, start, (), self.max_unit_chars)
            head = Span(start, lines[index].end)
        outline.add_headed(head, len(text), (), self.max_unit_chars)
        return outline


def cue_lines(text: str, lines: Sequence[Span]) -> list[int]:
    """The indices of the lines with a time code."""
    return [i for i, (start, end) in enumerate(lines) if _TIME_LINE.match(text, start, end)]


def looks_like_subtitles(head: str) -> bool:
    """True if a text starts with a cue and has several, or with the first line of WebVTT."""
    lines = source_lines(head)
    cues = cue_lines(head, lines)
    if head.lstrip("\ufeff").startswith("WEBVTT"):
        return bool(cues)
    before = head[: lines[cues[0]].start].split() if cues else []
    return len(cues) >= _LEAST_CUES and len(before) <= 1


def _first_line(text: str, lines: Sequence[Span], index: int) -> int:
    """The line of a cue's number or name, which is right above its time code."""
    above = text[lines[index - 1].start : lines[index - 1].end] if index else ""
    is_alone = index == 1 or (index > 1 and text[slice(*lines[index - 2])].isspace())
    is_number = above.strip("\ufeff \t\r\n").isdigit()
    return index - 1 if is_number or (above.strip() and is_alone) else index
