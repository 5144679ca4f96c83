"""All that the pages of a report say of one measurement: they differ in how they say it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.evaluation._report._case_heat import CaseHeat
from specprefill_integrations.evaluation._report._changed_cases import JudgedCase
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._picture import Picture
from specprefill_integrations.evaluation._report._prompt_cost import PROMPTS
from specprefill_integrations.evaluation._report._provenance import Fact
from specprefill_integrations.evaluation._report._tables import (
    Table,
    budget_table,
    change_table,
    cost_table,
    error_table,
    verdict_table,
    waiting_table,
)
from specprefill_integrations.evaluation._report._words import percent

_ABOUT_MEDIANS = (
    "Medians. The middle of the sums is not the sum of the middles, so that both together may be "
    "more or less than the parts."
)
_ABOUT_SESSIONS = (
    "More than one command wrote to this log: times of arms that a later one added were not taken "
    "side by side with the others."
)
_ABOUT_SEVERAL = (
    "Arms are not corrected for one another: the best of several looks better by chance, so "
    "confirm it with other cases."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCase:
    """A case that is shown with its question and its replies."""

    judged: JudgedCase
    """The case."""

    heat: CaseHeat | None
    """Its texts; None where they are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContents:
    """What there is to say of one measurement."""

    findings: Findings
    """What was found."""

    pictures: Mapping[str, Picture]
    """What is drawn of it, by the name of its part."""

    facts: Sequence[Fact]
    """How it was made."""

    shown: Sequence[ShownCase]
    """Cases that are shown one by one."""

    changed: int
    """How many could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A picture, a table with the same figures, and what must be known to read them."""

    name: str
    """Which part it is: names its picture."""

    title: str
    """What it is about."""

    remarks: Sequence[str]
    """What must be known."""

    table: Table
    """The figures."""


def parts_of(findings: Findings) -> list[Part]:
    """The parts of a report on one measurement, in the order in which they are read."""
    parts = [
        Part(
            name="quality",
            title="Are the answers still as good?",
            remarks=_about_quality(findings),
            table=verdict_table(findings),
        ),
        Part(
            name="waiting",
            title="How long until the first token?",
            remarks=_about_waiting(findings),
            table=waiting_table(findings),
        ),
        Part(
            name="budget",
            title="What was asked for, kept, and what did it take?",
            remarks=["Seconds are medians of what compressing one case takes."],
            table=budget_table(findings),
        ),
        Part(
            name="cost",
            title=f"What do {PROMPTS:,} prompts cost?",
            remarks=_about_costs(findings),
            table=cost_table(findings),
        ),
        Part(
            name="changes",
            title="Which cases changed?",
            remarks=["Compared with the full prompt, among cases that every arm answered."],
            table=change_table(findings),
        ),
        Part(
            name="errors",
            title="What failed?",
            remarks=["What calls said that failed and were not made up for."],
            table=error_table(findings.summary.errors),
        ),
    ]
    return [part for part in parts if part.table.rows]


def _about_quality(findings: Findings) -> list[str]:
    everything = findings.summary.all
    found = [*_about_names(findings)]
    if findings.judge.by != "answers":
        found.append(f"What is shown is {findings.judge.meaning}.")
    if findings.judge.compares_with_full:
        found += [
            "Differences are in points of a hundred, case by case, with their 95 % intervals.",
            "Not shown is not the same as worse.",
        ]
    found.append("Kept is kept tokens / original tokens.")
    if len(findings.compressed_arms) > 1:
        found.append(_ABOUT_SEVERAL)
    if everything.incomplete:
        found.append(f"Cases that not every arm answered, in no figure: {everything.incomplete:,}.")
    if findings.unknown_cases:
        found.append(
            "Cases of the log that the data lacks, or what they are judged by, in no figure: "
            f"{findings.unknown_cases:,}."
        )
    return found


def _about_names(findings: Findings) -> list[str]:
    return [
        f"{arm.name} means: {percent(arm.keep_fraction)} of the tokens, chosen by {arm.scorer}."
        for arm in findings.compressed_arms[:1]
    ]


def _about_waiting(findings: Findings) -> list[str]:
    return [_ABOUT_MEDIANS, *([_ABOUT_SESSIONS] if len(findings.run.sessions) > 1 else [])]


def _about_costs(findings: Findings) -> list[str]:
    found = [
        f"What reading {PROMPTS:,} prompts costs, and compressing them, {findings.currency}.",
        "Answers are no part of it, and no token is taken to come from a prompt cache.",
    ]
    if any(cost is not None and cost.is_estimated for cost in findings.costs.values()):
        found.append("The model does not say how many tokens it read: the draft's are counted.")
    return found
