"""Names of texts: their titles, or what their first sentences are about."""

from __future__ import annotations

import regex

UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Scripts without spaces between words, as part of a regular expression's set: every character
counts as a word."""

UNSPACED = regex.compile(rf"[{UNSPACED_SCRIPTS}]")

ENDS_A_SENTENCE = regex.compile(r"\p{Sentence_Terminal}[\p{Pe}\p{Pf}\"']*\s*\Z")
"""The end of a sentence, to be searched in the last characters of a unit."""

_TITLE_CHARS = 150
_FIRST_CHARS = 300

_LEAST_NAME_CHARS = 4

# White space, and the marks of markdown and AsciiDoc.
_AROUND_A_TITLE = " \t\r\n#*_="

# What the first sentence of a text is about: "The Silver Harbor is", "Ada Quist (1902-1971)".
_NAME = r"\p{Lu}[\w'\u2019.&-]*+"
_SUBJECT = regex.compile(
    rf"\s*+[\"'\u201c]?(?:The\s++)?"
    rf"({_NAME}(?:\s++(?:{_NAME}|of|the|and|in|de|la|von|van|du|al|&|\d++)){{0,7}}+)"
    r"[\"'\u201d]?\s*+(?:\(|,|(?:is|was|are|were)\b)"
)
_IN_BRACKETS = regex.compile(r"\s*+\([^()]*+\)\Z")


def title_end(text: str) -> int:
    """Return where the text below a title begins; 0 if there is no title.

    A title is a short first line that is no sentence, with a blank line below it.
    """
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start, start + _TITLE_CHARS + 1)
    below = text.find("\n", end + 1)
    if min(end, below) < 0 or text[end:below].strip():  # what is below follows a blank line
        return 0
    title = text[start:end]
    has_words = any(map(str.isalpha, title))
    return below + 1 if has_words and not ENDS_A_SENTENCE.search(title) else 0


def name_of(text: str) -> str:
    """Return a text's title, else the subject of its first sentence; empty if it has no name."""
    title = text[: title_end(text)].strip(_AROUND_A_TITLE)
    if not title:
        subject = _SUBJECT.match(text, 0, _FIRST_CHARS)
        title = subject[1] if subject else ""
    name = _IN_BRACKETS.sub("", title)
    return name if len(name) >= _LEAST_NAME_CHARS else ""


def is_mentioned(name: str, unit: str) -> bool:
    """Return True if a unit mentions a name.

    A single word at the start of a unit is no mention: any word has a capital there.
    """
    start = unit.find(name, 0 if " " in name else 1)
    while start >= 0:
        if not (_is_cut(unit, start) or _is_cut(unit, start + len(name))):
            return True
        start = unit.find(name, start + 1)
    return False


def _is_cut(text: str, place: int) -> bool:
    """True if a place is within a word of a script that has spaces."""
    both = text[max(0, place - 1) : place + 1]
    return len(both) == 2 and both.isalnum() and not UNSPACED.search(both)  # noqa: PLR2004
