"""Summary of an A/B measurement: scores, differences and times, by task and variant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Annotated, Any

from specprefill_integrations._arguments import Within, checked
from specprefill_integrations.evaluation._ab_run import case_key
from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import Judge, MetricName, ScoreName, is_answered
from specprefill_integrations.evaluation._likelihood import mean_log_probability
from specprefill_integrations.evaluation._statistics import (
    PairedComparison,
    compare_log_pairs,
    compare_pairs,
)

_Record = Mapping[str, Any]

Margin = Annotated[float, Within("in (0, 1)", 0, math.nextafter(1, 0), is_open=True)]
"""Largest acceptable loss of score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSummary:
    """Result of one variant, over the cases that every variant answered. Times are medians."""

    score: float | None
    """Mean score, from 0 to 1 (of likelihoods, the geometric mean); None if there is no such case,
    like all below."""

    log_probability: float | None
    """Mean natural logarithm of the probability of a token of the right answer, over the cases;
    None where replies are scored."""

    versus_reference: PairedComparison | None
    """Scores minus those of the reference variant; None for that itself, and if the replies to the
    full prompt are what replies are compared with."""

    kept_tokens_fraction: float | None
    """Kept tokens / original tokens of the texts, of all cases together."""

    input_tokens: float | None
    """Mean tokens of a prompt as the model counts them; None if it does not report them."""

    first_token_seconds: float | None
    """Time to the model's first token; None if it produced none."""

    draft_seconds: float | None
    """Time to compress."""

    first_token_with_draft_seconds: float | None
    """Sum of both, per case."""

    failed: int
    """Cases without a reply because the last call failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """Result of the cases of one task, or of all cases."""

    metrics: tuple[MetricName, ...]
    """Metrics of the replies."""

    cases: int
    """Cases that every variant answered: only these count."""

    incomplete: int
    """Cases with a variant that failed or was not asked yet."""

    variants: Mapping[str, VariantSummary]
    """By name, the reference first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbSummary:
    """Summary of a measurement."""

    scores_mean: str
    """Meaning of the scores: correctness, or agreement with a reference."""

    score_name: ScoreName
    """Name of the scores."""

    reference: str
    """Name of the variant that all others are compared with."""

    tasks: Mapping[str, TaskSummary]
    """By task, in the order of their first case."""

    all: TaskSummary
    """All cases together, each with the same weight."""

    errors: Mapping[str, int]
    """Messages of the calls that failed last, with their number."""


@checked
def summarize_ab(  # noqa: PLR0913 - one keyword a choice
    cases: Sequence[EvaluationCase],
    records: Iterable[_Record],
    variants: Sequence[str],
    *,
    margin: Margin,
    judge: Judge | None = None,
    reference: str = FULL_NAME,
) -> AbSummary:
    """Judge replies and compare variants.

    Args:
        cases: The cases that were asked about; at least one.
        records: Records of `AbRun`; the last of each case and variant counts.
        variants: Names of the variants, the reference among them.
        margin: Largest acceptable loss, in (0, 1); see `compare_pairs`.
        judge: Scores replies; by right answers if None.
        reference: Name of the variant that all others are compared with.
    """
    judge = judge or Judge()
    found: dict[str, dict[str, _Record]] = {case_key(case): {} for case in cases}
    for record in records:
        if record["case"] in found and record["variant"] in variants:
            found[record["case"]][record["variant"]] = record
    judged = [_JudgedCase(case, judge, found[case_key(case)]) for case in cases]
    tasks: dict[str, list[_JudgedCase]] = {}
    for one in judged:
        tasks.setdefault(one.case.task, []).append(one)
    errors = Counter(
        record["error"] for one in judged for record in one.records.values() if "error" in record
    )
    summarized = partial(
        _summarize, variants=variants, reference=reference, margin=margin, judge=judge
    )
    return AbSummary(
        scores_mean=judge.meaning,
        score_name=judge.score_name,
        reference=reference,
        tasks={task: summarized(some) for task, some in tasks.items()},
        all=summarized(judged),
        errors=dict(errors.most_common()),
    )


def format_verdict(versus: PairedComparison, margin: float) -> str:
    """The verdict of a comparison as text."""
    worse, unit = ("less likely", " %") if versus.is_relative else ("worse", " points")
    if versus.verdict == "not_worse":
        return f"not {worse} by more than {100 * margin:g}{unit}"
    if versus.verdict == "worse":
        return worse
    if versus.cases_needed is None:
        return "not shown"
    return f"not shown: about {versus.cases_needed:,} cases needed"


@dataclass(frozen=True, slots=True)
class _JudgedCase:
    case: EvaluationCase
    judge: Judge
    records: Mapping[str, _Record]

    def is_complete(self, variants: Sequence[str]) -> bool:
        return all(is_answered(self.case, self.records.get(variant, {})) for variant in variants)

    def log_probability(self, variant: str) -> float:
        return mean_log_probability(self.case, self.records[variant])

    def score(self, variant: str) -> float:
        return self.judge.score_record(
            self.case, self.records[variant], self.records.get(FULL_NAME, {})
        )


def _summarize(
    judged: Sequence[_JudgedCase],
    variants: Sequence[str],
    reference: str,
    margin: float,
    judge: Judge,
) -> TaskSummary:
    complete = [one for one in judged if one.is_complete(variants)]
    metrics = tuple(dict.fromkeys(judge.metric_of(one.case) for one in judged))
    score_of = _JudgedCase.log_probability if judge.is_of_likelihood else _JudgedCase.score
    scores = {variant: [score_of(one, variant) for one in complete] for variant in variants}
    means = {variant: fmean(found) for variant, found in scores.items() if found}

    is_log = judge.is_of_likelihood and bool(complete)

    def versus_reference(variant: str) -> PairedComparison | None:
        if variant == reference or not complete or not judge.compares_with_full:
            return None
        if judge.is_of_likelihood:
            return compare_log_pairs(scores[variant], scores[reference], margin=margin)
        binary = judge.is_binary(metrics)
        return compare_pairs(scores[variant], scores[reference], margin=margin, binary=binary)

    return TaskSummary(
        metrics=metrics,
        cases=len(complete),
        incomplete=len(judged) - len(complete),
        variants={
            variant: _summarize_variant(
                [one.records[variant] for one in complete],
                score=math.exp(means[variant]) if is_log else means.get(variant),
                log_probability=means[variant] if is_log else None,
                versus_reference=versus_reference(variant),
                failed=sum("error" in one.records.get(variant, {}) for one in judged),
            )
            for variant in variants
        },
    )


def _summarize_variant(
    records: Sequence[_Record],
    *,
    score: float | None,
    log_probability: float | None,
    versus_reference: PairedComparison | None,
    failed: int,
) -> VariantSummary:
    context_tokens = sum(record["context_tokens"] for record in records)
    kept_tokens = sum(record["kept_tokens"] for record in records)
    input_tokens = [found for r in records if (found := r["input_tokens"]) is not None]
    answered = [record for record in records if record["first_token_seconds"] is not None]
    first = [record["first_token_seconds"] for record in answered]
    together = [r["draft_seconds"] + r["first_token_seconds"] for r in answered]
    draft = [record["draft_seconds"] for record in records]
    return VariantSummary(
        score=score,
        log_probability=log_probability,
        versus_reference=versus_reference,
        kept_tokens_fraction=kept_tokens / context_tokens if context_tokens else None,
        input_tokens=fmean(input_tokens) if input_tokens else None,
        first_token_seconds=median(first) if first else None,
        draft_seconds=median(draft) if draft else None,
        first_token_with_draft_seconds=median(together) if together else None,
        failed=failed,
    )
