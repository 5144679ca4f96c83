"""Choice of what the draft reads: places that share words with the question come first.

A cascade as in retrieval (Wang, Lin and Metzler, SIGIR 2011): matching words costs next to nothing
beside a draft model, and what it ranks last is hardly ever needed. Only where the question is asked
in other words than the text's does it say little, so then everything is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring.readouts._linear import LinearReadout

LEAST_TOKENS = 512
"""So many tokens are always read."""

# Shorter units are read together with the next ones: the draft needs some context. With 16, recall
# of nq at 10 % was 0.85 instead of 0.90.
_PLACE_TOKENS = 96

# At least this share of the question's words must be known, else all is read. With questions in
# another language than the texts, or about a task rather than a text, most are not.
_LEAST_KNOWN_SHARE = 0.5

_WORDS = LinearReadout(
    heads=(),
    passes=(),
    own_weights=(),
    around_weights=(),
    lexical_weights=(1.435, 1.214, 0.653, 0.242, 2.55, 4.989, -4.234),
    feedback_units=2,
)


def word_scores(matcher: LexicalMatcher) -> NDArray[np.float64]:
    """Score units by their words alone, without a draft.

    The weights are fitted to the same cases as those of the embedded draft's profile.

    Args:
        matcher: The units' words.

    Returns:
        Logarithms, as from a linear readout. Shape: (units,).
    """
    return _WORDS.score_units(matcher.features(), matcher)


def units_to_read(
    matcher: LexicalMatcher, tokens: Sequence[NDArray[np.int64]], share: float
) -> NDArray[np.bool_]:
    """Choose the units that the draft reads.

    Args:
        matcher: The units' words.
        tokens: For each text, first token and end of each unit, in the order of the spans. Shape of
            each: (units, 2).
        share: Share of the units' tokens to be read, if that is at least `LEAST_TOKENS`.

    Returns:
        Which units are read, text after text. Shape: (units,).
    """
    lengths = np.concatenate([found[:, 1] - found[:, 0] for found in tokens])  # (units,)
    most = max(LEAST_TOKENS, share * lengths.sum())
    if lengths.sum() <= most or matcher.known_share() < _LEAST_KNOWN_SHARE:
        return np.ones(len(lengths), dtype=bool)
    place_of = _places(lengths, np.cumsum([len(found) for found in tokens]))  # (units,)
    scores = np.full(place_of[-1] + 1, -np.inf)  # (places,)
    np.maximum.at(scores, place_of, word_scores(matcher))
    order = np.argsort(-scores, kind="stable")
    is_read = np.zeros(len(scores), dtype=bool)  # (places,)
    is_read[order] = np.cumsum(np.bincount(place_of, lengths)[order]) <= most
    is_read[order[0]] = True
    found: NDArray[np.bool_] = is_read[place_of]
    return found


def _places(lengths: NDArray[np.int64], text_ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join short units with those behind them in the same text.

    Args:
        lengths: Tokens of all units. Shape: (units,).
        text_ends: End of each text's units. Shape: (texts,).

    Returns:
        The place of each unit, ascending. Shape: (units,).
    """
    ends = set(text_ends.tolist())
    places = []
    place = tokens = 0
    for number, length in enumerate(lengths.tolist(), start=1):
        places.append(place)
        tokens += length
        if tokens >= _PLACE_TOKENS or number in ends:
            place, tokens = place + 1, 0
    return np.array(places, dtype=np.int64)
