"""The recall tool's answer to an agent: an original, an excerpt of it, or why there is none.

Knows no framework and no store. Every answer is text that tells the agent how to continue.
"""

from __future__ import annotations

import re

from specprefill_integrations._visible import visible
from specprefill_integrations.originals._excerpts import ExcerptWriter, Wanted
from specprefill_integrations.originals._numbered_text import NumberedText
from specprefill_integrations.originals._original_store import REFERENCE_CHARS
from specprefill_integrations.types import CountTokens

RECALL_HELP = (
    "Fetch the original of a text that was shortened. A shortened text has gaps, marked [...] "
    "or similar, and names its reference beside one of them, such as [reference 3f9a0c1b2d4e]. "
    "Call this tool when the information you need may be in a gap, before you say that it is "
    "missing or call the tool that returned the text again. Pass the reference; for a part of a "
    'long original also pass "around". You get the original word for word: the whole text or, '
    "if it is too long, the part that you asked for."
)
"""Description of the recall tool for the model."""

REFERENCE_HELP = "The reference in the shortened text: 12 characters, such as 3f9a0c1b2d4e."
"""Description of the argument `reference`."""

AROUND_HELP = (
    "The part of a long original to return: words that occur in it, word for word, such as a name "
    "or an error code; or a line number such as 120; or lines such as 120-160. Leave it empty for "
    "the whole text or its beginning."
)
"""Description of the argument `around`."""

_REFERENCE = re.compile(rf"(?<![0-9a-z])[0-9a-f]{{{REFERENCE_CHARS}}}(?![0-9a-z])")

# "120", "line 120", "lines 120-140": as in the first line of an excerpt.
_LINES = re.compile(
    r"(?:lines?\s*)?(\d{1,9})(?:\s*[-\u2013]\s*(\d{1,9}))?", re.ASCII | re.IGNORECASE
)

# Characters of an agent's own words that an answer repeats.
_QUOTED_CHARS = 60


def find_reference(words: str) -> str | None:
    """Find the reference in an agent's words, which may include text around it.

    None if there is none or more than one.
    """
    found = _references_in(words)
    return found[0] if len(found) == 1 else None


def _references_in(words: str) -> list[str]:
    return list(dict.fromkeys(_REFERENCE.findall(words.lower())))


def answer_recall(
    words: str, text: str | None, around: str, *, max_tokens: int, count_tokens: CountTokens
) -> str:
    """Answer an agent that asks for an original.

    Args:
        words: The reference, as the agent wrote it.
        text: The store's text for it.
        around: A line number, a range of lines, or words of the text; blank for all.
        max_tokens: Maximum tokens of the answer.
        count_tokens: Token counter.

    Raises:
        Exception: The token counter's own.
    """
    writer = ExcerptWriter(max_tokens=max_tokens, count_tokens=count_tokens)
    if text is None:
        return writer.cut(_no_original(words))
    around = " ".join(around.split()).strip(" \"'`")
    if not around and writer.fits(text):
        return text
    source = NumberedText(text)
    wanted = _wanted(source, around) if around else _beginning(source)
    if not wanted.centers:
        return writer.cut(_not_there(around, len(source.lines)))
    return writer.write(source, wanted)


def _beginning(source: NumberedText) -> Wanted:
    numbers = "a line number, lines such as 20-40, or " if len(source.lines) > 1 else ""
    return Wanted(
        centers=range(len(source.pieces)),
        advice=f'for more, call again with "around": {numbers}words that occur in the text',
    )


def _wanted(source: NumberedText, around: str) -> Wanted:
    """Return the lines that `around` names, else those with its words; possibly none."""
    named = _LINES.fullmatch(around)
    if named:
        first = int(named[1])
        last = min(int(named[2] or first), len(source.lines))
        if 1 <= first <= last:
            return Wanted(centers=source.pieces_of_lines(first, last))
    return Wanted(centers=source.pieces_with(around), name=_quoted(around))


def _not_there(around: str, lines: int) -> str:
    return (
        f"{_quoted(around)} is not in this original, which has lines 1 to {lines}. Call again "
        'without "around", or with fewer or other words that occur in it, or with a line number.'
    )


def _no_original(words: str) -> str:
    references = _references_in(words)
    if not references:
        return (
            f"There is no reference in {_quoted(words)}. A reference is the {REFERENCE_CHARS} "
            "characters, 0-9 and a-f, in a shortened text."
        )
    if len(references) > 1:
        return f"These are {len(references)} references. Call once for each of them."
    return (
        f"The original {references[0]} is not kept here, or no longer. Call the tool that "
        "returned the text again, or continue without it."
    )


def _quoted(words: str) -> str:
    return f'"{visible(words, _QUOTED_CHARS)}"'
