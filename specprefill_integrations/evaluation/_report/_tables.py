"""The tables of a report, as rows of words: the page to browse and the page for docs show the same.

The figures are those of `summarize_ab`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.evaluation._ab_summary import TaskSummary, format_verdict
from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._judging import JudgeBy
from specprefill_integrations.evaluation._report._changed_cases import count_changes
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._words import (
    NOTHING,
    difference,
    percent,
    seconds,
    times_as_fast,
)

CHANGES: Mapping[JudgeBy, tuple[str, str]] = {
    "answers": ("got worse", "got better"),
    "reply": ("agrees less", "agrees more"),
    "full": ("differs", "is closer"),
}
"""What a lower score than that of the full prompt means, and what a higher one does."""

ALL_CASES = "all tasks"
"""Stands for the tasks together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Words in rows and columns."""

    columns: Sequence[str]
    """What stands in each column."""

    rows: Sequence[Sequence[str]]
    """As many words each."""

    numbers_from: int
    """The first column that is set to the right, as all after it are."""

    words_from: int = 1_000
    """The first column after those that is set to the left again."""

    def is_number(self, column: int) -> bool:
        """Whether a column is set to the right."""
        return self.numbers_from <= column < self.words_from


def groups_of(findings: Findings) -> dict[str, TaskSummary]:
    """What is told apart: the tasks, and all of them together where there are several."""
    tasks = dict(findings.summary.tasks)
    return tasks if len(tasks) == 1 else {**tasks, ALL_CASES: findings.summary.all}


def verdict_table(findings: Findings) -> Table:
    """Scores, differences and verdicts by task and arm."""

    def rows() -> Iterator[list[str]]:
        for task, group in groups_of(findings).items():
            for name, arm in group.variants.items():
                versus = arm.versus_full
                verdict = format_verdict(versus, findings.margin) if versus else ""
                yield [
                    task,
                    name,
                    f"{group.cases:,}",
                    percent(arm.kept_tokens_fraction),
                    percent(arm.score),
                    difference(versus),
                    verdict,
                ]

    return Table(
        columns=[
            "task",
            "arm",
            "cases",
            "kept",
            findings.judge.score_name,
            "against full (95 %)",
            "verdict",
        ],
        rows=list(rows()),
        numbers_from=2,
        words_from=6,
    )


def change_table(findings: Findings) -> Table:
    """How many cases each arm made worse and better."""
    counts = {arm.name: count_changes(findings.cases, arm.name) for arm in findings.compressed_arms}
    return Table(
        columns=["arm", *CHANGES[findings.judge.by], "as before"],
        rows=[
            [name, f"{found.worse:,}", f"{found.better:,}", f"{found.alike:,}"]
            for name, found in counts.items()
        ],
        numbers_from=1,
    )


def waiting_table(findings: Findings) -> Table:
    """Times to the first token, by arm."""
    arms = findings.summary.all.variants
    return Table(
        columns=["arm", "compressing s", "first token s", "both s", "as fast", "failed"],
        rows=[
            [
                name,
                seconds(arm.draft_seconds),
                seconds(arm.first_token_seconds),
                seconds(arm.first_token_with_draft_seconds),
                times_as_fast(arm, arms[FULL_NAME]),
                f"{arm.failed:,}",
            ]
            for name, arm in arms.items()
        ],
        numbers_from=1,
    )


def budget_table(findings: Findings) -> Table:
    """What was asked of the scorers and what they did, by arm."""
    arms = findings.summary.all.variants
    return Table(
        columns=["scorer", "asked for", "kept", "compressing s"],
        rows=[
            [
                str(arm.scorer),
                percent(arm.keep_fraction),
                percent(arms[arm.name].kept_tokens_fraction),
                seconds(arms[arm.name].draft_seconds),
            ]
            for arm in findings.compressed_arms
        ],
        numbers_from=1,
    )


def cost_table(findings: Findings) -> Table:
    """What the prompts cost, by arm."""
    arms = findings.summary.all.variants
    return Table(
        columns=["arm", "kept", "reading", "compressing", "both"],
        rows=[
            [
                name,
                percent(arms[name].kept_tokens_fraction),
                *(
                    [NOTHING] * 3
                    if cost is None
                    else [f"{cost.target:.3f}", f"{cost.draft:.3f}", f"{cost.total:.3f}"]
                ),
            ]
            for name, cost in findings.costs.items()
        ],
        numbers_from=1,
    )


def error_table(errors: Mapping[str, int]) -> Table:
    """What failed calls said, and how often."""
    return Table(
        columns=["error", "calls"],
        rows=[[error, f"{times:,}"] for error, times in errors.items()],
        numbers_from=1,
    )
