"""Reading of labeled cases with a draft: units as compression cuts them, their features and labels.

The draft reads every case once; all heads that see the whole window are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.calibration._labeled_cases import LabeledCase, Piece
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.pipeline import _steps as steps
from specprefill_integrations.pipeline._step_values import Call, Split, Stages, StepError
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_layers import draft_layers
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring.readouts import ReadingPass
from specprefill_integrations.scoring.readouts._linear import LinearReadout, linear_features
from specprefill_integrations.types import Budget

_FIRST_DEPTH = 0.2
_FEEDBACK_UNITS = 2

# Units too large for a budget are cut, so they depend on it a little.
_BUDGET = Budget(keep_fraction=0.2)


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


def read_cases(
    draft: DraftModel, readout: LinearReadout, cases: Iterable[LabeledCase]
) -> Iterator[LabeledUnits]:
    """Read cases with a draft.

    Args:
        draft: The draft.
        readout: Heads and passes to read; its weights are ignored.
        cases: The cases.

    Yields:
        Features and labels of each case; nothing for a case too small to be cut, or with a piece
        of evidence that is in no unit.
    """
    scorer = AttentionScorer(draft, readout)
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
        yield LabeledUnits(
            kind=case.kind,
            matcher=readings.matcher,
            features=linear_features(readings).astype(np.float32),
            pieces=pieces[:, is_read],
            tokens=np.array(found.costs)[is_read],
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
