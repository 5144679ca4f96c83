"""Evidence recall as people and programs read it: tables and JSON. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from specprefill_integrations.cli._terminal import printable
from specprefill_integrations.evaluation._evidence import (
    CaseOutcome,
    EvidenceSummary,
    LeftOutReason,
    by_task,
    summarize,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceReport:
    """What was measured of one scorer."""

    scorer: str
    """Its name."""

    draft: str
    """The draft that it reads with, or whose tokenizer counts for it."""

    units: str
    """What is kept or dropped as a whole."""

    outcomes: Sequence[CaseOutcome]
    """What became of each case; at least one."""

    left_out: Mapping[LeftOutReason, int]
    """Cases that could not be judged, by reason."""

    def as_json_object(self, *, per_case: bool = False) -> dict[str, object]:
        """Everything as plain values for JSON.

        Args:
            per_case: Whether to tell the outcome of every case.
        """
        found: dict[str, object] = {
            "scorer": self.scorer,
            "draft": self.draft,
            "units": self.units,
            **asdict(summarize(self.outcomes)),
            "left_out": dict(self.left_out),
            "tasks": {task: asdict(summary) for task, summary in self.tasks().items()},
        }
        if per_case:
            found["per_case"] = [
                {"id": outcome.id, "task": outcome.task, "hits": dict(outcome.hits)}
                for outcome in self.outcomes
            ]
        return found

    def tasks(self) -> dict[str, EvidenceSummary]:
        """What became of each task's cases."""
        return {task: summarize(found) for task, found in by_task(self.outcomes).items()}


def print_reports(
    console: Console, reports: Sequence[EvidenceReport], skipped: Mapping[str, str]
) -> None:
    """Show recall by task and scorer, below it what scoring took, and what was not measured.

    Args:
        console: Where to.
        reports: All of the same cases and fractions.
        skipped: Why other scorers were not measured.
    """
    if reports:
        _print_measured(console, reports)
    for name, reason in skipped.items():
        console.print(Text(printable(f"skipped: {name}: {reason}")), soft_wrap=True)


def _print_measured(console: Console, reports: Sequence[EvidenceReport]) -> None:
    first = reports[0]
    summary = summarize(first.outcomes)
    console.print(_recall_table(reports, list(summary.recall)))
    console.print(_cost_table(reports, list(summary.recall)))
    console.print(Text(printable(f"draft: {first.draft}; units: {first.units}")))
    console.print(Text(f"context tokens: {summary.context_tokens:,}"))
    if summary.json_texts:
        broken = (
            f"{sum(summarize(report.outcomes).broken_json.values())} by {report.scorer}"
            for report in reports
        )
        console.print(
            Text(f"JSON texts: {summary.json_texts:,}; made no JSON: {', '.join(broken)}")
        )
    console.print(Text(f"cases left out: {_left_out_in_words(first.left_out)}"))


def _recall_table(reports: Sequence[EvidenceReport], keys: Sequence[str]) -> Table:
    table = Table(title="evidence recall, with 95 % intervals", title_justify="left")
    for name in ("task", "scorer"):
        table.add_column(name, overflow="fold")
    for name in ("cases", *(f"keep {key}" for key in keys)):
        table.add_column(name, justify="right")
    found = [(report.scorer, report.tasks()) for report in reports]
    names = list(found[0][1])
    for task in names:
        for scorer, tasks in found:
            summary = tasks[task]
            cells = [_recall_in_words(summary, key) for key in keys]
            table.add_row(Text(printable(task)), scorer, f"{summary.cases:,}", *cells)
        table.add_section()
    if len(names) > 1:
        for scorer, tasks in found:
            table.add_row("all tasks (mean)", scorer, *_means(list(tasks.values()), keys))
    return table


def _cost_table(reports: Sequence[EvidenceReport], keys: Sequence[str]) -> Table:
    table = Table(title="cost", title_justify="left")
    table.add_column("scorer")
    names = (f"{what} at {key}" for what in ("kept", "s a case") for key in keys)
    for name in ("tokens a second", *names):
        table.add_column(name, justify="right")
    for report in reports:
        found = summarize(report.outcomes)
        speed = "-" if found.tokens_per_second is None else f"{found.tokens_per_second:,.0f}"
        kept = (f"{found.kept_tokens_fraction[key]:.1%}" for key in keys)
        seconds = (f"{found.compress_seconds[key]:.2f}" for key in keys)
        table.add_row(report.scorer, speed, *kept, *seconds)
    return table


def _recall_in_words(summary: EvidenceSummary, key: str) -> str:
    low, high = summary.recall_interval[key]
    return f"{summary.recall[key]:.1%} ({100 * low:.0f}-{100 * high:.0f})"


def _means(summaries: Sequence[EvidenceSummary], keys: Sequence[str]) -> Iterator[str]:
    """All cases, and the mean over tasks: each counts the same, however many cases it has."""
    yield f"{sum(summary.cases for summary in summaries):,}"
    for key in keys:
        yield f"{fmean(summary.recall[key] for summary in summaries):.1%}"


def _left_out_in_words(left_out: Mapping[LeftOutReason, int]) -> str:
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items())
    return f"{sum(left_out.values()):,}" + (f" ({reasons})" if reasons else "")
