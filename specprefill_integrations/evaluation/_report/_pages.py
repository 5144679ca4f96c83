"""Report pages: HTML to browse, and Markdown for docs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from markupsafe import Markup

from specprefill_integrations.evaluation._judging import Judge
from specprefill_integrations.evaluation._report._case_heat import CaseHeat
from specprefill_integrations.evaluation._report._findings import Findings, JudgedCase
from specprefill_integrations.evaluation._report._headline import headline
from specprefill_integrations.evaluation._report._picture import Picture, dark_colors
from specprefill_integrations.evaluation._report._provenance import Fact
from specprefill_integrations.evaluation._report._sections import (
    Table,
    format_share,
    model_name,
    names_of_changes,
    reference_name,
    sections_of,
)
from specprefill_integrations.heat_map._page import render_page
from specprefill_integrations.pipeline._encodable import encodable

_TEMPLATE = "evaluation/_report/report.html.j2"
_MARKDOWN_SYNTAX = re.compile(r"([\\`*_\[\]<>|#])")
_WITHIN_A_WORD = re.compile(r"(?<=\w)\\_(?=\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCase:
    """A case to show with its question and replies."""

    judged: JudgedCase
    """The case."""

    heat: CaseHeat | None
    """Its texts as a heat map; None leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContents:
    """Contents of a report on one measurement."""

    findings: Findings
    """The findings."""

    pictures: Mapping[str, Picture]
    """Pictures by the name of their section."""

    facts: Sequence[Fact]
    """The provenance."""

    shown: Sequence[ShownCase]
    """Changed cases to show."""

    changed: int
    """Number of all changed cases."""


def render_html(runs: Sequence[RunContents], remarks: Sequence[str]) -> str:
    """Render the HTML page; it needs no network and no script.

    Args:
        runs: The measurements; at least one.
        remarks: Remarks on the whole report.
    """
    return render_page(
        _TEMPLATE,
        runs=[_values(run) for run in runs],
        remarks=remarks,
        dark_colors=dark_colors(),
        percent=format_share,
    )


def _values(run: RunContents) -> dict[str, object]:
    judge = run.findings.judge
    got_worse, got_better = names_of_changes(judge)
    worse = [case for case in run.shown if case.judged.worst_change < 0]
    return {
        "model": model_name(run.findings),
        "name": run.findings.run.name,
        "headline": headline(run.findings),
        "score": partial(_format_score, judge=judge),
        "judge_by": judge.by,
        "reference": reference_name(run.findings),
        "reference_variant": run.findings.summary.reference,
        "sections": sections_of(run.findings),
        "pictures": {
            name: {
                "title": picture.title,
                "svg": Markup(picture.inline_svg),  # noqa: S704 - matplotlib escapes
            }
            for name, picture in run.pictures.items()
        },
        "facts": run.facts,
        "groups": [
            (got_worse.capitalize(), worse),
            (got_better.capitalize(), [case for case in run.shown if case not in worse]),
        ],
        "shown": len(run.shown),
        "changed": run.changed,
    }


def _format_score(score: float, judge: Judge) -> str:
    is_correctness = judge.by == "answers" and not judge.is_of_likelihood
    known = {0.0: "wrong", 1.0: "right"} if is_correctness else {}
    return known.get(score) or format_share(score)


def render_markdown(runs: Sequence[RunContents]) -> str:
    """Render the Markdown page, as GitHub shows it; it holds no text of the data.

    Args:
        runs: The measurements; at least one.
    """
    blocks = ["# Full and compressed prompts compared"]
    for run in runs:
        blocks += _blocks(run)
    return encodable("\n\n".join(blocks) + "\n")


def _blocks(run: RunContents) -> Iterator[str]:
    findings = run.findings
    yield f"## {plain(findings.run.name)}: {plain(model_name(findings))}"
    yield plain(headline(findings))
    for section in sections_of(findings):
        yield f"### {plain(section.title)}"
        if section.name in run.pictures:
            picture = run.pictures[section.name]
            yield f"![{plain(picture.title)}]({quote(picture.name)}.svg)"
        yield plain(" ".join(section.remarks))
        yield _table(section.table)
    yield "### Provenance"
    plain_facts = [fact for fact in run.facts if not fact.is_code]
    rows = [_row([fact.name, "<br>".join(map(plain, fact.values))]) for fact in plain_facts]
    yield "\n".join([_row(["fact", "value"]), _row(["---", "---"]), *rows])
    for fact in run.facts:
        if fact.is_code:
            yield f"{plain(fact.name)}:".capitalize()
            yield "\n".join(["```text", *fact.values, "```"])


def _table(table: Table) -> str:
    rules = ["--:" if place in table.numbers else "---" for place in range(len(table.columns))]
    rows = [_row(map(plain, row)) for row in table.rows]
    return "\n".join([_row(map(plain, table.columns)), _row(rules), *rows])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Escape a text for Markdown, in one line."""
    escaped = _MARKDOWN_SYNTAX.sub(r"\\\1", " ".join(text.split()))
    return _WITHIN_A_WORD.sub("_", escaped)
