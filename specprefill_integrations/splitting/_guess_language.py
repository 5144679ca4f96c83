"""What a text is programmed in: by its name, by its first line, or by how its lines look.

A guess is only made where there is little doubt: prose, logs and data are no code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from specprefill_integrations.splitting._code_languages import (
    EVIDENCE,
    EXTENSIONS,
    FILE_NAMES,
    INTERPRETERS,
)

# So much of a text is looked at.
_READ_CHARS = 20_000

# Of all lines such a share must be typical of the language, in so many different ways, and so
# many times as many as of any other.
_LEAST_SHARE = 0.08
_LEAST_WAYS = 2
_LEAST_LEAD = 1.2

# Such a share of all lines must look like any code.
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

_WAYS = {
    language: [re.compile(rf"\s*(?:{way})") for way in ways] for language, ways in EVIDENCE.items()
}
_ANY_WAY = {
    language: re.compile(rf"\s*(?:{'|'.join(ways)})") for language, ways in EVIDENCE.items()
}

# Has nearly all lines of the other one, and some of its own.
_EXTENDS = {"c++": "c", "typescript": "javascript"}


def guess_language(text: str, name: str | None = None) -> str | None:
    """What a text is programmed in, if it is code.

    Args:
        text: The text.
        name: A file name, path or address that it is known by.

    Returns:
        What `CodeSplitter.language` takes; None where it is no code or hard to tell.
    """
    return _by_name(name or "") or _by_shebang(text) or _by_lines(text[:_READ_CHARS])


def _by_name(name: str) -> str | None:
    file_name = re.split(r"[/\\]", re.split(r"[?#]", name)[0])[-1].lower()
    _, dot, extension = file_name.rpartition(".")
    by_extension = _BY_EXTENSION.get(extension) if dot else None
    return by_extension or _BY_FILE_NAME.get(file_name)


def _by_shebang(text: str) -> str | None:
    shebang = _SHEBANG.match(text)
    return _BY_INTERPRETER.get(shebang[1]) if shebang else None


def _by_lines(text: str) -> str | None:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if not lines or _IS_NO_CODE.search(text):
        return None
    if sum(map(bool, map(_LOOKS_LIKE_CODE.match, lines))) < _LEAST_LIKE_CODE * len(lines):
        return None
    typical = {language: _count(way, lines) for language, way in _ANY_WAY.items()}
    for language, base in _EXTENDS.items():
        typical[language] += typical[base] if typical[language] else 0
    best, second = sorted(typical, key=typical.__getitem__, reverse=True)[:2]
    if _EXTENDS.get(best) == second:
        second = sorted(typical, key=typical.__getitem__, reverse=True)[2]
    is_clear = typical[best] >= max(_LEAST_LEAD * typical[second], _LEAST_SHARE * len(lines))
    return best if is_clear and _count_ways(best, lines) >= _LEAST_WAYS else None


def _count(way: re.Pattern[str], lines: Sequence[str]) -> int:
    return sum(1 for line in lines if way.match(line))


def _count_ways(language: str, lines: Sequence[str]) -> int:
    """In how many ways lines are typical of a language or of what it extends."""
    ways = _WAYS[language] + _WAYS.get(_EXTENDS.get(language, ""), [])
    return sum(1 for way in ways if _count(way, lines))
