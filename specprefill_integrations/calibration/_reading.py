"""Reading of labeled cases with a draft: units as compression cuts them, their features and labels.

The draft reads every case once; all heads that see the whole window are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.calibration._labeled_cases import LabeledCase, Piece
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.pipeline import _steps as steps
from specprefill_integrations.pipeline._step_values import Call, Split, Stages, StepError
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_layers import draft_layers, keeps_values
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring.readouts import PromptLayout, ReadingPass, SpanReadings
from specprefill_integrations.scoring.readouts._linear import (
    LinearReadout,
    LinearReduction,
    linear_features,
)
from specprefill_integrations.scoring.readouts._value_match import ValueMatch, by_token
from specprefill_integrations.types import Budget

_FIRST_DEPTH = 0.2
_FEEDBACK_UNITS = 2

# Units too large for a budget are cut, so they depend on it a little.
_BUDGET = Budget(keep_fraction=0.2)


@dataclass(frozen=True, slots=True)
class UnitValues:
    """Means of a layer's values, in single precision."""

    layer: int
    """The layer, counted from 0."""

    tokens: Tensor
    """Over the tokens of each unit. Shape: (units, values)."""

    question: Tensor
    """Over the question's words, as they were read after each unit's window. (Of a unit in two
    windows, the mean; scoring matches its parts with the question of their windows.) Shape:
    (units, values)."""

    def divided_by(self, scale: Tensor) -> UnitValues:
        """Scale the values. Shape: (values,)."""
        return UnitValues(self.layer, self.tokens / scale, self.question / scale)

    def matches(self, match: ValueMatch) -> NDArray[np.float64]:
        """Compute the match of each unit. Shape: (units,)."""
        found: NDArray[np.float64] = match.scores(self.tokens, self.question).double().numpy()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledUnits:
    """Features and labels of the units of one case."""

    kind: str
    """Kind of case."""

    matcher: LexicalMatcher
    """The question, and the units with their texts."""

    features: NDArray[np.float32]
    """Features as in `linear_features`. Shape: (units, features)."""

    pieces: NDArray[np.bool_]
    """Units that belong to each piece of evidence; at least one a piece. Shape: (pieces, units)."""

    tokens: NDArray[np.int64]
    """Length of each unit in the draft's tokens. Shape: (units,)."""

    values: UnitValues | None = None
    """Values of the units; None if the draft keeps none in the layer to read."""

    is_real: bool = False
    """False for a case that was made up: such cases are easier, and no match is fitted to them."""

    def matches(self, match: ValueMatch | None) -> NDArray[np.float64]:
        """Compute the match of each unit; 0 without a match or values. Shape: (units,).

        Raises:
            ValueError: The values are of another layer.
        """
        if match is None or self.values is None:
            return np.zeros(len(self.tokens))
        if match.layer != self.values.layer:
            msg = f"Values of layer {match.layer} are needed, and {self.values.layer} was read."
            raise ValueError(msg)
        return self.values.matches(match)

    def scores(self, readout: LinearReadout) -> NDArray[np.float64]:
        """Score the units with a fitted readout. See `matches`. Shape: (units,)."""
        matches = self.matches(readout.match)
        return readout.score_units(self.features, self.matcher, matches)


def all_heads(
    draft: DraftModel,
    *,
    last_depth: float = 0.65,
    lookahead_tokens: int = 0,
    window_tokens: int = 1024,
) -> LinearReadout:
    """Build a readout of all candidate heads, not fitted yet.

    Args:
        draft: The draft.
        last_depth: Layers from this share of the depth on are neither read nor loaded.
        lookahead_tokens: Number of generated tokens to read after the question; needs the whole
            draft.
        window_tokens: Context tokens to read at a time. Layers with a smaller attention window are
            left out.

    Returns:
        A readout whose weights are all zero.
    """
    config = draft.config
    layers = draft_layers(config, window_tokens)
    wide = sorted(layers.attention - layers.local or layers.attention)
    middle = [n for n in wide if _FIRST_DEPTH <= n / layers.depth < last_depth] or wide
    heads = tuple((n, head) for n in middle for head in range(config.num_attention_heads))
    passes: tuple[ReadingPass, ...] = ("question", "null_question")
    if lookahead_tokens:
        passes = (*passes, "lookahead")
    zeros = (0.0,) * (len(heads) * len(passes))
    return LinearReadout(
        heads=heads,
        passes=passes,
        own_weights=zeros,
        around_weights=zeros,
        lookahead_tokens=lookahead_tokens,
        feedback_units=_FEEDBACK_UNITS,
        window_tokens=window_tokens,
    )


def value_layer_of(
    readout: LinearReadout,
    config: Any,  # noqa: ANN401 - transformers' classes are untyped
    prior: LinearReadout | None = None,
) -> int | None:
    """Choose the layer whose values are read.

    Args:
        readout: The readout with the layers that are read.
        config: The draft's config.
        prior: The readout from which a fit starts.

    Returns:
        The layer of the prior's match if it is read, else the last one that keeps values; None if
        none does.
    """
    layers = {layer for layer in readout.head_layers if keeps_values(config, layer)}
    match = None if prior is None else prior.match
    return match.layer if match and match.layer in layers else max(layers, default=None)


