"""Texts pasted into a question, such as logs: what is asked is kept, and what tells what failed.

Without this, a pasted log would decide what is kept: it has far more words than the question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

# Shorter questions stay as they are, and so do those of few lines, unless a part is fenced.
_MOST_CHARS = 1000
_MOST_LINES = 40

# A question stands before what is pasted, or after it; the last lines of an error say what failed.
_LINES_AT_ENDS = 3
_FENCES = 3
_QUESTIONS = 5

_MOST_OF_ONE_FORM = 3

_LINE_CHARS = 500

_FENCE = re.compile(r"\s{0,8}(?:```|~~~)")
_DIGITS = re.compile(r"\d+")
_LEAST_SPACES = 4


def without_pasted_text(query: str) -> str:
    """Return a question without what was pasted into it.

    Of a long question, fenced and quoted texts are left out, but for the last lines of the fenced
    ones, and so are lines that are often the same but for numbers. Of what are many lines even
    then, these stay: the first and the last ones, those that ask something and, up to about a
    thousand characters, sentences.
    """
    if len(query) <= _MOST_CHARS:
        return query
    lines = [line for line in query.splitlines() if line.strip()]
    fences = [index for index, line in enumerate(lines) if _FENCE.match(line)]
    if len(fences) <= 1 and len(lines) <= _MOST_LINES:
        return query
    outside = [*_outside(len(lines), fences)] or [*range(len(lines))]
    rare = _of_rare_form(lines)
    own = [index for index in outside if index in rare] or outside
    asked = own if len(own) <= _MOST_LINES else _most_telling(lines, own)
    kept = {*asked, *rare.intersection(_fenced_ends(fences))}
    return "\n".join(both_ends(lines[index], _LINE_CHARS) for index in sorted(kept))


def both_ends(text: str, chars: int) -> str:
    """Return the beginning and the end of a text, about as many characters of it."""
    if len(text) <= chars:
        return text
    half = chars // 2
    return f"{text[:half].rstrip()} ... {text[-half:].lstrip()}"


def _outside(count: int, fences: Sequence[int]) -> Iterator[int]:
    """The indices of lines that no pair of fences encloses."""
    start = 0
    for begin, end in zip(fences[::2], fences[1::2], strict=False):
        yield from range(start, begin)
        start = end + 1
    yield from range(start, count)


def _fenced_ends(fences: Sequence[int]) -> Iterator[int]:
    """The indices of the last lines of the first fenced texts."""
    pairs = [*zip(fences[::2], fences[1::2], strict=False)]
    for begin, end in pairs[:_FENCES]:
        yield from range(max(begin + 1, end - _LINES_AT_ENDS), end)


def _most_telling(lines: Sequence[str], own: Sequence[int]) -> set[int]:
    """The indices of the lines that most likely ask something, about a thousand characters."""
    kept = {*own[:_LINES_AT_ENDS], *own[-_LINES_AT_ENDS:]}
    kept.update([index for index in own if _asks(lines[index])][:_QUESTIONS])
    room = _MOST_CHARS - sum(min(len(lines[index]), _LINE_CHARS) for index in kept)
    for index in _sentences(lines, own):
        room -= len(lines[index])
        if room < 0:
            break
        kept.add(index)
    return kept


def _sentences(lines: Sequence[str], own: Sequence[int]) -> Iterator[int]:
    """The indices of lines that are a sentence."""
    for index in own:
        line = lines[index]
        ends = line.rstrip().endswith((".", ":", "!", "\u3002"))
        if ends and _starts_with_letter(line) and line.strip().count(" ") >= _LEAST_SPACES:
            yield index


def _of_rare_form(lines: Sequence[str]) -> set[int]:
    """The indices of lines that are not quoted and, but for numbers, not often the same: a log."""
    forms = [_DIGITS.sub("0", line) for line in lines]
    times = Counter(forms)
    return {
        index
        for index, form in enumerate(forms)
        if times[form] <= _MOST_OF_ONE_FORM and not form.lstrip().startswith(">")
    }


def _asks(line: str) -> bool:
    return line.rstrip().endswith(("?", "\uff1f", "\u061f")) and _starts_with_letter(line)


def _starts_with_letter(line: str) -> bool:
    return line.lstrip()[:1].isalpha()
