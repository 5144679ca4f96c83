"""Links from units that a question finds to units that it does not: as a reader follows them.

A sentence leads along an identifier to another one ("INC-98 repeats INC-77"), and by the name of a
text to that text ("directed by Ada Quist", and below the title "Ada Quist" when she was born).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._identifier_chains import chains
from specprefill_integrations.scoring._lexical import ScoredUnit
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._text_names import (
    ENDS_A_SENTENCE,
    is_mentioned,
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
    sentences = [one.content if _is_sentence(one) else "" for one in units]
    yield from chains(request.query or "", request.texts, sentences)
    if len(request.texts) > 1:
        yield from _links_by_name(request, units, scores)


def _links_by_name(
    request: ScoreRequest, units: Sequence[ScoredUnit], scores: NDArray[np.float64]
) -> Iterator[Link]:
    """Lead from the best units to the texts that they name, each once."""
    ends = list(map(title_end, request.texts))
    bodies: dict[int, list[int]] = {}  # units below the title, by text
    for number, one in enumerate(units):
        if one.span.start >= ends[one.text]:
            bodies.setdefault(one.text, []).append(number)
    names = {
        text: name_of(request.texts[text])
        for text, body in bodies.items()
        if ends[text] or _is_sentence(units[body[0]])
    }
    sharing = Counter(names.values())
    query = (request.query or "").casefold()
    unread = {
        text: name
        for text, name in names.items()
        if name and name.casefold() not in query and sharing[name] <= _MOST_TEXTS
    }
    below_titles = [number for body in bodies.values() for number in body]
    best = sorted(below_titles, key=lambda number: -scores[number])[:_LEADING_UNITS]
    for source in best:
        own = names.get(units[source].text)
        for text, name in list(unread.items()):
            if name != own and is_mentioned(name, units[source].content):
                del unread[text]
                body = bodies[text]
                ranked = sorted(body, key=lambda number: -scores[number])
                for number in dict.fromkeys([*ranked[:_UNITS_OF_A_TEXT], body[0]]):
                    yield number, source


def _is_sentence(unit: ScoredUnit) -> bool:
    return ENDS_A_SENTENCE.search(unit.content[-8:]) is not None
