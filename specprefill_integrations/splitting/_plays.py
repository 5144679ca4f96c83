"""Cues of plays and screenplays: the name of a speaker on a line of its own, above the speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import regex

from specprefill_integrations.splitting._finer import CUT
from specprefill_integrations.types import Span

_CUE = regex.compile(
    r"\ufeff?[ \t]{0,80}(?P<name>@?\p{Lu}[\p{Lu}\p{M}\p{N} .'\u2019&#/-]{0,38}[\p{Lu}\p{M}\p{N}.])"
    r"(?:[ \t]{0,5}\([^()\r\n]{1,40}\)){0,2}[ \t]{0,5}[.:^]?[ \t]{0,80}$"
)
_SPEECH = regex.compile(
    rf"[ \t]{{0,20}}(?P<name>\p{{Lu}}[\p{{Lu}}\p{{M}} '\u2019]{{1,28}}\p{{Lu}})\."
    rf"(?:[ \t]{{0,5}}[\[(][^\]\r\n]{{1,80}}[\])])?[ \t]{CUT}"
)
_SCENE = regex.compile(
    r"\ufeff?[ \t]{0,80}(?:\d{1,4}[A-Z]?\.?[ \t]{1,20})?(?:"
    r"(?:INT|EXT|EST|I/E|INT\.?/EXT)[. ][^\r\n]{0,200}"
    r"|(?i:act|scene|aufzug|szene|acte|scène|prologue|epilogue)\b[ \t]{0,3}"
    r"(?:[IVXLC\d]{1,8}|[a-z]{3,12})?"
    r"(?:[.,:\u2013\u2014-][^\r\n]{0,200})?)[ \t]{0,80}$"
)

_LEAST_CUES = 4
_LEAST_SHARE = 0.1


def cue_ends(text: str, lines: Sequence[Span]) -> dict[int, int]:
    """The lines that start a speech, with the end of the speaker's name there.

    A speaker must speak more than once.
    """
    found: dict[int, tuple[str, int]] = {}
    is_after_blank = True
    for index, line in enumerate(lines):
        is_blank = text[line.start : line.end].isspace()
        if is_after_blank and not is_blank and not _SCENE.match(text, *_trimmed(text, line)):
            cue = _CUE.match(text, *_trimmed(text, line)) or _SPEECH.match(text, *line)
            if cue:
                name = cue["name"].strip("@. ").casefold()
                is_alone = cue.re is _CUE
                end = line.end if is_alone else cue.end()
                if not is_alone or _has_speech(text, lines, index):
                    found[index] = (name, end)
        is_after_blank = is_blank
    times = Counter(name for name, _ in found.values())
    return {index: end for index, (name, end) in found.items() if times[name] > 1}


def is_scene(text: str, line: Span) -> bool:
    """True if a line is the heading of an act or a scene."""
    return bool(_SCENE.match(text, *_trimmed(text, line)))


def looks_like_play(text: str, lines: Sequence[Span]) -> bool:
    """True if many speeches start with a cue.

    Args:
        text: The beginning of a text.
        lines: All of its lines.
    """
    cues = cue_ends(text, lines)
    names = {text[lines[i].start : end].strip() for i, end in cues.items()}
    filled = sum(not text[a:b].isspace() for a, b in lines)
    return len(cues) >= max(_LEAST_CUES, _LEAST_SHARE * filled) and len(names) > 1


def _has_speech(text: str, lines: Sequence[Span], index: int) -> bool:
    """True if there is a line right below a cue."""
    return index + 1 < len(lines) and not text[slice(*lines[index + 1])].isspace()


def _trimmed(text: str, line: Span) -> Span:
    return Span(line.start, line.start + len(text[line.start : line.end].rstrip("\r\n")))
