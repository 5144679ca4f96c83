"""A weighted sum of the logarithms of single heads' attention, with fitted weights, and a match.

Which heads find what a question needs differs between models, and most heads find nothing: so the
weights belong to the profile of one draft. Based on Sentinel (arXiv:2505.23277), which fits a
logistic regression to a small model's attention per head, and on in-context re-ranking (Chen et
al., ICLR 2025), whose question without content is read beside the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations._arguments import NonNegativeInt, PositiveInt, checked
from specprefill_integrations.scoring._lexical import LEXICAL_FEATURES, LexicalMatcher
from specprefill_integrations.scoring._second_look import with_second_look
from specprefill_integrations.scoring.readouts._readout import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    SpanReadings,
    heads_by_layer,
)
from specprefill_integrations.scoring.readouts._value_match import ValueMatch, by_token

LOG_FLOOR = 1e-3
"""Added to attention before the logarithm; uniform attention is 1."""

# Units whose features are computed at a time: few enough to stay in a processor's cache.
_BLOCK_UNITS = 256


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class LinearReadout:
    """A weighted sum over passes and heads, of a span's own attention and its neighborhood's.

    Matches of words and, if one is fitted, the match of values are added.

    A head's attention to a token is the mean over the rows of a pass (the question's own words, or
    all generated tokens) times the number of text tokens in the window: uniform attention is 1
    whatever the length.
    """

    heads: tuple[tuple[NonNegativeInt, NonNegativeInt], ...]
    """(layer, head) of each head to read, counted from 0, ascending."""

    passes: tuple[ReadingPass, ...]
    """The passes to read."""

    own_weights: tuple[float, ...]
    """Weights of the logarithms of a span's own attention: all heads of the first pass, then all
    heads of the next."""

    around_weights: tuple[float, ...]
    """The same for the span's neighborhood."""

    lexical_weights: tuple[float, ...] = (0.0,) * len(LEXICAL_FEATURES)
    """Weights of the matches with the question's words, in the order of `LEXICAL_FEATURES`; 0 for
    those that are missing at the end."""

    match: ValueMatch | None = None
    """A match of values, whose mean over a span's tokens is added; None: no match."""

    feedback_units: NonNegativeInt = 0
    """Number of best units whose words are added to the question's for a second look, see
    `with_second_look`. 0: a single look, without links."""

    window_tokens: PositiveInt = 1024
    """Context tokens read at a time."""

    around_tokens: NonNegativeInt = 128
    """Tokens on both sides of a span that belong to its neighborhood."""

    lookahead_tokens: NonNegativeInt = 0
    """Tokens generated after the question."""

    def __post_init__(self) -> None:
        """Check heads and weights.

        Raises:
            ValueError: Heads are not ascending, or weights do not match heads, passes and features;
                or `match` is of a layer without heads.
        """
        if list(self.heads) != sorted(set(self.heads)):
            msg = "heads must be in ascending order, without duplicates"
            raise ValueError(msg)
        features = len(self.heads) * len(self.passes)
        if not len(self.own_weights) == len(self.around_weights) == features:
            msg = f"{features} weights of each kind are needed, one for each head and pass"
            raise ValueError(msg)
        if len(self.lexical_weights) > len(LEXICAL_FEATURES):
            msg = f"lexical_weights must be at most {len(LEXICAL_FEATURES)}, one for each feature"
            raise ValueError(msg)
        if self.match is not None and self.match.layer not in self.head_layers:
            msg = "match must be of a layer of which heads are read"
            raise ValueError(msg)

    @property
    def head_layers(self) -> frozenset[int]:
        """The layers of the heads, counted from 0."""
        return frozenset(layer for layer, _ in self.heads)

    @property
    def weights(self) -> NDArray[np.float64]:
        """All weights but those of `match`, in the order of `linear_features`.

        Shape: (features,).
        """
        missing = len(LEXICAL_FEATURES) - len(self.lexical_weights)
        lexical = np.pad(self.lexical_weights, (0, missing))
        return np.array([*self.own_weights, *self.around_weights, *lexical])

    @property
    def null_question(self) -> str | None:
        """The question without content, if its pass is read."""
        return "N/A" if "null_question" in self.passes else None

    @property
    def question_rows(self) -> None:
        """All rows; the question's own words are selected later."""
        return

    @property
    def scores_are_logarithms(self) -> bool:
        """True: they are fitted as such."""
        return True

    def layers(self, draft: DraftLayers) -> frozenset[int]:
        """Return the layers of the heads."""
        del draft
        return self.head_layers

    def begin(self, layout: PromptLayout) -> LinearReduction:
        """Start the reduction of a batch of prompts."""
        return LinearReduction(layout, self.heads, self.passes, self.match)

    def score(self, readings: SpanReadings) -> NDArray[np.float64]:
        """Compute the weighted sum, and take the second look. See `Readout.score`."""
        lexical = readings.matcher.features()  # (units, LEXICAL_FEATURES)
        columns = len(self.own_weights)  # passes * heads
        own, around = readings.own[:, :columns], readings.around[:, :columns]
        parts = [
            _features(own[block], around[block], lexical[block]) @ self.weights
            for start in range(0, len(lexical), _BLOCK_UNITS)
            for block in [slice(start, start + _BLOCK_UNITS)]
        ]
        scores = np.concatenate([[], *parts])
        if self.match is not None:
            scores += readings.own[:, columns]
        return self._look_again(scores, lexical, readings.matcher)

    def score_units(
        self,
        features: NDArray[Any],
        matcher: LexicalMatcher,
        matches: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Score units by their features, and take the second look.

        Args:
            features: See `linear_features`. Shape: (units, features).
            matcher: The units' words.
            matches: Means of `match` over the units' tokens, if there is a match. Shape: (units,).

        Returns:
            Shape: (units,).
        """
        lexical = features[:, -len(LEXICAL_FEATURES) :]  # (units, LEXICAL_FEATURES)
        first = features @ self.weights
        return self._look_again(first if matches is None else first + matches, lexical, matcher)

    def _look_again(
        self, first: NDArray[np.float64], lexical: NDArray[Any], matcher: LexicalMatcher
    ) -> NDArray[np.float64]:
        """Take the second look. Shapes: (units,), (units, `LEXICAL_FEATURES`) -> (units,)."""
        weights = self.weights[-len(LEXICAL_FEATURES) :]
        return with_second_look(first, lexical, weights, matcher, self.feedback_units)


def linear_features(readings: SpanReadings) -> NDArray[np.float64]:
    """Compute the features of the linear model.

    Args:
        readings: Readings of attention alone, without columns of values.

    Returns:
        Logarithms of a span's own attention and its neighborhood's, and the matches with the
        question's words. Shape: (spans, 2 * passes * heads + `LEXICAL_FEATURES`).
    """
    return _features(readings.own, readings.around, readings.matcher.features())


def _features(
    own: NDArray[Any], around: NDArray[Any], lexical: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute `linear_features` of some spans. Shapes: (spans, columns) each."""
    return np.concatenate([np.log(own + LOG_FLOOR), np.log(around + LOG_FLOOR), lexical], axis=1)


class LinearReduction:
    """One mean row per pass and head, then the match of values."""

    def __init__(
        self,
        layout: PromptLayout,
        heads: Sequence[tuple[int, int]],
        passes: Sequence[ReadingPass],
        match: ValueMatch | None = None,
    ) -> None:
        """Start empty."""
        self.layout = layout
        """The batch's layout."""
        self.value_columns: list[Tensor] = []
        """Columns of values, behind those of attention. Shape: (batch, context, columns) each."""
        self.value_layer = match.layer if match else None
        """The layer of the match."""
        self._passes = passes
        self._match = match
        self._heads = heads_by_layer(heads, layout)
        self._rows: dict[tuple[ReadingPass, int], Tensor] = {}  # (batch, heads, context)
        # Of the generated token being read, by layer: (batch, heads, context).
        self._step: dict[int, Tensor] = {}
        self._steps: Tensor | None = None  # number of generated rows; (batch, 1, 1)

    def add(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Take the mean row of the selected heads. See `Reduction.add`."""
        if source not in self._passes:
            return
        context = weights[..., : self.layout.context_tokens]  # (batch, all heads, rows, context)
        chosen = context.index_select(1, self._heads[layer])  # (batch, heads, rows, context)
        if source == "lookahead":
            self._step[layer] = chosen[:, :, 0]  # (batch, heads, context)
            return
        layout = self.layout
        words = layout.question_words if source == "question" else layout.null_words
        self._rows[source, layer] = chosen[:, :, words].mean(dim=2)  # (batch, heads, context)

    def add_values(self, values: Tensor) -> None:
        """Match the context's tokens with the question's words. See `ValueReduction.add_values`."""
        assert self._match is not None, "values are read for the match"
        tokens, question = self.layout.context_and_words(by_token(values))
        matches = self._match.scores(tokens, question.mean(dim=1, keepdim=True))
        self.value_columns = [matches[:, :, None]]

    def end_step(self, finished: Tensor) -> None:
        """Add a generated token's row for prompts that had not ended. See `Reduction.end_step`."""
        if not self._step:
            return
        counts = (~finished)[:, None, None].float()  # (batch, 1, 1)
        for layer, row in self._step.items():
            before = self._rows.get(("lookahead", layer))
            self._rows["lookahead", layer] = row * counts + (0 if before is None else before)
        self._steps = counts if self._steps is None else self._steps + counts
        self._step = {}

    def features(self) -> Tensor:
        """Return attention by pass and head, uniform being 1, then the match if there is one.

        See `Reduction.features`.
        """
        text_tokens = self.layout.is_text.sum(dim=-1)[:, None, None]  # (batch, 1, 1)
        passes = []
        for source in self._passes:
            rows = torch.cat([self._rows[source, layer] for layer in self._heads], dim=1)
            attention = rows.transpose(1, 2) * text_tokens  # (batch, context, heads)
            if source == "lookahead":
                assert self._steps is not None, "generated rows are counted"
                attention = attention / self._steps
            passes.append(attention)
        # (batch, context, passes * heads), and one more column with a match
        return torch.cat([*passes, *self.value_columns], dim=-1)
