"""Sections of a report: headline, remarks and tables, the same for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.evaluation._ab_summary import (
    TaskSummary,
    VariantSummary,
    format_verdict,
)
from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._judging import Judge, JudgeBy
from specprefill_integrations.evaluation._report._findings import (
    PROMPTS,
    Findings,
    count_changes,
)
from specprefill_integrations.evaluation._run_session import without_folders

NOTHING = "-"
"""Cell without a figure."""

ALL_CASES = "all tasks"
"""Name of the group of all tasks."""

_WHOLE_NUMBERS_FROM = 9.95

_CHANGES: Mapping[JudgeBy, tuple[str, str]] = {
    "answers": ("got worse", "got better"),
    "reply": ("agrees less", "agrees more"),
    "full": ("differs", "is closer"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Table of texts."""

    columns: Sequence[str]
    """Names of the columns."""

    rows: Sequence[Sequence[str]]
    """Cells by row."""

    numbers: range
    """Columns that are aligned to the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Title, remarks and table on one subject."""

    name: str
    """Name; also that of its picture."""

    title: str
    """Title."""

    remarks: Sequence[str]
    """Remarks that help to read the figures."""

    table: Table
    """The figures."""


def names_of_changes(judge: Judge) -> tuple[str, str]:
    """Names of a lower and a higher score than that of the reference."""
    return ("less likely", "more likely") if judge.is_of_likelihood else _CHANGES[judge.by]


