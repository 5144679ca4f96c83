"""Links from units that a question finds to units that it does not: as a reader follows them.

A sentence leads along an identifier to another one ("INC-98 repeats INC-77"), and by the name of a
text to that text ("directed by Ada Quist", and below the title "Ada Quist" when she was born).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._identifier_chains import chains
from specprefill_integrations.scoring._lexical import ScoredUnit
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._text_names import (
    ends_a_sentence,
    is_mentioned,
    is_phrase,
    name_of,
    title_end,
)

# Units that lead to texts by name, and units that each of these texts is read for, besides its
# first one: chosen on training cases of three multi-hop kinds (docs/how-it-works.md).
_LEADING_UNITS = 8
_UNITS_OF_A_TEXT = 2

# A name of more texts is their topic.
_MOST_TEXTS = 3

Link = tuple[int, int]
"""Numbers of a unit and of the one that leads to it."""


def links(
    request: ScoreRequest, units: Sequence[ScoredUnit], scores: NDArray[np.float64]
) -> Iterator[Link]:
    """Find units to which others lead.

    Args:
        request: The question and the texts.
        units: The units that are scored.
        scores: Their scores. Shape: (units,).

    Yields:
        The links; a unit may have two.
    """
    sentences = [one.content if ends_a_sentence(one.content) else "" for one in units]
    yield from chains(request.query or "", request.texts, sentences)
    if len(request.texts) > 1:
        yield from _links_by_name(request, units, scores)


def _links_by_name(
    request: ScoreRequest, units: Sequence[ScoredUnit], scores: NDArray[np.float64]
) -> Iterator[Link]:
    """Lead from the question and the best units to the texts that they name, each once."""
    ends = list(map(title_end, request.texts))
    bodies = _bodies(units, ends)
    firsts = {  # below the title, scored or not
        text: next(span for span in request.spans[text] if span.start >= ends[text])
        for text in bodies
    }
    named = {
        text: name
        for text, first in firsts.items()
        if (ends[text] or ends_a_sentence(request.texts[text][first.start : first.end]))
        and (name := name_of(request.texts[text]))
    }
    sharing = Counter(named.values())
    unread = {text: name for text, name in named.items() if sharing[name] <= _MOST_TEXTS}

    def best(numbers: Iterable[int], count: int) -> list[int]:
        return sorted(numbers, key=lambda number: -scores[number])[:count]

    def follow(source: int, content: str, names: Mapping[int, str]) -> Iterator[Link]:
        for text, name in names.items():
            if is_mentioned(name, content):
                del unread[text]
                body = bodies[text]
                first = [number for number in body[:1] if units[number].span == firsts[text]]
                for number in {*best(body, _UNITS_OF_A_TEXT), *first} - {source}:
                    yield number, source

    sources = best((number for body in bodies.values() for number in body), _LEADING_UNITS)
    for source in sources[:1]:  # what the question names comes up close to the best unit
        phrases = {text: name for text, name in unread.items() if is_phrase(name)}
        yield from follow(source, request.query or "", phrases)
    for source in sources:
        own = named.get(units[source].text)
        others = {text: name for text, name in unread.items() if name != own}
        yield from follow(source, units[source].content, others)


def _bodies(units: Sequence[ScoredUnit], ends: Sequence[int]) -> dict[int, list[int]]:
    """The numbers of the scored units below the titles, which have these ends, by text."""
    found: dict[int, list[int]] = {}
    for number, one in enumerate(units):
        if one.span.start >= ends[one.text]:
            found.setdefault(one.text, []).append(number)
    return found
