"""A/B measurement: a model's replies, or the likelihood of right answers, by prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from specprefill_integrations._arguments import Shares, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_limits import AbLimits, StopReason
from specprefill_integrations.evaluation._ab_prompts import DEFAULT_TEMPLATE, PromptMaker
from specprefill_integrations.evaluation._ab_run import AbRun, Target, case_key
from specprefill_integrations.evaluation._ab_summary import (
    AbSummary,
    Margin,
    TaskSummary,
    VariantSummary,
    summarize_ab,
)
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant, compared_variants
from specprefill_integrations.evaluation._case_compressor import CaseCompressor, count_texts
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._evidence import nothing_to_judge
from specprefill_integrations.evaluation._judging import Judge, MetricName
from specprefill_integrations.evaluation._likelihood import ANSWER_LIKELIHOOD, LikelihoodTarget
from specprefill_integrations.evaluation._lineup import Lineup
from specprefill_integrations.evaluation._run_log import RunLog
from specprefill_integrations.evaluation._run_session import DataFile, RunSession, check_scorers
from specprefill_integrations.evaluation._settings import DraftChoice
from specprefill_integrations.observability._masking import masked
from specprefill_integrations.types import CountTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class AbSetup:
    """Whatever replies depend on: a log continues only with the same setup."""

    version: str
    """Version of this package."""

    model: str
    """The model."""

    base_url: str | None
    """Its server."""

    model_options: Mapping[str, Any]
    """Its options."""

    template: str
    """Template of the prompts."""

    metric: MetricName | None
    """Metric of cases that name none; the instruction depends on it."""

    draft: DraftChoice
    """The draft."""

    def as_record(self) -> dict[str, Any]:
        """The log's record, without keys, so that a log continues with another key."""
        record: dict[str, Any] = masked(asdict(self))
        return {**record, "template": self.template}


