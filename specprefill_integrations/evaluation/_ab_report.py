"""An A/B measurement as people and programs read it: a table and JSON. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from specprefill_integrations.cli._terminal import printable
from specprefill_integrations.evaluation._ab_limits import StopReason
from specprefill_integrations.evaluation._ab_summary import AbSummary, TaskSummary
from specprefill_integrations.evaluation._ab_variants import Arm
from specprefill_integrations.evaluation._statistics import PairedComparison

_STOPPED: Mapping[StopReason, str] = {
    "max_input_tokens": (
        "stopped before --max-input-tokens would have been passed; "
        "the same command with more goes on from here"
    ),
    "target_fails": (
        "stopped because the model kept failing; the same command asks again what failed"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AbReport:
    """What was found, and what it was found about."""

    model: str
    """The model that was asked."""

    draft: str
    """The draft that read, or whose tokenizer counted."""

    margin: float
    """By how much worse is not worse."""

    summary: AbSummary
    """The figures."""

    arms: Sequence[Arm]
    """Those that were asked with."""

    skipped: Mapping[str, str]
    """Why scorers were left out, by their names."""

    left_out: Mapping[str, int]
    """Cases that could not be asked about or judged, by reason."""

    sent_tokens: int
    """Tokens sent to the model, failed calls and earlier runs of the log included."""

    stopped: StopReason | None
    """Why the measurement ended before its cases did."""

    log: str
    """Where every answer stands."""

    def as_json_object(self) -> dict[str, object]:
        """Everything as plain values for JSON.

        The fields are those of this class, with `tasks`, `all` and `errors` in the place of
        `summary`; below them those of `TaskSummary`, `ArmSummary` and `PairedComparison`. Each arm
        also says which `keep_fraction` it was asked for.
        """
        found = asdict(self)
        del found["arms"]
        summary = found.pop("summary")
        for group in (*summary["tasks"].values(), summary["all"]):
            for arm in self.arms:
                group["arms"][arm.name]["keep_fraction"] = arm.keep_fraction
        return {**found, **summary}


def print_ab_report(console: Console, report: AbReport) -> None:
    """Show scores, differences and times by task and arm, and below them what went wrong."""
    summary = report.summary
    groups = dict(summary.tasks)
    if len(groups) > 1:
        groups["all cases"] = summary.all
    table = Table(title=_title(report), title_justify="left")
    for name in ("task", "arm"):
        table.add_column(name, overflow="fold")
    for name in ("cases", summary.score_name, "against full", "asked", "kept"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for name in ("first token s", "compressing s", "both s"):
        table.add_column(name, justify="right")
    for task, found in groups.items():
        for arm in report.arms:
            table.add_row(Text(printable(task)), arm.name, *_cells(found, arm, report.margin))
        table.add_section()
    console.print(table)
    for line in _notes(report):
        console.print(Text(printable(line)), soft_wrap=True)


def _title(report: AbReport) -> Text:
    about = f"{report.model}: full prompts against compressed ones"
    return Text(printable(about) + f"\nscores: {report.summary.scores_mean}")


def _cells(task: TaskSummary, asked: Arm, margin: float) -> list[str]:
    arm = task.arms[asked.name]
    versus = arm.versus_full
    return [
        f"{task.cases:,}",
        "-" if arm.score is None else f"{arm.score:.1%}",
        "-" if versus is None else _difference(versus),
        f"{asked.keep_fraction:.1%}",
        "-" if arm.kept_tokens_fraction is None else f"{arm.kept_tokens_fraction:.1%}",
        "" if versus is None else verdict_in_words(versus, margin),
        *(
            "-" if seconds is None else f"{seconds:.3f}"
            for seconds in (
                arm.first_token_seconds,
                arm.draft_seconds,
                arm.first_token_with_draft_seconds,
            )
        ),
    ]


def _difference(versus: PairedComparison) -> str:
    """In points, with its interval."""
    low, high = versus.interval
    return f"{100 * versus.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def verdict_in_words(versus: PairedComparison, margin: float) -> str:
    """What a comparison shows, for people."""
    if versus.verdict == "not_worse":
        return f"not worse by more than {100 * margin:g} points"
    if versus.verdict == "worse":
        return "worse"
    if versus.cases_needed is None:
        return "not shown"
    return f"not shown: about {versus.cases_needed:,} cases needed"


def _notes(report: AbReport) -> list[str]:
    summary = report.summary
    left_out = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in report.left_out.items())
    failed = ", ".join(
        f"{found.failed} of {arm}" for arm, found in summary.all.arms.items() if found.failed
    )
    incomplete = f"{summary.all.incomplete:,}"
    notes = [
        f"draft: {report.draft}; tokens sent: {report.sent_tokens:,}; log: {report.log}",
        f"cases left out: {left_out or 'none'}; not answered by every arm: {incomplete}",
    ]
    notes += [f"skipped: {name}: {reason}" for name, reason in report.skipped.items()]
    if failed:
        notes.append(f"calls that failed: {failed}")
        notes += [f"  {count} x {error}" for error, count in summary.errors.items()]
    if report.stopped is not None:
        notes.append(_STOPPED[report.stopped])
    return notes
