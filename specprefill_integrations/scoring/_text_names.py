"""Names of texts: their titles, or what their first sentences are about."""

from __future__ import annotations

import regex

UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Scripts without spaces between words, as part of a regular expression's set: every character
counts as a word."""

UNSPACED = regex.compile(rf"[{UNSPACED_SCRIPTS}]")

ENDS_A_SENTENCE = regex.compile(r"\p{Sentence_Terminal}[\p{Pe}\p{Pf}\"']*\s*\Z")
"""The end of a sentence, to be searched in the last characters of a unit."""

STOP_WORDS = frozenset(
    regex.findall(
        r"\w+",
        "a an and any are as at be been by did do does for from had has have he her his how i "
        "in is it its many me much my of on or our she that the their them there they this to "
        "was we were what when where which who whom whose why will with you your ",
    )
)
"""English words that say nothing about what a text is about."""

_TITLE_CHARS = 150
_FIRST_CHARS = 300

# One word may be any noun of German, or any word that begins a heading: "Summary", "Contact".
_LEAST_WORDS = 2
_LEAST_CHARS_UNSPACED = 4

# White space, and the marks of markdown and AsciiDoc.
_AROUND_A_TITLE = " \t\r\n#*_=>`"

# What the first sentence of a text is about: "The Silver Harbor is", "Ada Quist (1902-1971)".
_NAME = r"\p{Lu}[\p{L}\p{M}'\u2019.&-]*+"
_SUBJECT = regex.compile(
    rf"\s*+[\"'\u201c]?(?:The\s++)?"
    rf"({_NAME}(?:\s++(?:{_NAME}|of|the|and|in|de|la|von|van|du|al|&)){{1,7}}+)"
    r"[\"'\u201d]?\s*+(?:\(|,|(?:is|was|are|were)\b)"
)
_NO_SUBJECT = STOP_WORDS | {"after", "before", "during", "however", "if", "since", "these", "those"}
_IN_BRACKETS = regex.compile(r"\s*+\([^()]*+\)\Z")
_OF_CODE = regex.compile(r"[(){}\[\]<>;=/\\]")


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
    """Return a text's title, else the subject of its first sentence; empty if it has no name.

    A name has at least two words, or four characters in a script without spaces. Subjects are found
    before "is", "was", "are" or "were", a comma or a bracket.
    """
    title = text[: title_end(text)].strip(_AROUND_A_TITLE)
    name = _IN_BRACKETS.sub("", title) if title else _subject(text)
    is_unspaced = UNSPACED.match(name) is not None
    if not is_unspaced and not name[:1].isupper() and not name[:1].isdigit():
        return ""
    is_long = len(name.split()) >= _LEAST_WORDS or (
        is_unspaced and len(name) >= _LEAST_CHARS_UNSPACED
    )
    return name if is_long and not _OF_CODE.search(name) else ""


def _subject(text: str) -> str:
    found = _SUBJECT.match(text, 0, _FIRST_CHARS)
    subject = found[1] if found else ""
    first = subject.partition(" ")[0].casefold()
    return "" if first in _NO_SUBJECT else subject


def is_mentioned(name: str, content: str) -> bool:
    """Return True if a text mentions a name as a whole."""
    start = content.find(name)
    while start >= 0:
        if not (_is_cut(content, start) or _is_cut(content, start + len(name))):
            return True
        start = content.find(name, start + 1)
    return False


def _is_cut(text: str, place: int) -> bool:
    """True if a place is within a word of a script that has spaces."""
    both = text[max(0, place - 1) : place + 1]
    is_within = len(both) == 2 and all(one.isalnum() or one in "_-" for one in both)  # noqa: PLR2004
    return is_within and not UNSPACED.search(both)