@dataclass(frozen=True, slots=True, kw_only=True)
class AbResult:
    """Result of `run_ab`."""

    model: str
    """The model."""

    draft: str
    """Name of the draft that reads, or whose tokenizer counts."""

    margin: float
    """Largest acceptable loss of score."""

    summary: AbSummary
    """Scores, differences and times."""

    variants: Sequence[Variant]
    """The variants, the reference first."""

    skipped: Mapping[str, str]
    """Scorers that were not measured, and why."""

    left_out: Mapping[str, int]
    """Cases that could not be asked about or judged, by reason."""

    sent_tokens: int
    """Tokens sent to the model, failed calls and earlier runs of the log included."""

    stopped: StopReason | None
    """Reason for an early end, if there was one."""

    log: str
    """The log of all replies."""

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per task and variant, as `pandas.DataFrame` takes them."""
        return [
            {
                "task": task,
                "variant": variant.name,
                "scorer": variant.scorer,
                "keep_fraction": variant.keep_fraction,
                "cases": found.cases,
                **_row(found.variants[variant.name]),
            }
            for task, found in self.summary.tasks.items()
            for variant in self.variants
        ]

    def as_json_object(self) -> dict[str, object]:
        """Everything as plain JSON values.

        `summary` is replaced by its fields, and each variant also has its `keep_fraction`.
        """
        found = asdict(self)
        del found["variants"]
        summary = found.pop("summary")
        for group in (*summary["tasks"].values(), summary["all"]):
            for variant in self.variants:
                group["variants"][variant.name]["keep_fraction"] = variant.keep_fraction
        return {**found, **summary}

    def groups(self) -> dict[str, TaskSummary]:
        """The summary of each task and, if there are several, of all cases."""
        tasks = dict(self.summary.tasks)
        return tasks if len(tasks) == 1 else {**tasks, "all cases": self.summary.all}


def _row(found: VariantSummary) -> dict[str, Any]:
    row = asdict(found)
    versus = row.pop("versus_reference") or {}
    low, high = versus.get("interval", (None, None))
    return {
        **row,
        "difference": versus.get("difference"),
        "difference_low": low,
        "difference_high": high,
        "verdict": versus.get("verdict"),
    }


def askable_cases(
    cases: Iterable[EvaluationCase], judge: Judge
) -> tuple[list[EvaluationCase], dict[str, int]]:
    """The cases that can be asked about and judged, and the number of others by reason.

    Raises:
        EvaluationDataError: There is none, or a case names an unknown metric.
    """
    left_out: Counter[str] = Counter()
    found: dict[str, EvaluationCase] = {}
    for case in cases:
        reason = judge.why_not(case) if (case.query or "").strip() else "no_question"
        if reason is None and case_key(case) in found:
            reason = "given_twice"
        if reason is None:
            judge.metric_of(case)  # fail now if it is unknown
            found[case_key(case)] = case
        else:
            left_out[reason] += 1
    if not found:
        raise nothing_to_judge(left_out)
    return list(found.values()), dict(left_out)


def cases_within(
    cases: Sequence[EvaluationCase], max_context_tokens: int, count_tokens: CountTokens
) -> list[EvaluationCase]:
    """The cases whose texts have at most this many tokens together.

    Raises:
        EvaluationDataError: There is none.
    """
    found = [case for case in cases if count_texts(count_tokens, case.texts) <= max_context_tokens]
    if not found:
        msg = (
            f"the texts of every case have more than {max_context_tokens} tokens; "
            "raise --max-context-tokens"
        )
        raise EvaluationDataError(msg)
    return found


@checked
def run_ab(  # noqa: PLR0913 - one keyword a choice
    cases: Iterable[EvaluationCase],
    target: Target,
    compressors: Lineup | ContextCompressor | Mapping[str, ContextCompressor | CaseCompressor],
    keep_fractions: Shares,
    log: RunLog,
    *,
    margin: Margin = 0.05,
    judge: Judge | None = None,
    reference: str = FULL_NAME,
    template: str = DEFAULT_TEMPLATE,
    limits: AbLimits | None = None,
    count_tokens: CountTokens | None = None,
    left_out: Mapping[str, int] | None = None,
    data: Sequence[DataFile] = (),
    command: Sequence[str] = (),
    on_case: Callable[[], object] = lambda: None,
) -> AbResult:
    """Ask a model about every case with the full and with compressed texts, and compare replies.

    Replies that the log holds already are not asked for again.

    Args:
        cases: The cases; those that cannot be asked about or judged are left out and counted.
        target: The model; a `LikelihoodTarget` if, and only if, that is what the judge scores.
        compressors: One compressor, several by name, or a line-up of `build_lineup`.
        keep_fractions: Kept tokens / original tokens, each in (0, 1]; at least one.
        log: Receives the replies; see `open_run_log`.
        margin: Largest acceptable loss of score, in (0, 1).
        judge: Scores replies; by right answers if None.
        reference: Name of the variant that all others are compared with. If it is not the full
            prompt, nothing is asked with full prompts.
        template: See `build_prompt`.
        limits: Concurrency, retries, input tokens.
        count_tokens: Counts tokens; by default as the compressors do.
        left_out: Cases that the caller left out, by reason; added to the result.
        data: Files that the cases are from; noted in the log.
        command: Command that measures; noted in the log.
        on_case: Called after each case.

    Raises:
        EvaluationDataError: No case can be judged, there is no compressor, the target is not of the
            judge's kind, there is no such reference, or the log is of a scorer with other settings.
        MissingDependencyError: The extra `evaluate` is not installed.
    """
    judge = judge or Judge()
    if isinstance(target, LikelihoodTarget) != judge.is_of_likelihood:
        msg = f"metric {ANSWER_LIKELIHOOD!r} needs a target of likelihoods, others one that replies"
        raise EvaluationDataError(msg)
    lineup = Lineup.of(compressors, count_tokens)
    asked, also_left_out = askable_cases(cases, judge)
    if not lineup.compressors:
        reasons = (f"{name}: {why}" for name, why in lineup.skipped.items())
        msg = "no scorer could be built, so there is nothing to compare with the full prompt:"
        raise EvaluationDataError("\n".join([msg, *reasons]))
    judge.check_reference(reference)
    variants = compared_variants(list(lineup.compressors), keep_fractions, reference)
    session = RunSession.of(lineup, judge.by, data, command)
    check_scorers(log.records, session.scorers)
    log.append(session.as_record())
    prompts = PromptMaker(
        lineup.compressors, lineup.count_tokens, template=template, metric=judge.reply_metric
    )
    run = AbRun(target, prompts, variants, log, limits)
    stopped = run.run(asked, on_case=on_case)
    names = [variant.name for variant in variants]
    return AbResult(
        model=str(log.setup.get("model", type(target).__name__)),
        draft=lineup.draft,
        margin=margin,
        summary=summarize_ab(
            asked, run.records, names, margin=margin, judge=judge, reference=reference
        ),
        variants=variants,
        skipped=lineup.skipped,
        left_out={**(left_out or {}), **also_left_out},
        sent_tokens=run.sent_tokens,
        stopped=stopped,
        log=str(log.path),
    )
