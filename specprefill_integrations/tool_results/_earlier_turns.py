"""Turns of a conversation before the last message of the user, which may refer to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Turn = tuple[str, str]
"""A message of the user and the answer; empty if there was none."""

# A question that only refers may refer to one that does, too.
_MOST_TURNS = 3

# Longer messages say what they are about; shorter ones, in any language, hardly can.
_MOST_CHARS = 120
_LEAST_CHARS = 16

# At the beginning, or alone.
_CONTINUES = re.compile(
    r"""^\W*(?:(?: and|but|or|also|then|what\ about|how\ about|yes|no|ok|okay|sure
          |go\ on|continue|again|more )\b
      | (?: why|how|when|where|who|which )\W*$)""",
    re.IGNORECASE | re.VERBOSE,
)

_NAMES_PART = re.compile(
    r"""\b(?: former|latter|above|previous|elaborate|expand\ on|(?:more|further)\ details?
          |the\ (?:two|three|first|second|third|last)
           (?=\W*$|\ (?:is|are|was|were|has|have|one|two)\b)
          |(?:point|item|option|number|step)\ (?:\d{1,3}|[a-d]) )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# After other words these most likely refer to them: "the error that it raises".
_PRONOUN = re.compile(
    r"""^\W*(?:\w\S*\s+){0,3}?
        (?: it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|ones?
          |same|others?|another|else|instead|both|either|neither )\b
      | \b(?: it|that|this|them|those|these|there|one|others|instead|both|neither )\W*$""",
    re.IGNORECASE | re.VERBOSE,
)


def refers_back(message: str) -> bool:
    """True for a message that needs the turns before it: a very short one, or one that refers.

    The words that refer are English; what is very short is so in any language.
    """
    text = message.strip()
    if not text or len(text) > _MOST_CHARS:
        return False
    forms = (_CONTINUES, _NAMES_PART, _PRONOUN)
    return len(text) <= _LEAST_CHARS or any(form.search(text) for form in forms)


def earlier_turns(said: Iterable[tuple[bool, str]]) -> tuple[Turn, ...]:
    """Return the turns before the last message of the user, the latest one last.

    Args:
        said: The texts of the conversation in order, each with True if the user said it.
    """
    turns: list[Turn] = []
    for is_user, text in said:
        if is_user:
            turns.append((text, ""))
        elif turns and text.strip():
            turns[-1] = (turns[-1][0], text)
    return tuple(turns[:-1][-_MOST_TURNS:])


def referred_texts(message: str, turns: Sequence[Turn]) -> list[str]:
    """Return what a message refers to: earlier messages of the user and the last answer.

    Args:
        message: The last message of the user.
        turns: The turns before it.
    """
    found: list[str] = []
    for asked, answer in reversed(turns):
        if not refers_back(message):
            break
        found[:0] = [asked] if found else [asked, answer]
        message = asked
    return [text for text in found if text.strip()]
