"""Turns of a chat transcript: a speaker and the lines up to the next speaker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import regex

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._finer import CUT
from specprefill_integrations.splitting._lines import source_lines
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._plays import cue_ends, is_scene
from specprefill_integrations.types import Span

_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp]\.?[Mm]\.?)?"
_DATE = r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}"
_WHEN = rf"(?:{_DATE},?[ T]{{1,2}}{_CLOCK}|{_CLOCK})"
_REST = r"[\p{L}\p{M}\p{N}_.'’@-]{0,30}"
_NAME = rf"@?\p{{L}}{_REST}(?: [\p{{L}}\p{{N}}]{_REST}| #\d+){{0,3}}"
_TIMESTAMP = (
    rf"(?:\[[^\[\]\r\n]{{0,24}}{_CLOCK}[^\[\]\r\n]{{0,24}}\] ?|\(?{_WHEN}\)?(?: ?[-–—|,])? )"
)

_TURN = regex.compile(
    rf"\ufeff?[ \t]{{0,3}}{_TIMESTAMP}?"
    rf"(?:<(?P<name>{_NAME})>{CUT}"
    rf"|\*\*(?P<name>{_NAME})(?: \({_WHEN}\))?(?::\*\*|\*\*:){CUT}"
    rf"|(?P<name>{_NAME})(?: ?[(\[]{_WHEN}[)\]])?(?:：{CUT}|:(?=\s|$)))"
)

_HAS_A_DATE = (
    r"(?i:\d|\b(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\b"
    r"|\b(?:to|yester)day\b)"
)
_HEADER = regex.compile(
    rf"\ufeff?[ \t]*(?:\[[^\[\]\r\n]{{0,80}}{_HAS_A_DATE}[^\[\]\r\n]{{0,80}}\]"
    r"|[-=*_~—–─]{2,}[ \t]*[^\s=*_~—–─-][^\r\n]{0,80}?[ \t]*[-=*_~—–─]{2,}"
    r"|(?:#{1,6} |\*\*)?(?i:session|conversation|day|date|chapter) ?[#:]? ?\d[^\r\n]{0,40}"
    rf"|(?:#{{1,6}} )?{_DATE}(?:,? {_CLOCK})?)\s*$"
)

_ROLE_NAMES = "user assistant system human ai bot chatbot agent tool customer support model q a"
ROLES = frozenset(_ROLE_NAMES.split())
"""Names of speakers that are roles."""

# First words before a colon at the start of a line that are not speakers.
_OTHER_NAMES = (
    "trace debug info notice warn warning err error severe fatal critical note tip important todo "
    "fixme example http https date subject from to cc"
)
_NOT_SPEAKERS = frozenset(_OTHER_NAMES.split())

# Up to this many turns, speakers may speak only once.
_FEW_TURNS = 8


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSplitter(OutlineSplitter):
    """Splits a transcript, a play or a screenplay into turns, each with the lines below it.

    A line with a date, or the start of a session or a scene, is needed by the turns up to the next
    such line.
    The pieces of an oversized turn need the speaker's name.
    """

    def parse(self, text: str) -> Outline:
        """Find the turns of `text` and the session of each."""
        outline = Outline(text)
        lines = source_lines(text)
        turns = {index: turn.end for index, turn in turn_lines(text, lines).items()}
        cues = cue_ends(text, lines)
        turns = cues if len(cues) > len(turns) else turns
        needs: Needs = ()
        head = Span(0, 0)
        for index, line in enumerate(lines):
            is_header = index not in turns and (
                _HEADER.match(text, line.start, line.end) or is_scene(text, line)
            )
            if not is_header and index not in turns:
                continue
            outline.add_headed(head, line.start, needs, self.max_unit_chars)
            if is_header:
                needs = outline.add_heading(line, (), self.max_unit_chars)
                head = Span(line.end, line.end)
            else:
                head = Span(line.start, turns[index])
        outline.add_headed(head, len(text), needs, self.max_unit_chars)
        return outline


@dataclass(frozen=True, slots=True)
class Turn:
    """The start of a turn."""

    speaker: str
    """The name of the speaker."""

    end: int
    """Start of the spoken text."""

    has_timestamp: bool
    """True if a time precedes the name."""

    is_marked: bool
    """True if the name is in angle brackets or bold."""


def turn_lines(text: str, lines: Sequence[Span]) -> dict[int, Turn]:
    """The lines that start a turn, keyed by line index.

    A speaker is a role such as `User`, or a name that is marked, has a timestamp or occurs again.
    In a short transcript where at most half of the names qualify, any name is a speaker.
    """
    found = {}
    for index, line in enumerate(lines):
        match = _TURN.match(text, line.start, line.end)
        if match and match["name"].split()[0].casefold() not in _NOT_SPEAKERS:
            before = text[line.start : match.start("name")].strip("\ufeff \t@")
            is_marked = before.endswith(("<", "**"))
            found[index] = Turn(match["name"], match.end(), bool(before.strip("<*")), is_marked)
    times = Counter(turn.speaker.casefold() for turn in found.values())
    known = {name for name, count in times.items() if count > 1 or name.lstrip("@") in ROLES}
    known |= {t.speaker.casefold() for t in found.values() if t.has_timestamp or t.is_marked}
    if len(found) <= _FEW_TURNS and 2 * len(known) <= len(times):
        return found
    return {i: turn for i, turn in found.items() if turn.speaker.casefold() in known}
