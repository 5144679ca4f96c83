"""A second look at the units: with the words of the best ones, and along links.

Pseudo-relevance feedback (Rocchio 1971; Lavrenko and Croft, SIGIR 2001). Pure NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring._links import links

# Of the probability that the second look gives to a unit, and of what the draft adds to it, which
# the question alone has drawn: chosen on cases of the kinds that the embedded draft's profile is
# fitted to, where neighboring shares find about the same (docs/how-it-works.md).
_SECOND_LOOK_SHARE = 0.75
_DRAFT_SHARE = 0.3

# A unit to which another one leads gets this share of the way to its score. Half of the way is not
# enough at 10 % of a text (docs/how-it-works.md).
_LINK_SHARE = 0.9


def with_second_look(
    first: NDArray[np.float64],
    lexical: NDArray[Any],
    weights: NDArray[np.float64],
    matcher: LexicalMatcher,
    feedback_units: int,
) -> NDArray[np.float64]:
    """Take a second look, if there is to be one.

    Where `LexicalMatcher.feedback` allows it, units are also scored by their matches with the words
    of the question and of the best units. Attention and the match of values, which only the
    question has drawn, count less at this look. Scores are logarithms of probabilities, and those
    of both looks are mixed: a unit is needed because of the question, or because of what the best
    units say. The best units keep their scores, or at least stay the best, in their order.

    Then units to which others lead (`links`) move 0.9 of the way to the score of the one that leads
    to them, if it is higher.

    Args:
        first: Scores at the first look. Shape: (units,).
        lexical: Matches with the question's words. Shape: (units, features).
        weights: Their weights in the scores; the rest comes from the draft. Shape:
            (features,).
        matcher: The units' words.
        feedback_units: Number of best units whose words are added; 0: no second look, no links.

    Returns:
        Shape: (units,).
    """
    if not feedback_units:
        return first
    scores = first.copy()
    best = matcher.feedback(first, feedback_units)
    if best:
        of_draft = first - lexical @ weights  # (units,)
        second = _DRAFT_SHARE * of_draft + matcher.features(best) @ weights  # (units,)
        others = np.ones(len(first), dtype=np.bool_)
        others[best] = False
        scores[others] = _mixed(first[others], second[others], _SECOND_LOOK_SHARE)
        scores[best] += max(0.0, scores[others].max() - first[best[-1]])
    # All links first: they are found by the scores that are changed here.
    for unit, source in list(links(matcher.request, matcher.scored(), scores)):
        scores[unit] += max(0.0, _LINK_SHARE * (scores[source] - scores[unit]))
    return scores


def _mixed(
    first: NDArray[np.float64], second: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Mix two softmax distributions of the same units.

    Args:
        first: Logits. Shape: (units,).
        second: Logits. Shape: (units,).
        share: Share of the second distribution.

    Returns:
        Logits of the mixture; their sum of exponentials is that of the first. Shape: (units,).
    """
    total, other_total = np.logaddexp.reduce(first), np.logaddexp.reduce(second)
    shift = total - other_total
    found: NDArray[np.float64] = np.logaddexp(
        np.log1p(-share) + first, np.log(share) + second + shift
    )
    return found
