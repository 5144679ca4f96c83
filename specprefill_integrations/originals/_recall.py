"""What an agent reads that asks for an original: the text or a part of it, or why there is none.

Knows no framework and no store; every answer is text that an agent can go on with.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from specprefill_integrations.originals._excerpts import ExcerptWriter, Wanted
from specprefill_integrations.originals._numbered_text import NumberedText
from specprefill_integrations.originals._original_store import REFERENCE_CHARS
from specprefill_integrations.pipeline._token_counting import CountTokens

logger = logging.getLogger(__name__)

RECALL_HELP = (
    "Fetch back the original of a text that was shortened. Such a text has gaps, marked "
    "[...] or the like, and beside one of them it names its reference, such as "
    "[reference 3f9a0c1b2d4e]. Call this when what you need may be in a gap, before you say "
    "that it is not there or call again the tool that gave the text. Give the reference; for "
    'a part of a long original also "around". You get the original word for word: all of it '
    "or, where it is too long, the part that you asked for."
)
"""What a model reads of the tool that recalls."""

REFERENCE_HELP = "The reference that the shortened text names: 12 characters, such as 3f9a0c1b2d4e."
"""What it reads of the argument `reference`."""

AROUND_HELP = (
    "Which part of a long original: words that stand in it, word for word, such as a name or an "
    "error code; or a line number such as 120; or lines such as 120-160. Leave it empty for the "
    "whole or the beginning."
)
"""What it reads of the argument `around`."""

_REFERENCE = re.compile(rf"(?<![0-9a-z])[0-9a-f]{{{REFERENCE_CHARS}}}(?![0-9a-z])")

# "120", "line 120", "lines 120-140": how our own first lines name them.
_LINES = re.compile(
    r"(?:lines?\s*)?(\d{1,9})(?:\s*[-\u2013]\s*(\d{1,9}))?", re.ASCII | re.IGNORECASE
)

# So much of an agent's own words is repeated to it.
_QUOTED_CHARS = 60


def find_reference(words: str) -> str | None:
    """The reference in what an agent says, which may repeat what stands around it.

    None where there is none, and where there are several: one original would pass for them all.
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
        text: What the store gave for it.
        around: A line number, lines from one to another, or words of the text; blank for all.
        max_tokens: Tokens of the answer.
        count_tokens: Counts them. Where that fails, each byte counts as one: no tokenizer makes
            more of a text.
    """
    try:
        writer = ExcerptWriter(max_tokens=max_tokens, count_tokens=count_tokens)
        return _answer(words, text, around, writer)
    except Exception:
        logger.warning("Tokens of an original could not be counted.", exc_info=True)
        writer = ExcerptWriter(max_tokens=max_tokens, count_tokens=_count_bytes)
        return _answer(words, text, around, writer)


def _answer(words: str, text: str | None, around: str, writer: ExcerptWriter) -> str:
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
        advice=f'for more, call again with "around": {numbers}words that stand in the text',
    )


def _wanted(source: NumberedText, around: str) -> Wanted:
    """The lines that `around` names, else those with its words: perhaps none."""
    named = _LINES.fullmatch(around)
    if named:
        first = int(named[1])
        last = min(int(named[2] or first), len(source.lines))
        if 1 <= first <= last:
            return Wanted(centers=source.pieces_of_lines(first, last))
    return Wanted(centers=source.pieces_with(around), name=_quoted(around))


def _not_there(around: str, lines: int) -> str:
    return (
        f"{_quoted(around)} is not in this original, which has lines 1 to {lines}. Call again with "
        '"around": fewer or other words that stand in it, or a line number; or without it.'
    )


def _no_original(words: str) -> str:
    references = _references_in(words)
    if not references:
        return (
            f"There is no reference in {_quoted(words)}. A reference is the {REFERENCE_CHARS} "
            "characters, 0-9 and a-f, that a shortened text names."
        )
    if len(references) > 1:
        return f"These are {len(references)} references. Call once for each of them."
    return (
        f"The original {references[0]} is not kept here, or no longer. Call the tool that the text "
        "came from again, or go on without it."
    )


def _quoted(words: str) -> str:
    if len(words) > _QUOTED_CHARS:
        words = f"{words[:_QUOTED_CHARS]}..."
    return f'"{words}"'


def _count_bytes(texts: Sequence[str]) -> list[int]:
    return [len(text.encode()) for text in texts]
