"""Names of texts: their titles, or what their first sentences are about."""

from __future__ import annotations

from functools import lru_cache

import regex

UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Scripts without spaces between words, as part of a regular expression's set: every character
counts as a word."""

UNSPACED = regex.compile(rf"[{UNSPACED_SCRIPTS}]")

_ENDS_A_SENTENCE = regex.compile(r"\p{Sentence_Terminal}[\p{Pe}\p{Pf}\"']*\s*\Z")

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

_LEAST_CHARS = 4

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
    return below + 1 if has_words and not _ENDS_A_SENTENCE.search(title) else 0


def ends_a_sentence(unit: str) -> bool:
    """Return True if a unit ends with a sentence."""
    return _ENDS_A_SENTENCE.search(unit[-8:]) is not None


def name_of(text: str) -> str:
    """Return a text's title, else the subject of its first sentence; empty if it has no name.

    A name has at least four characters, and a subject two words. Subjects are found before "is",
    "was", "are" or "were", a comma or a bracket.
    """
    title = text[: title_end(text)].strip(_AROUND_A_TITLE)
    name = _IN_BRACKETS.sub("", title) if title else _subject(text)
    is_small = not name[:1].isupper() and not name[:1].isdigit() and not UNSPACED.match(name)
    return "" if is_small or len(name) < _LEAST_CHARS or _OF_CODE.search(name) else name


def _subject(text: str) -> str:
    found = _SUBJECT.match(text, 0, _FIRST_CHARS)
    subject = found[1] if found else ""
    first = subject.partition(" ")[0].casefold()
    return "" if first in _NO_SUBJECT else subject


def is_phrase(name: str) -> bool:
    """Return True for a name of several words, or in a script without spaces."""
    return " " in name or UNSPACED.match(name) is not None


def is_mentioned(name: str, content: str) -> bool:
    """Return True if a text mentions a name as a whole.

    A single word must stand behind one in small letters, and before none with a capital and no
    number: "Summary" may begin a heading, "Rye" be part of "Rye Bay", and "March" of a date.
    """
    if not is_phrase(name):
        return _within_a_sentence(name).search(content) is not None
    start = content.find(name)
    while start >= 0:
        if not (_is_cut(content, start) or _is_cut(content, start + len(name))):
            return True
        start = content.find(name, start + 1)
    return False


@lru_cache(maxsize=1_000)
def _within_a_sentence(word: str) -> regex.Pattern[str]:
    return regex.compile(
        rf"(?<=\b\p{{Ll}}{{1,30}} [\"'(]?){regex.escape(word)}(?![\w-]|\s[\p{{Lu}}\d])"
    )


def _is_cut(text: str, place: int) -> bool:
    """True if a place is within a word of a script that has spaces."""
    both = text[max(0, place - 1) : place + 1]
    is_within = len(both) == 2 and all(one.isalnum() or one in "_-" for one in both)  # noqa: PLR2004
    return is_within and not UNSPACED.search(both)
