"""How well scorers keep to what they are asked for, and what they take. Draws `AbSummary`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._picture import (
    INK,
    SOFT,
    Picture,
    color_of,
    draw,
    head,
    mark_of,
    show_shares,
    tidy,
)
from specprefill_integrations.evaluation._report._words import count, percent

if TYPE_CHECKING:  # `picture` says what to install where matplotlib is missing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 11.0
_HEIGHT_OF_ARM = 0.4
_HEIGHT_OF_REST = 1.7
_ROOM_FOR_WORDS = 1.25


def draw_budget(findings: Findings, scorers: Sequence[str], name: str) -> Picture | None:
    """Draw what was asked for beside what was kept, and the seconds beside both.

    Args:
        findings: What is drawn.
        scorers: Those of the whole report: they choose colors.
        name: Names the picture's files.

    Returns:
        None where no case was answered by every arm, or only full prompts were asked.
    """
    arms, cases = findings.compressed_arms, findings.summary.all.cases
    if not arms or not cases:
        return None

    def onto(figure: Figure) -> None:
        kept, took = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        _draw_kept(kept, findings, scorers)
        _draw_seconds(took, findings, scorers)
        head(kept, "Asked for, and kept", "line: asked for; mark: kept, of all tokens")
        head(took, "Seconds to compress", f"median of {count(cases, 'case')}")

    title = "Compression: what was asked for, what was kept, and what it took"
    return draw(name, title, (_WIDTH, _HEIGHT_OF_REST + _HEIGHT_OF_ARM * len(arms)), onto)


def _draw_kept(axes: Axes, findings: Findings, scorers: Sequence[str]) -> None:
    found = findings.summary.all.variants
    for row, arm in enumerate(findings.compressed_arms):
        scorer, asked = str(arm.scorer), arm.keep_fraction
        kept = found[arm.name].kept_tokens_fraction or 0.0
        color = color_of(scorer, scorers)
        axes.plot([asked, asked], [row - 0.32, row + 0.32], color=INK, linewidth=1.6)
        axes.plot([asked, kept], [row, row], color=color, linewidth=1.6)
        axes.plot([kept], [row], marker=mark_of(scorer, scorers), markersize=8, color=color)
        axes.annotate(
            percent(kept),
            (max(asked, kept), row),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=SOFT,
            fontsize=9.5,
        )
    axes.set_yticks(
        range(len(findings.compressed_arms)), [arm.name for arm in findings.compressed_arms]
    )
    axes.set_ylim(len(findings.compressed_arms) - 0.4, -0.6)
    axes.set_xlim(0, axes.get_xlim()[1] * _ROOM_FOR_WORDS)
    show_shares(axes.xaxis)
    tidy(axes, "x")
    axes.tick_params(axis="y", length=0)


def _draw_seconds(axes: Axes, findings: Findings, scorers: Sequence[str]) -> None:
    found = findings.summary.all.variants
    for row, arm in enumerate(findings.compressed_arms):
        took = found[arm.name].draft_seconds or 0.0
        axes.barh([row], [took], height=0.62, color=color_of(str(arm.scorer), scorers))
        axes.annotate(
            f"{took:.2g} s" if took < 1 else f"{took:.1f} s",
            (took, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    axes.set_xlim(0, axes.get_xlim()[1] * _ROOM_FOR_WORDS or 1.0)
    tidy(axes, "x")
    axes.tick_params(axis="y", length=0)
