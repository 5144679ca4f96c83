"""What an A/B measurement found: scores, differences and times, by task and arm. Prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from specprefill_integrations.evaluation._ab_run import case_key
from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._answers import MetricName
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import Judge, ScoreName
from specprefill_integrations.evaluation._statistics import PairedComparison, compare_pairs

_Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """What one arm made of the cases that every arm answered. Times are medians."""

    score: float | None
    """The mean, from 0 to 1; None where there is no such case, like all below."""

    versus_full: PairedComparison | None
    """The arm's scores minus those of the full prompt; None for the full prompt itself, and where
    it is the measure."""

    kept_tokens_fraction: float | None
    """Kept tokens / original tokens of the texts, of all cases together."""

    input_tokens: float | None
    """Tokens of a prompt as the model counts, on average; None where it does not say."""

    first_token_seconds: float | None
    """Until the model's first token; None where it said nothing."""

    draft_seconds: float | None
    """What compression took."""

    first_token_with_draft_seconds: float | None
    """Both together, case by case."""

    failed: int
    """Cases, of all, that this arm has no answer to because the last call failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """What became of the cases of one task, or of all."""

    metrics: tuple[MetricName, ...]
    """How replies were judged."""

    cases: int
    """Cases that every arm answered: these count."""

    incomplete: int
    """Cases that do not, because an arm failed or was not asked yet."""

    arms: Mapping[str, ArmSummary]
    """By their names, the full prompt first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbSummary:
    """What became of all cases."""

    scores_mean: str
    """What all scores are: correctness, or agreement with what."""

    score_name: ScoreName
    """What they are called, in a word."""

    tasks: Mapping[str, TaskSummary]
    """By task, in the order of their first case."""

    all: TaskSummary
    """All cases together, each counting the same."""

    errors: Mapping[str, int]
    """What the calls that failed last said, and how often."""


def summarize_ab(
    cases: Sequence[EvaluationCase],
    records: Iterable[_Record],
    arms: Sequence[str],
    *,
    margin: float,
    judge: Judge | None = None,
) -> AbSummary:
    """Judge replies and compare arms.

    Args:
        cases: Those that were asked about; at least one.
        records: What `AbRun` wrote down; of two for one arm of a case the later one counts.
        arms: Names of the arms, the full prompt among them.
        margin: By how much worse is not worse; see `compare_pairs`.
        judge: Scores replies; None is one by right answers.
    """
    judge = judge or Judge()
    last = {(record["case"], record["arm"]): record for record in records}
    found: dict[str, dict[str, _Record]] = {case_key(case): {} for case in cases}
    for (key, arm), record in last.items():
        if key in found and arm in arms:
            found[key][arm] = record
    judged = [_JudgedCase(case, judge, found[case_key(case)]) for case in cases]
    tasks: dict[str, list[_JudgedCase]] = {}
    for one in judged:
        tasks.setdefault(one.case.task, []).append(one)
    errors = Counter(
        record["error"] for one in judged for record in one.records.values() if "error" in record
    )
    return AbSummary(
        scores_mean=judge.meaning,
        score_name=judge.score_name,
        tasks={task: _summarize(some, arms, margin, judge) for task, some in tasks.items()},
        all=_summarize(judged, arms, margin, judge),
        errors=dict(errors.most_common()),
    )


@dataclass(frozen=True, slots=True)
class _JudgedCase:
    case: EvaluationCase
    judge: Judge
    records: Mapping[str, _Record]

    def is_complete(self, arms: Sequence[str]) -> bool:
        return all("reply" in self.records.get(arm, {}) for arm in arms)

    def score(self, arm: str) -> float:
        replies = (self.records[name]["reply"] for name in (arm, FULL_NAME))
        return self.judge.score(self.case, *replies)


def _summarize(
    judged: Sequence[_JudgedCase], arms: Sequence[str], margin: float, judge: Judge
) -> TaskSummary:
    complete = [one for one in judged if one.is_complete(arms)]
    metrics = tuple(dict.fromkeys(judge.metric_of(one.case) for one in judged))
    scores = {arm: [one.score(arm) for one in complete] for arm in arms}

    def versus_full(arm: str) -> PairedComparison | None:
        if arm == FULL_NAME or not complete or not judge.compares_with_full:
            return None
        binary = judge.is_binary(metrics)
        return compare_pairs(scores[arm], scores[FULL_NAME], margin=margin, binary=binary)

    return TaskSummary(
        metrics=metrics,
        cases=len(complete),
        incomplete=len(judged) - len(complete),
        arms={
            arm: _summarize_arm(
                [one.records[arm] for one in complete],
                score=fmean(scores[arm]) if complete else None,
                versus_full=versus_full(arm),
                failed=sum("error" in one.records.get(arm, {}) for one in judged),
            )
            for arm in arms
        },
    )


def _summarize_arm(
    records: Sequence[_Record],
    *,
    score: float | None,
    versus_full: PairedComparison | None,
    failed: int,
) -> ArmSummary:
    context_tokens = sum(record["context_tokens"] for record in records)
    kept_tokens = sum(record["kept_tokens"] for record in records)
    input_tokens = [found for r in records if (found := r["input_tokens"]) is not None]
    answered = [record for record in records if record["first_token_seconds"] is not None]
    first = [record["first_token_seconds"] for record in answered]
    together = [r["draft_seconds"] + r["first_token_seconds"] for r in answered]
    draft = [record["draft_seconds"] for record in records]
    return ArmSummary(
        score=score,
        versus_full=versus_full,
        kept_tokens_fraction=kept_tokens / context_tokens if context_tokens else None,
        input_tokens=fmean(input_tokens) if input_tokens else None,
        first_token_seconds=median(first) if first else None,
        draft_seconds=median(draft) if draft else None,
        first_token_with_draft_seconds=median(together) if together else None,
        failed=failed,
    )