def read_cases(
    draft: DraftModel,
    readout: LinearReadout,
    cases: Iterable[LabeledCase],
    *,
    own_kinds: Collection[str] = (),
    prior: LinearReadout | None = None,
) -> Iterator[LabeledUnits]:
    """Read cases with a draft.

    Args:
        draft: The draft.
        readout: Heads and passes to read; its weights are ignored.
        cases: The cases.
        own_kinds: Kinds of real cases.
        prior: The readout from which a fit will start.

    Yields:
        Features and labels of each case; nothing for a case too small to be cut, or with a piece
        of evidence that is in no unit.
    """
    layer = value_layer_of(readout, draft.config.get_text_config(), prior)
    scorer = AttentionScorer(draft, readout if layer is None else _with_values(readout, layer))
    # A question that needs every word has evidence, too.
    stages = ContextCompressor(scorer, leave_whole=None).stages
    for case in cases:
        found = _split(case, stages)
        pieces = np.array([_is_evidence(piece, found) for piece in case.evidence])
        if found.needs_no_cut or not pieces.any(axis=1).all():
            continue
        request = found.request
        readings, is_read = scorer.read_spans(request.query, request.texts, request.spans)
        if not pieces[:, is_read].any(axis=1).all():
            continue
        attention, values = _without_values(readings, len(readout.own_weights))
        yield LabeledUnits(
            kind=case.kind,
            matcher=readings.matcher,
            features=linear_features(attention).astype(np.float32),
            pieces=pieces[:, is_read],
            tokens=np.array(found.costs)[is_read],
            values=None if layer is None else _unit_values(values, layer),
            is_real=case.kind in own_kinds,
        )


def without_lookahead(
    readout: LinearReadout, cases: Sequence[LabeledUnits]
) -> tuple[LinearReadout, list[LabeledUnits]]:
    """Drop the features of generated tokens."""
    passes = tuple(found for found in readout.passes if found != "lookahead")
    kept = len(readout.heads) * len(passes)
    every = len(readout.own_weights)
    lexical = range(2 * every, len(readout.weights))
    columns = [*range(kept), *range(every, every + kept), *lexical]
    zeros = (0.0,) * kept
    narrow = replace(
        readout, passes=passes, own_weights=zeros, around_weights=zeros, lookahead_tokens=0
    )
    return narrow, [replace(case, features=case.features[:, columns]) for case in cases]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadoutWithValues(LinearReadout):
    """Reads values as they are: columns of each token's, then of the question's."""

    layer: int
    """The layer of the values."""

    def begin(self, layout: PromptLayout) -> LinearReduction:
        """Start the reduction of a batch of prompts."""
        reduction = _ReductionWithValues(layout, self.heads, self.passes)
        reduction.value_layer = self.layer
        return reduction


class _ReductionWithValues(LinearReduction):
    """See `_ReadoutWithValues`."""

    def add_values(self, values: Tensor) -> None:
        """Keep the values of the context's tokens, and the mean of those of the words."""
        tokens, words = self.layout.context_and_words(by_token(values))
        question = words.mean(dim=1, keepdim=True)  # (batch, 1, values)
        self.value_columns = [tokens, question.expand_as(tokens)]


def _with_values(readout: LinearReadout, layer: int) -> LinearReadout:
    """Return a readout that also reads the values of a layer."""
    own = {field.name: getattr(readout, field.name) for field in fields(readout)}
    return _ReadoutWithValues(**own, layer=layer)


def _without_values(
    readings: SpanReadings, columns: int
) -> tuple[SpanReadings, NDArray[np.float64]]:
    """Separate the columns of attention, which come first, from those of values."""
    own, values = np.split(readings.own, [columns], axis=1)
    return replace(readings, own=own, around=readings.around[:, :columns]), values


def _unit_values(columns: NDArray[np.float64], layer: int) -> UnitValues:
    """Return what `_ReadoutWithValues` has read. Shape: (units, 2 * values)."""
    tokens, question = np.split(columns.astype(np.float32), 2, axis=1)
    return UnitValues(layer, torch.from_numpy(tokens), torch.from_numpy(question))


def _split(case: LabeledCase, stages: Stages) -> Split:
    """Split the texts of a case as a compressor does."""
    call = Call.of(case.texts, case.query, _BUDGET, [None] * len(case.texts))
    try:
        return steps.split(steps.count(call, stages), stages)
    except StepError as failure:
        raise failure.error from None


def _is_evidence(piece: Piece, found: Split) -> NDArray[np.bool_]:
    """Mark the units that overlap a place of a piece. Shape: (units,)."""
    marks = [np.zeros(0, dtype=bool)]
    for index, document in found.documents.items():
        starts = np.array([unit.start for unit in document.units])
        ends = np.array([unit.end for unit in document.units])
        spans = [span for place, span in piece if place == index]
        overlaps = [(starts < span.end) & (span.start < ends) for span in spans]
        marks.append(np.any([np.zeros(len(starts), dtype=bool), *overlaps], axis=0))
    return np.concatenate(marks)
