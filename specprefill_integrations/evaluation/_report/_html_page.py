"""The report as one page of HTML that needs no network and no script. Knows no command line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from markupsafe import Markup

from specprefill_integrations.evaluation._judging import JudgeBy
from specprefill_integrations.evaluation._report._contents import RunContents, parts_of
from specprefill_integrations.evaluation._report._picture import dark_colors
from specprefill_integrations.evaluation._report._tables import CHANGES
from specprefill_integrations.evaluation._report._words import headline, model_name, percent
from specprefill_integrations.heat_map._page import render_page

_TEMPLATE = "evaluation/_report/report.html.j2"


def render_html(runs: Sequence[RunContents], remarks: Sequence[str]) -> str:
    """Write the page.

    Args:
        runs: What it says; at least one.
        remarks: What there is to say of the whole.

    Returns:
        HTML, fit for UTF-8.
    """
    return render_page(
        _TEMPLATE,
        runs=[_values(run) for run in runs],
        remarks=remarks,
        dark_colors=dark_colors(),
        percent=percent,
    )


def score_in_words(score: float, judge_by: JudgeBy) -> str:
    """A reply's score, as people say it."""
    known = {0.0: "wrong", 1.0: "right"} if judge_by == "answers" else {}
    return known.get(score) or percent(score)


def _values(run: RunContents) -> dict[str, object]:
    """What the template knows of a measurement."""
    judge = run.findings.judge
    got_worse, got_better = CHANGES[judge.by]
    worse = [case for case in run.shown if case.judged.worst_change < 0]
    return {
        "model": model_name(run.findings),
        "name": run.findings.run.name,
        "headline": headline(run.findings),
        "score": partial(score_in_words, judge_by=judge.by),
        "judge_by": judge.by,
        "parts": parts_of(run.findings),
        # Drawn by matplotlib, which escapes what it is given.
        "pictures": {
            name: {"title": picture.title, "svg": Markup(picture.inline_svg)}  # noqa: S704
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
