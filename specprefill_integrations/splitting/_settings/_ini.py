"""Entries of INI, properties and environment files: sections, and keys with or without a value.

Reads only the starts and ends of lines, so broken files work too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from specprefill_integrations.splitting._entries import Entries, Entry
from specprefill_integrations.splitting._lines import nonblank_lines
from specprefill_integrations.types import Span

_SECTION = re.compile(
    r"\ufeff?[ \t]{0,40}\[[^\s\]][^\]\r\n]{0,300}\][ \t]{0,200}(?:[#;][^\r\n]*)?$"
)
_COMMENT = re.compile(r"\ufeff?[ \t]{0,40}(?:[#;!]|//|(?i:rem)\b)")
_KEY = re.compile(r"[ \t]{0,40}[^\s=:#;\[{<(][^=:;(){}<>\r\n]{0,120}[=:]")
_PLAIN_KEY = re.compile(r"(?:export |set )?[A-Za-z_@\"][\w.@\"/-]{0,120}=")
_WORD = re.compile(r"[ \t]{0,40}[\w.-]{2,60}$")
_OPEN_QUOTE = re.compile(r"[^=\r\n]{1,200}=[ \t]{0,40}([\"'])")

# A quoted value of more lines is taken for a missing closing quote.
_VALUE_LINES = 50

_LEAST_SHARE = 0.9
_LEAST_SHARE_IF_NAMED = 0.6
_LEAST_KEYS = 2

# Registry files begin with a line that is no key.
_FIRST_LINES = 2
_LEAST_PLAIN_KEYS = 3


def ini_entries(text: str) -> list[Entry]:
    """The entries of an INI file, in order."""
    lines = nonblank_lines(text)
    entries = Entries(text)
    depth = 0
    column = -1  # indentation of the key that deeper lines continue
    index = 0
    while index < len(lines):
        line = text[lines[index].start : lines[index].end].rstrip()
        indent = len(line) - len(line.lstrip())
        end = index + 1
        if _SECTION.match(line):
            depth, column = 1, -1
            entries.add(lines[index], 0, head_end=lines[index].end)
        elif 0 <= column < indent and not entries.has_comment:
            entries.extend(lines[index].end)
        elif _COMMENT.match(line):
            entries.add_comment(lines[index], 0)
        else:
            end = _value_end(text, lines, index)
            whole = Span(lines[index].start, lines[end - 1].end)
            entries.add(whole, depth, head_end=lines[index].end)
            column = indent
        index = end
    return entries.finished()


def looks_like_ini(lines: Sequence[str]) -> bool:
    """True if nearly all lines are sections, keys and comments.

    A file without sections must consist of keys with an equals sign that has no space around it.
    """
    notes = sum(bool(_COMMENT.match(line)) for line in lines)
    filled = [line for line in lines if not _COMMENT.match(line)]
    sections = sum(bool(_SECTION.match(line)) for line in filled)
    if not sections:
        own = [line for line in filled if not line[:1].isspace()]
        keys = sum(bool(_PLAIN_KEY.match(line)) for line in own)
        return keys == len(own) >= max(_LEAST_PLAIN_KEYS, len(filled) // 2)
    keys = sum(bool(_KEY.match(line)) and not _SECTION.match(line) for line in filled)
    words = sum(bool(_WORD.match(line)) for line in filled)
    deeper = sum(line[:1].isspace() and not _KEY.match(line) for line in filled)
    deeper = min(deeper, 2 * keys)
    fits = sections + keys + words + deeper >= _LEAST_SHARE * len(filled)
    is_first = any(_SECTION.match(line) or _KEY.match(line) for line in filled[:_FIRST_LINES])
    assigned = sum("=" in line for line in filled)
    return is_first and fits and min(keys, 2 * assigned) >= max(_LEAST_KEYS, words, notes // 20)


def may_be_ini(lines: Sequence[str]) -> bool:
    """True if most lines are sections, keys and comments, as in a file with such a name."""
    filled = [line for line in lines if not _COMMENT.match(line)]
    fitting = sum(any(p.match(line) for p in (_SECTION, _KEY, _WORD)) for line in filled)
    return fitting >= _LEAST_SHARE_IF_NAMED * len(filled)


def _value_end(text: str, lines: Sequence[Span], index: int) -> int:
    """The index after the last line of a key: backslashes and open quotes continue it."""
    first = text[lines[index].start : lines[index].end].rstrip()
    end = index + 1
    while end < len(lines) and _goes_on(text[lines[end - 1].start : lines[end - 1].end]):
        end += 1
    quote = _OPEN_QUOTE.match(first)
    if not quote or first.count(quote[1], quote.end()):
        return end
    for last in range(index + 1, min(index + _VALUE_LINES, len(lines))):
        line = text[lines[last].start : lines[last].end]
        if quote[1] in line:
            return last + 1
    return end


def _goes_on(line: str) -> bool:
    """True if a line ends with an odd number of backslashes."""
    line = line.rstrip("\r\n")
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
