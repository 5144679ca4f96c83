"""The report as one page of HTML that needs no network and no script. Knows no command line."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from specprefill_integrations.evaluation.report.contents import RunContents, parts_of
from specprefill_integrations.evaluation.report.picture import dark_colors
from specprefill_integrations.evaluation.report.words import headline, model_name, percent
from specprefill_integrations.heat_map import render_page

_TEMPLATE = "evaluation/report/report.html.j2"


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
        score=score_in_words,
        percent=percent,
    )


def score_in_words(score: float) -> str:
    """A reply's score, as people say it."""
    return {0.0: "wrong", 1.0: "right"}.get(score) or percent(score)


def _values(run: RunContents) -> dict[str, object]:
    """What the template knows of a measurement."""
    worse = [case for case in run.shown if case.judged.worst_change < 0]
    return {
        "model": model_name(run.findings),
        "name": run.findings.run.name,
        "headline": headline(run.findings),
        "parts": parts_of(run.findings),
        # Drawn by matplotlib, which escapes what it is given.
        "pictures": {
            name: {"title": picture.title, "svg": Markup(picture.inline_svg)}  # noqa: S704
            for name, picture in run.pictures.items()
        },
        "facts": run.facts,
        "groups": [
            ("Got worse", worse),
            ("Got better", [case for case in run.shown if case not in worse]),
        ],
        "shown": len(run.shown),
        "changed": run.changed,
    }