def count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 case`, `2 cases`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_share(share: float | None) -> str:
    """Format a share: `19.9 %`."""
    return NOTHING if share is None else f"{share:.1%}".replace("%", " %")


def format_speedup(variant: VariantSummary, full: VariantSummary) -> str:
    """Compare times to the first token, compression included: `2.1x`, or `23x slower`."""
    found, whole = variant.first_token_with_draft_seconds, full.first_token_with_draft_seconds
    if not found or not whole:
        return NOTHING
    slowdown = found / whole
    if round(1 / slowdown, 1) >= 1:
        return f"{1 / slowdown:.1f}x"
    return (
        f"{slowdown:.1f}x slower" if slowdown < _WHOLE_NUMBERS_FROM else f"{slowdown:,.0f}x slower"
    )


def points(difference: float) -> str:
    """Format a difference in percentage points, or a relative one in percent."""
    return f"{100 * difference:+.1f}"


def model_name(findings: Findings) -> str:
    """Name of the target model, without its provider or folders."""
    return without_folders(str(findings.run.setup.get("model", "the model"))).rpartition(":")[2]


def reference_name(findings: Findings, article: str = "") -> str:
    """Name of the variant that the others are compared with, in a sentence."""
    name = findings.summary.reference
    return f"{article}full prompt" if name == FULL_NAME else name


def groups_of(findings: Findings) -> dict[str, TaskSummary]:
    """Summaries by task, and of all tasks if there are several."""
    tasks = dict(findings.summary.tasks)
    return tasks if len(tasks) == 1 else {**tasks, ALL_CASES: findings.summary.all}


def sections_of(findings: Findings) -> list[Section]:
    """Build the sections of a report on one measurement, without empty ones."""
    sections = [
        Section(
            name="quality",
            title="Answer likelihood" if findings.judge.is_of_likelihood else "Answer quality",
            remarks=_quality_remarks(findings),
            table=_verdicts(findings),
        ),
        Section(
            name="waiting",
            title="Time to first token",
            remarks=_waiting_remarks(findings),
            table=_waiting(findings),
        ),
        Section(
            name="budget",
            title="Requested and kept tokens",
            remarks=["Seconds are the median time to compress one case."],
            table=_budget(findings),
        ),
        Section(
            name="cost",
            title=f"Cost of {PROMPTS:,} prompts",
            remarks=_cost_remarks(findings),
            table=_costs(findings),
        ),
        Section(
            name="changes",
            title="Changed cases",
            remarks=[
                f"Compared with {reference_name(findings, 'the ')}.",
                "Only cases answered with every variant count.",
            ],
            table=_changes(findings),
        ),
        Section(
            name="errors",
            title="Errors",
            remarks=["Errors of calls that still failed after all retries."],
            table=_errors(findings),
        ),
    ]
    return [section for section in sections if section.table.rows]


def _quality_remarks(findings: Findings) -> list[str]:
    everything, found = findings.summary.all, []
    for variant in findings.compressed_variants[:1]:
        share = format_share(variant.keep_fraction)
        found.append(f"{variant.name}: {variant.scorer} selects {share} of the tokens.")
    if findings.judge.by != "answers" or findings.judge.is_of_likelihood:
        found.append(f"The figures show {findings.judge.meaning}.")
    if findings.judge.compares_with_full:
        relative = f"percent of the score of {reference_name(findings, 'the ')}"
        unit = relative if findings.judge.is_of_likelihood else "percentage points"
        found += [
            f"Differences are in {unit}, paired by case, with 95 % intervals.",
            'A verdict "not shown" means too few cases, not worse answers.',
        ]
    found.append("Kept: kept tokens / original tokens.")
    if len(findings.compressed_variants) > 1:
        found.append(
            "Intervals are not corrected for multiple comparisons: the best of several variants "
            "looks better by chance, so confirm it on other cases."
        )
    if everything.incomplete:
        cases = count(everything.incomplete, "case")
        found.append(f"Excluded: {cases} not answered with every variant.")
    if findings.unknown_cases:
        cases = count(findings.unknown_cases, "case")
        verb = "is" if findings.unknown_cases == 1 else "are"
        found.append(
            f"Excluded: {cases} in the log that {verb} not in the data or cannot be judged."
        )
    return found


def _waiting_remarks(findings: Findings) -> list[str]:
    found = ["Medians; the median of the total is not the sum of the other medians."]
    if len(findings.run.sessions) > 1:
        found.append("Several commands wrote this log: not all times were measured side by side.")
    return found


def _cost_remarks(findings: Findings) -> list[str]:
    found = [
        f"Cost of reading {PROMPTS:,} prompts and of compressing them, {findings.currency}.",
        "Answers are not included, and no prompt cache is assumed.",
    ]
    if any(cost is not None and cost.is_estimated for cost in findings.costs.values()):
        found.append("The model does not report its tokens: the draft's tokenizer counted them.")
    return found


def _verdicts(findings: Findings) -> Table:
    def rows() -> Iterator[list[str]]:
        for task, group in groups_of(findings).items():
            for name, found in group.variants.items():
                versus = found.versus_reference
                low, high = versus.interval if versus else (0.0, 0.0)
                difference = f"{points(versus.difference)} " if versus else NOTHING
                yield [
                    task,
                    name,
                    f"{group.cases:,}",
                    format_share(found.kept_tokens_fraction),
                    format_share(found.score),
                    f"{difference}({points(low)} to {points(high)})" if versus else NOTHING,
                    format_verdict(versus, findings.margin) if versus else "",
                ]

    score = findings.judge.score_name
    return Table(
        columns=[
            "task",
            "variant",
            "cases",
            "kept",
            score,
            f"vs. {findings.summary.reference} (95 %)",
            "verdict",
        ],
        rows=list(rows()),
        numbers=range(2, 6),
    )


def _waiting(findings: Findings) -> Table:
    variants = findings.summary.all.variants
    return Table(
        columns=["variant", "compression s", "first token s", "total s", "speedup", "failed"],
        rows=[
            [
                name,
                _seconds(found.draft_seconds),
                _seconds(found.first_token_seconds),
                _seconds(found.first_token_with_draft_seconds),
                format_speedup(found, variants[findings.summary.reference]),
                f"{found.failed:,}",
            ]
            for name, found in variants.items()
        ],
        numbers=range(1, 6),
    )


def _budget(findings: Findings) -> Table:
    variants = findings.summary.all.variants
    return Table(
        columns=["scorer", "requested", "kept", "compression s"],
        rows=[
            [
                str(variant.scorer),
                format_share(variant.keep_fraction),
                format_share(variants[variant.name].kept_tokens_fraction),
                _seconds(variants[variant.name].draft_seconds),
            ]
            for variant in findings.compressed_variants
        ],
        numbers=range(1, 4),
    )


def _costs(findings: Findings) -> Table:
    variants = findings.summary.all.variants
    rows = []
    for name, cost in findings.costs.items():
        figures = (
            [NOTHING] * 3
            if cost is None
            else [f"{one:.3f}" for one in (cost.target, cost.draft, cost.total)]
        )
        rows.append([name, format_share(variants[name].kept_tokens_fraction), *figures])
    columns = ["variant", "kept", "reading", "compression", "total"]
    return Table(columns=columns, rows=rows, numbers=range(1, 5))


def _changes(findings: Findings) -> Table:
    rows = []
    for variant in findings.compressed_variants:
        found = count_changes(findings.cases, variant.name)
        rows.append([variant.name, f"{found.worse:,}", f"{found.better:,}", f"{found.alike:,}"])
    columns = ["variant", *names_of_changes(findings.judge), "unchanged"]
    return Table(columns=columns, rows=rows, numbers=range(1, 4))


def _errors(findings: Findings) -> Table:
    rows = [[error, f"{times:,}"] for error, times in findings.summary.errors.items()]
    return Table(columns=["error", "calls"], rows=rows, numbers=range(1, 2))


def _seconds(found: float | None) -> str:
    return NOTHING if found is None else f"{found:.3f}"
