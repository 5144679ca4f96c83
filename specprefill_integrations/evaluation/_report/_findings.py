"""Findings of one logged measurement: judged replies, summary and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_run import case_key
from specprefill_integrations.evaluation._ab_summary import AbSummary, summarize_ab
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._cost import total_cost
from specprefill_integrations.evaluation._judging import Judge, JudgeBy, is_answered
from specprefill_integrations.evaluation._logged_run import LoggedRun
from specprefill_integrations.observability import TokenUsage, TtftRecord
from specprefill_integrations.observability._prices import Prices

_Record = Mapping[str, Any]

PROMPTS = 1000
"""Number of prompts that costs are given for."""

_NEEDED: Mapping[JudgeBy, str] = {
    "answers": "right answers",
    "reply": "the app's own reply",
    "full": "the texts that were asked about",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedReply:
    """Reply to one case with one variant."""

    reply: str | None
    """The model's answer; None if it only told how probable the right one is."""

    score: float
    """Score from 0 to 1."""

    context_tokens: int
    """Tokens of the case's texts."""

    kept_tokens: int
    """Tokens of them in the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCase:
    """A case that was answered with every variant."""

    case: EvaluationCase
    """The case."""

    reference: JudgedReply
    """Reply to the prompt that the others are compared with; the full one by default."""

    compressed: Mapping[str, JudgedReply]
    """Replies to the other prompts, by variant."""

    def change(self, variant: str) -> float:
        """Score of a variant minus that of the reference."""
        return self.compressed[variant].score - self.reference.score

    @property
    def worst_change(self) -> float:
        """Lowest change of any variant; 0 without one."""
        return min(map(self.change, self.compressed), default=0.0)

    @property
    def total_change(self) -> float:
        """Sum of the changes of all variants."""
        return sum(map(self.change, self.compressed))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCounts:
    """Number of cases by how a variant changed their score."""

    worse: int
    """Cases with a lower score than from the reference."""

    better: int
    """Cases with a higher score."""

    alike: int
    """Cases with the same score."""


def changed_cases(cases: Sequence[JudgedCase]) -> list[JudgedCase]:
    """Select cases whose score changed with any variant, largest losses first."""
    changed = [case for case in cases if any(map(case.change, case.compressed))]
    return sorted(changed, key=lambda case: (case.worst_change, case.total_change))


def count_changes(cases: Sequence[JudgedCase], variant: str) -> ChangeCounts:
    """Count the cases that one variant changed."""
    changes = [case.change(variant) for case in cases]
    return ChangeCounts(
        worse=sum(change < 0 for change in changes),
        better=sum(change > 0 for change in changes),
        alike=sum(change == 0 for change in changes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPrices:
    """Prices and their currency."""

    prices: Prices
    """Prices of tokens and of the draft's machine."""

    currency: str
    """Currency as part of a sentence: `in US dollars`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCost:
    """Cost of a thousand prompts of a variant, without answers."""

    target: float
    """Cost of reading by the target model."""

    draft: float
    """Cost of the draft's machine while it compresses."""

    is_estimated: bool
    """True if the draft's tokenizer counted, because the model does not report its tokens."""

    @property
    def total(self) -> float:
        """Sum of both."""
        return self.target + self.draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Findings of one measurement."""

    run: LoggedRun
    """The log."""

    variants: Sequence[Variant]
    """Variants, the reference first."""

    margin: float
    """Largest loss of score that still counts as not worse."""

    judge: Judge
    """Judge of the replies."""

    summary: AbSummary
    """Figures by task and variant."""

    cases: Sequence[JudgedCase]
    """Cases that were answered with every variant."""

    unknown_cases: int
    """Cases of the log that are not in the data or cannot be judged."""

    costs: Mapping[str, PromptCost | None]
    """Costs by variant; empty without prices."""

    currency: str
    """Currency of the costs, as in `GivenPrices`."""

    def changed(self, score: float, change: float) -> float:
        """A score of the reference after a change, as differences are given."""
        return score * (1 + change) if self.judge.is_of_likelihood else score + change

    @property
    def compressed_variants(self) -> list[Variant]:
        """All variants but the full prompt and the reference."""
        reference = self.summary.reference
        return [one for one in self.variants if one.scorer and one.name != reference]

    @property
    def scorers(self) -> list[str]:
        """Scorers of the variants."""
        return list(dict.fromkeys(str(variant.scorer) for variant in self.compressed_variants))


def judge(  # noqa: PLR0913 - one keyword a choice
    run: LoggedRun,
    data: Sequence[EvaluationCase],
    *,
    margin: float,
    judge_by: JudgeBy | None = None,
    reference: str = FULL_NAME,
    prices: GivenPrices | None = None,
) -> Findings:
    """Judge the replies of a log.

    Args:
        run: The log.
        data: Cases that the log is about; others are ignored.
        margin: Largest loss of score that still counts as not worse.
        judge_by: Reference to compare replies with; None takes the log's.
        reference: Name of the variant that all others are compared with. If it is not the full
            prompt, full prompts are left out.
        prices: Prices; None leaves costs out.

    Raises:
        EvaluationDataError: The log has no such variant, or no case of it is in the data, with what
            replies are compared with.
    """
    variants = _reference_first(run, reference)
    names = [variant.name for variant in variants]
    last: dict[str, dict[str, _Record]] = {}
    for record in run.records:
        last.setdefault(record["case"], {})[record["variant"]] = record
    judge_of_run = Judge(by=judge_by or run.judge_by, metric=run.setup.get("metric"))
    judge_of_run.check_reference(reference)
    known = {case_key(case): case for case in data if judge_of_run.why_not(case) is None}
    cases = [case for key, case in known.items() if key in last]
    if not cases:
        msg = f"the data contain no case of the log {run.name!r} with {_NEEDED[judge_of_run.by]}"
        raise EvaluationDataError(msg)
    answered = [
        (case, records)
        for case in cases
        if all(is_answered(case, (records := last[case_key(case)]).get(name, {})) for name in names)
    ]
    return Findings(
        run=run,
        variants=variants,
        margin=margin,
        judge=judge_of_run,
        summary=summarize_ab(
            cases, run.records, names, margin=margin, judge=judge_of_run, reference=reference
        ),
        cases=[_judged_case(case, records, names, judge_of_run) for case, records in answered],
        unknown_cases=sum(key not in known for key in last),
        costs={
            name: _cost_of_prompts([records[name] for _, records in answered], prices.prices)
            for name in names
            if prices is not None
        },
        currency="" if prices is None else prices.currency,
    )


def _reference_first(run: LoggedRun, reference: str) -> list[Variant]:
    if reference == FULL_NAME:
        return run.variants
    compressed = [variant for variant in run.variants if variant.scorer is not None]
    first = [variant for variant in compressed if variant.name == reference]
    if not first:
        known = ", ".join(variant.name for variant in run.variants)
        msg = f"reference must be a variant of the log {run.name!r} ({known}); got {reference!r}"
        raise EvaluationDataError(msg)
    return [*first, *(variant for variant in compressed if variant.name != reference)]


def _judged_case(
    case: EvaluationCase,
    records: Mapping[str, _Record],
    names: Sequence[str],
    judge_of_run: Judge,
) -> JudgedCase:
    replies = {
        name: JudgedReply(
            reply=records[name].get("reply"),
            score=judge_of_run.score_record(case, records[name], records.get(FULL_NAME, {})),
            context_tokens=records[name]["context_tokens"],
            kept_tokens=records[name]["kept_tokens"],
        )
        for name in names
    }
    return JudgedCase(case=case, reference=replies.pop(names[0]), compressed=replies)


def _cost_of_prompts(records: Iterable[_Record], prices: Prices) -> PromptCost | None:
    """Price a variant's prompts; None without records. A repeated call counts once."""
    calls = list(records)
    if not calls:
        return None
    cost = total_cost(map(_call, calls), prices)
    each = PROMPTS / len(calls)
    return PromptCost(
        target=(cost.fresh_input + cost.cached_input) * each,
        draft=cost.draft * each,
        is_estimated=any(call["input_tokens"] is None for call in calls),
    )


def _call(record: _Record) -> TtftRecord:
    tokens = record["input_tokens"]
    if tokens is None:
        # `sent_tokens` counts failed calls, too.
        tokens = round(record["sent_tokens"] / (1 + record["failures"]))
    return TtftRecord(
        run_id="",
        started=0.0,
        total_seconds=record["total_seconds"],
        draft_seconds=record["draft_seconds"],
        usage=TokenUsage(input_tokens=tokens, output_tokens=0),
    )
