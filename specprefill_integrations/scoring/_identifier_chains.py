"""Sentences that lead from one identifier to another: "INC-98 repeats INC-77", "INC-77 is solved".

What a question asks about an order, a ticket or a variable may stand in a sentence that shares no
word with it, only a number with a sentence that does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import regex

# Not the decimals of a number.
_WORD = regex.compile(r"(?<![\w.-])[\p{Latin}\d_]++(?:-++[\p{Latin}\d_]++)*+(?!\w|\.\d)")
_LEAST_CHARS = 4

# INC-98, 8f3a, parse_line; but not 1990s, 16GB or FY2024.
_SURE = regex.compile(
    r"(?!\d+\p{L}{1,3}\Z)(?!\p{Lu}{1,3}(?:19|20)\d\d\Z)(?=.*\d)(?=.*\p{L}).+|.*\p{L}_+\p{L}.*"
)
# Numbers that are no years, and words in capitals: in questions, and where something is assigned.
_DOUBTFUL = regex.compile(r"(?!(?:1[6-9]|20)\d\d\Z)\d{4,}|\p{Lu}{4,}")

# An identifier in more sentences is a topic. A question with more identifiers is a task with a
# pasted text, whose evidence has them itself.
_MOST_SENTENCES = 3
_MOST_ASKED = 3

_MOST_LINKS = 32


def identifiers(text: str, *, with_doubtful: bool) -> frozenset[str]:
    """Return the words that look like names in a program, a register or a store.

    They have four characters or more: digits and letters, or an underscore between letters.

    Args:
        text: The text.
        with_doubtful: Words in capitals and numbers, other than years, count, too.
    """
    words = {word for word in _WORD.findall(text) if len(word) >= _LEAST_CHARS}
    return frozenset(
        word
        for word in words
        if _SURE.fullmatch(word) or (with_doubtful and _DOUBTFUL.fullmatch(word))
    )


def chains(query: str, texts: Sequence[str], sentences: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Follow rare identifiers from the sentences that hold those of the question.

    Args:
        query: The question.
        texts: The texts that the sentences are from.
        sentences: The sentences; an empty one is none.

    Yields:
        Numbers of a sentence and of the one that leads to it, the nearest to the question first;
        no sentence twice, at most 32. None if no identifier of the question is rare.
    """
    asked = identifiers(query, with_doubtful=True)
    if not 0 < len(asked) <= _MOST_ASKED or not any(one in text for text in texts for one in asked):
        return
    held = [_held(one, asked) for one in sentences]
    places: dict[str, list[int]] = defaultdict(list)
    for number, found in enumerate(held):
        for one in found:
            places[one].append(number)
    rare = {one: found for one, found in places.items() if len(found) <= _MOST_SENTENCES}
    queue = list(dict.fromkeys(place for one in sorted(asked) for place in rare.get(one, ())))
    reached = set(queue)
    links = 0
    for source in queue:  # which grows
        for one in sorted(held[source]):
            for place in rare.get(one, ()):
                if place not in reached and links < _MOST_LINKS:
                    links += 1
                    reached.add(place)
                    queue.append(place)
                    yield place, source


def _held(sentence: str, asked: frozenset[str]) -> frozenset[str]:
    """The identifiers of a sentence; doubtful ones if they are asked or something is assigned."""
    found = identifiers(sentence, with_doubtful=True)
    if "=" in sentence:
        return found
    return frozenset(one for one in found if one in asked or _SURE.fullmatch(one))
