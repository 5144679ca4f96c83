"""Detection of programming languages: by file name, first line, or typical lines.

Only clear cases count: prose, logs and data must not be taken for code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from specprefill_integrations.splitting._code._languages import (
    COMMENTS,
    EVIDENCE,
    EXTENSIONS,
    FILE_NAMES,
    INTERPRETERS,
)
from specprefill_integrations.splitting._lines import source_lines

# Only this much of a text is examined.
_READ_CHARS = 20_000

# The patterns take superlinear time, and nothing typical is longer.
_LINE_END_CHARS = 200

# Minimum share of lines typical of the language, minimum number of different patterns that match,
# and minimum lead over the second language.
_LEAST_SHARE = 0.08
_LEAST_WAYS = 2
_LEAST_LEAD = 1.2

# Minimum share of lines that look like code of any language.
_LEAST_LIKE_CODE = 0.5

_BY_EXTENSION = {end: language for language, ends in EXTENSIONS.items() for end in ends}
_BY_FILE_NAME = {name: language for language, names in FILE_NAMES.items() for name in names}
_BY_INTERPRETER = {run: language for language, runs in INTERPRETERS.items() for run in runs}

_SHEBANG = re.compile(r"\ufeff?#![ \t]*(?:\S*/)?(?:env(?:[ \t]+-\S+)*[ \t]+)?([a-z][a-z-]*)")
_IS_NO_CODE = re.compile(
    r"^(?:[ \t]*```|~~~|diff --git |@@ -)|\A\s*(?:<!doctype|<html|<\?xml|---$|[\[{]\s*[\"{\[])",
    re.IGNORECASE | re.MULTILINE,
)
_LOOKS_LIKE_CODE = re.compile(r"[ \t]+\S|.*[{}()\[\];:,]$|(?:#|//|/\*|\*|@\w)|(?:end|fi|done)$")

_WAYS = {language: [re.compile(way) for way in ways] for language, ways in EVIDENCE.items()}
_ANY_WAY = {language: re.compile("|".join(ways)) for language, ways in EVIDENCE.items()}

# A language that extends another has nearly all of its lines.
_EXTENDS = {"c++": "c", "typescript": "javascript"}


def guess_language(text: str, name: str | None = None) -> str | None:
    """Guess the programming language of a text.

    Args:
        text: The text.
        name: Its file name, path or URL.

    Returns:
        A value for `CodeSplitter.language`; None if the text is not code, or in doubt.
    """
    return _by_name(name or "") or _by_shebang(text) or _by_lines(text[:_READ_CHARS])


def comment_form(language: str | None, name: str | None = None) -> str:
    """The form of a comment in a programming language, such as `# {marker}`.

    Args:
        language: The language, see `guess_language`.
        name: The name, path or URL of a file in a language without a grammar.

    Returns:
        A comment with `{marker}` in the place of its words; empty if the language is unknown.
    """
    return COMMENTS.get(language or _extension(name or ""), "")


def _by_name(name: str) -> str | None:
    return _BY_EXTENSION.get(_extension(name)) or _BY_FILE_NAME.get(_file_name(name))


def _extension(name: str) -> str:
    _, dot, extension = _file_name(name).rpartition(".")
    return extension if dot else ""


def _file_name(name: str) -> str:
    return re.split(r"[/\\]", re.split(r"[?#]", name)[0])[-1].lower()


def _by_shebang(text: str) -> str | None:
    shebang = _SHEBANG.match(text)
    return _BY_INTERPRETER.get(shebang[1]) if shebang else None


def _by_lines(text: str) -> str | None:
    whole = (text[line.start : line.end].rstrip() for line in source_lines(text))
    lines = [line for line in whole if line]
    if not lines or _IS_NO_CODE.search(text):
        return None
    if sum(map(bool, map(_LOOKS_LIKE_CODE.match, lines))) < _LEAST_LIKE_CODE * len(lines):
        return None
    lines = [_ends(line.lstrip()) for line in lines]
    typical = {language: _count(way, lines) for language, way in _ANY_WAY.items()}
    for language, base in _EXTENDS.items():
        typical[language] += typical[base] if typical[language] else 0
    best, second = sorted(typical, key=typical.__getitem__, reverse=True)[:2]
    if _EXTENDS.get(best) == second:
        second = sorted(typical, key=typical.__getitem__, reverse=True)[2]
    is_clear = typical[best] >= max(_LEAST_LEAD * typical[second], _LEAST_SHARE * len(lines))
    return best if is_clear and _count_ways(best, lines) >= _LEAST_WAYS else None


def _ends(line: str) -> str:
    """A line, or the two ends of a long one."""
    if len(line) <= 2 * _LINE_END_CHARS:
        return line
    return line[:_LINE_END_CHARS] + line[-_LINE_END_CHARS:]


def _count(way: re.Pattern[str], lines: Sequence[str]) -> int:
    return sum(1 for line in lines if way.match(line))


def _count_ways(language: str, lines: Sequence[str]) -> int:
    """The number of patterns of a language, or of one it extends, that match a line."""
    ways = _WAYS[language] + _WAYS.get(_EXTENDS.get(language, ""), [])
    return sum(1 for way in ways if _count(way, lines))
