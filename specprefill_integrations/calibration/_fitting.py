"""Fitting of a linear readout to a draft, on questions with known evidence.

The draft reads every case once; all heads that see the whole window are kept. The loss of a case is
minus the logarithm of the probability that a softmax over its units gives to the evidence; all
cases weigh the same. It is minimized with an L2 penalty by Adam, from zero. The default penalty is
higher than cross-validation on one kind of text suggests, because weights must generalize to other
kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._prompt_reader import draft_layers
from specprefill_integrations.scoring.readouts import ReadingPass
from specprefill_integrations.scoring.readouts._linear import LinearReadout, linear_features
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.types import Span

_FIRST_DEPTH = 0.2
_STEPS = 200
_LEARNING_RATE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledUnits:
    """Features and labels of the units of one case."""

    kind: str
    """Kind of text."""

    features: NDArray[np.float32]
    """Features as in `linear_features`. Shape: (units, features)."""

    is_evidence: NDArray[np.bool_]
    """Units that hold evidence. Shape: (units,)."""

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
        window_tokens=window_tokens,
    )


def read_cases(
    draft: DraftModel,
    readout: LinearReadout,
    cases: Iterable[LabeledCase],
    splitter_of: Callable[[str], Splitter],
) -> Iterator[LabeledUnits]:
    """Read cases with a draft.

    Args:
        draft: The draft.
        readout: Heads and passes to read; its weights are ignored.
        cases: The cases.
        splitter_of: Returns the splitter for a kind of case.

    Yields:
        Features and labels of each case.
    """
    scorer = AttentionScorer(draft, readout)
    for case in cases:
        split = splitter_of(case.kind)
        spans = [split(text) for text in case.texts]
        readings, _ = scorer.read_spans(case.query, case.texts, spans)
        parts = [
            t[s.start : s.end] for t, found in zip(case.texts, spans, strict=True) for s in found
        ]
        yield LabeledUnits(
            kind=case.kind,
            features=linear_features(readings).astype(np.float32),
            is_evidence=np.array(_evidence(case, spans), dtype=bool),
            tokens=np.array(scorer.count_tokens(parts)),
        )


def fit(
    readout: LinearReadout, cases: Sequence[LabeledUnits], *, penalty: float = 0.3
) -> LinearReadout:
    """Fit a readout's weights.

    Args:
        readout: The readout that the cases were read with.
        cases: Features and labels.
        penalty: Factor of the squared weights, with features scaled to unit variance.

    Returns:
        The readout with weights.

    Raises:
        ValueError: There are no cases.
    """
    weights = _fitted_weights(cases, penalty)
    heads = len(readout.own_weights)
    own, around, lexical = np.split(weights, [heads, 2 * heads])
    return replace(
        readout,
        own_weights=tuple(own.tolist()),
        around_weights=tuple(around.tolist()),
        lexical_weights=(float(lexical[0]), float(lexical[1])),
    )


def cross_validated_scores(
    cases: Sequence[LabeledUnits], *, folds: int = 4, penalty: float = 0.3
) -> list[NDArray[np.float64]]:
    """Score each case with weights fitted to the cases of the other folds.

    Args:
        cases: Features and labels.
        folds: Number of folds; the shuffle is deterministic.
        penalty: As in `fit`.

    Returns:
        One score per unit, case by case.

    Raises:
        ValueError: There are fewer cases than folds, or fewer than two folds.
    """
    if not 2 <= folds <= len(cases):  # noqa: PLR2004 - one to fit on, one to score
        msg = f"{len(cases)} cases cannot be cross-validated in {folds} folds."
        raise ValueError(msg)
    fold_of = np.random.default_rng(0).permutation(len(cases)) % folds
    scores: list[NDArray[np.float64]] = [np.zeros(0)] * len(cases)
    for fold in range(folds):
        others = [case for case, place in zip(cases, fold_of, strict=True) if place != fold]
        weights = _fitted_weights(others, penalty)
        for i in np.nonzero(fold_of == fold)[0].tolist():
            scores[i] = cases[i].features @ weights
    return scores


def evidence_recall(
    cases: Sequence[LabeledUnits], scores: Sequence[NDArray[np.float64]], keep_fraction: float
) -> float:
    """Share of cases that keep some evidence, if units are kept by descending score.

    Args:
        cases: The cases.
        scores: One score per unit, case by case.
        keep_fraction: Kept tokens / tokens of all units.
    """
    return float(
        np.mean(
            [_keeps(case, found, keep_fraction) for case, found in zip(cases, scores, strict=True)]
        )
    )


def without_lookahead(
    readout: LinearReadout, cases: Sequence[LabeledUnits]
) -> tuple[LinearReadout, list[LabeledUnits]]:
    """Drop the features of generated tokens."""
    passes = tuple(found for found in readout.passes if found != "lookahead")
    kept = len(readout.heads) * len(passes)
    every = len(readout.own_weights)
    columns = [*range(kept), *range(every, every + kept), 2 * every, 2 * every + 1]
    zeros = (0.0,) * kept
    narrow = replace(
        readout, passes=passes, own_weights=zeros, around_weights=zeros, lookahead_tokens=0
    )
    return narrow, [replace(case, features=case.features[:, columns]) for case in cases]


def _evidence(case: LabeledCase, spans: Sequence[Sequence[Span]]) -> list[bool]:
    """Mark the units that overlap a piece of evidence."""
    return [
        any(d == document and e.start < unit.end and unit.start < e.end for d, e in case.evidence)
        for document, found in enumerate(spans)
        for unit in found
    ]


def _keeps(case: LabeledUnits, scores: NDArray[np.float64], keep_fraction: float) -> bool:
    limit = keep_fraction * int(case.tokens.sum())
    spent = 0
    for unit in np.argsort(-scores, kind="stable"):
        if spent + case.tokens[unit] <= limit:
            spent += case.tokens[unit]
            if case.is_evidence[unit]:
                return True
    return False


def _fitted_weights(cases: Sequence[LabeledUnits], penalty: float) -> NDArray[np.float64]:
    """Fit weights for the unscaled features. Shape: (features,)."""
    if not cases:
        msg = "There are no cases to fit to."
        raise ValueError(msg)
    features = torch.from_numpy(np.concatenate([case.features for case in cases]))
    evidence = torch.from_numpy(np.concatenate([case.is_evidence for case in cases]))
    case_of = torch.repeat_interleave(
        torch.arange(len(cases)), torch.tensor([len(case.tokens) for case in cases])
    )
    mean, scale = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    standard = (features - mean) / scale
    weights = torch.zeros(features.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    with torch.enable_grad():
        for _ in range(_STEPS):
            optimizer.zero_grad()
            loss = _loss(standard @ weights, evidence, case_of, len(cases))
            (loss + penalty * weights.square().sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    found: NDArray[np.float64] = (weights.detach() / scale).double().numpy()
    return found


def _loss(scores: Tensor, evidence: Tensor, case_of: Tensor, cases: int) -> Tensor:
    """Mean over cases of minus log(softmax probability of the evidence)."""
    return (
        _log_sum_exp(scores, case_of, cases)
        - _log_sum_exp(scores.masked_fill(~evidence, -torch.inf), case_of, cases)
    ).mean()


def _log_sum_exp(scores: Tensor, case_of: Tensor, cases: int) -> Tensor:
    """Compute log(sum(exp)) over the units of each case. Shape: (cases,)."""
    start = torch.full((cases,), -torch.inf)
    highest = start.scatter_reduce(0, case_of, scores.detach(), "amax")
    sums = torch.zeros(cases).index_add(0, case_of, (scores - highest[case_of]).exp())
    return sums.log() + highest
