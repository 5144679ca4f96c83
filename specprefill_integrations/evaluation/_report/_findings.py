"""One logged measurement, judged: what all pictures and pages are made from. Prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_run import case_key
from specprefill_integrations.evaluation._ab_summary import AbSummary, summarize_ab
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import Judge, JudgeBy
from specprefill_integrations.evaluation._report._changed_cases import JudgedCase, JudgedReply
from specprefill_integrations.evaluation._report._logged_run import LoggedRun
from specprefill_integrations.evaluation._report._prompt_cost import (
    GivenPrices,
    PromptCost,
    cost_of_prompts,
)

_Record = Mapping[str, Any]

_NEEDED: Mapping[JudgeBy, str] = {
    "answers": "right answers.",
    "reply": "the app's own reply.",
    "full": "the texts that were asked about.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one measurement found."""

    run: LoggedRun
    """Its log."""

    arms: Sequence[Variant]
    """What is compared, the full prompt first."""

    margin: float
    """By how much worse is not worse."""

    judge: Judge
    """Who scored the replies."""

    summary: AbSummary
    """The figures."""

    cases: Sequence[JudgedCase]
    """Those that every arm answered."""

    unknown_cases: int
    """Cases of the log that are not among the data, or cannot be judged by it."""

    costs: Mapping[str, PromptCost | None]
    """What the prompts cost, by arm; empty where no prices are given."""

    currency: str
    """What they are in, as `GivenPrices` says it."""

    @property
    def compressed_arms(self) -> list[Variant]:
        """All but the full prompt."""
        return [arm for arm in self.arms if arm.scorer is not None]

    @property
    def scorers(self) -> list[str]:
        """What compressed, each once."""
        return list(dict.fromkeys(arm.scorer for arm in self.arms if arm.scorer is not None))


def judge(
    run: LoggedRun,
    data: Sequence[EvaluationCase],
    *,
    margin: float,
    judge_by: JudgeBy | None = None,
    prices: GivenPrices | None = None,
) -> Findings:
    """Judge the replies of a log.

    Args:
        run: The log.
        data: Cases, those that were asked about among them.
        margin: By how much worse is not worse.
        judge_by: What replies are compared with; None is what the log was judged by.
        prices: What tokens and the draft's machine cost; None leaves costs out.

    Raises:
        EvaluationDataError: None of the log's cases is among the data, with what replies are
            compared with.
    """
    arms = run.variants
    names = [arm.name for arm in arms]
    last = _last_records(run)
    judge_of_run = Judge(by=judge_by or run.judge_by, metric=run.setup.get("metric"))
    known = {case_key(case): case for case in data if judge_of_run.why_not(case) is None}
    cases = [case for key, case in known.items() if key in last]
    if not cases:
        msg = (
            f"none of the cases that {run.name!r} is about is in the data, with "
            f"{_NEEDED[judge_of_run.by]}"
        )
        raise EvaluationDataError(msg)
    answered = [
        (case, records)
        for case in cases
        if all("reply" in (records := last[case_key(case)]).get(name, {}) for name in names)
    ]
    return Findings(
        run=run,
        arms=arms,
        margin=margin,
        judge=judge_of_run,
        summary=summarize_ab(cases, run.records, names, margin=margin, judge=judge_of_run),
        cases=[_judged_case(case, records, names, judge_of_run) for case, records in answered],
        unknown_cases=sum(key not in known for key in last),
        costs={
            name: cost_of_prompts([records[name] for _, records in answered], prices.prices)
            for name in names
            if prices is not None
        },
        currency="" if prices is None else prices.currency,
    )


def _last_records(run: LoggedRun) -> dict[str, dict[str, _Record]]:
    """By case and arm, what was found last."""
    last: dict[str, dict[str, _Record]] = {}
    for record in run.records:
        last.setdefault(record["case"], {})[record["variant"]] = record
    return last


def _judged_case(
    case: EvaluationCase,
    records: Mapping[str, _Record],
    names: Sequence[str],
    judge_of_run: Judge,
) -> JudgedCase:
    replies = {
        name: JudgedReply(
            reply=records[name]["reply"],
            score=judge_of_run.score(case, *(records[one]["reply"] for one in (name, FULL_NAME))),
            context_tokens=records[name]["context_tokens"],
            kept_tokens=records[name]["kept_tokens"],
        )
        for name in names
    }
    return JudgedCase(case=case, full=replies.pop(FULL_NAME), compressed=replies)
