"""Quality against kept tokens, scorer by scorer, with intervals. Draws what `AbSummary` holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from specprefill_integrations.evaluation._ab_summary import TaskSummary, VariantSummary
from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._picture import (
    BAND,
    INK,
    SOFT,
    Picture,
    color_of,
    draw,
    head,
    mark_of,
    name_at_right,
    show_shares,
    sideways,
    tidy,
)
from specprefill_integrations.evaluation._report._tables import ALL_CASES, groups_of
from specprefill_integrations.evaluation._report._words import count, model_name, percent

if TYPE_CHECKING:  # `picture` says what to install where matplotlib is missing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_COLUMNS = 2
_PANEL = (8.2, 4.8)
_SMALL_PANEL = (7.0, 4.4)
_APART_POINTS = 6.0
"""Marks of scorers that keep alike stand so far apart."""


def draw_quality(findings: Findings, scorers: Sequence[str], name: str) -> Picture | None:
    """Draw it: a panel for all cases, and one a task where there are several.

    Args:
        findings: What is drawn.
        scorers: Those of the whole report: they choose colors.
        name: Names the picture's files.

    Returns:
        None where no case was answered by every arm, or only full prompts were asked.
    """
    groups = {task: group for task, group in groups_of(findings).items() if group.cases}
    if not groups or not findings.scorers:
        return None
    # All together first: that is what the verdict is about.
    ordered = sorted(groups.items(), key=lambda item: item[0] != ALL_CASES)
    columns = min(len(ordered), _COLUMNS)
    rows = math.ceil(len(ordered) / columns)
    width, height = _PANEL if columns == 1 else _SMALL_PANEL

    def onto(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[len(ordered) :]:
            axes.set_visible(False)
        for number, (axes, (task, group)) in enumerate(zip(panels, ordered, strict=False)):
            _Panel(figure, axes, findings, scorers).draw(group)
            about = f"{task}, {count(group.cases, 'case')}"
            if number:
                head(axes, about, "")
            else:
                head(axes, f"Quality against kept tokens: {about}", _how_to_read(findings))

    title = f"Quality against kept tokens: {model_name(findings)}"
    return draw(name, title, (width * columns, height * rows), onto)


def _how_to_read(findings: Findings) -> str:
    if not findings.judge.compares_with_full:
        return findings.judge.meaning
    return (
        "bars: 95 % interval of the difference from full, case by case (drawn a little apart)\n"
        f"filled mark: shown to be at most {100 * findings.margin:g} points worse; "
        "hollow: not shown yet; x: worse"
    )


class _Panel:
    def __init__(
        self, figure: Figure, axes: Axes, findings: Findings, scorers: Sequence[str]
    ) -> None:
        self.figure = figure
        self.axes = axes
        self.findings = findings
        self.scorers = scorers

    def draw(self, group: TaskSummary) -> None:
        full = group.variants[FULL_NAME].score or 0.0
        widest = max(arm.kept_tokens_fraction or 0.0 for arm in self._compressed(group))
        self.axes.set_xlim(0, min(1.0, widest * 1.15) or 1.0)
        self._set_heights(group, full)
        self.axes.axhline(full, color=INK, linewidth=1.4, linestyle=(0, (5, 3)))
        ends = [self._draw_scorer(scorer, group, full) for scorer in self.findings.scorers]
        ends.append((full, f"full prompt: {percent(full)}", INK))
        if self.findings.judge.compares_with_full:
            ends.append(self._draw_margin(full))
        name_at_right(self.axes, ends)
        tidy(self.axes, "y")
        self.axes.set_xlabel("tokens of the texts that are kept", color=INK)
        self.axes.set_ylabel(self.findings.judge.score_name, color=INK)
        show_shares(self.axes.xaxis)
        show_shares(self.axes.yaxis)

    def _compressed(self, group: TaskSummary) -> list[VariantSummary]:
        return [group.variants[arm.name] for arm in self.findings.compressed_arms]

    def _set_heights(self, group: TaskSummary, full: float) -> None:
        edges = [full]
        for arm in self._compressed(group):
            if arm.versus_full is None:
                edges.append(arm.score or 0.0)
            else:
                edges += [full - self.findings.margin]
                edges += [full + end for end in arm.versus_full.interval]
        low, high = max(0.0, min(edges)), min(1.0, max(edges))
        room = 0.08 * (high - low) + 0.02
        self.axes.set_ylim(low - room, high + room)

    def _draw_margin(self, full: float) -> tuple[float, str, str]:
        """Draw how much worse is not worse; tell how low that is, what it is, and its color."""
        low = full - self.findings.margin
        self.axes.axhspan(low, full, color=BAND, linewidth=0)
        return low, f"{100 * self.findings.margin:g} points lower", SOFT

    def _draw_scorer(self, scorer: str, group: TaskSummary, full: float) -> tuple[float, str, str]:
        """Draw its line; tell how high that ends, its name and its color."""
        color = color_of(scorer, self.scorers)
        arms = [
            group.variants[arm.name]
            for arm in self.findings.compressed_arms
            if arm.scorer == scorer
        ]
        kept = [arm.kept_tokens_fraction or 0.0 for arm in arms]
        scores = [arm.score or 0.0 for arm in arms]
        aside = self.axes.transData + self._aside(scorer)
        self.axes.plot(kept, scores, color=color, linewidth=1.8, transform=aside)
        for arm, x, y in zip(arms, kept, scores, strict=True):
            versus = arm.versus_full
            if versus is not None:
                low, high = (min(1.0, max(0.0, full + end)) for end in versus.interval)
                self.axes.plot([x, x], [low, high], color=color, linewidth=1.4, transform=aside)
            is_worse = versus is not None and versus.verdict == "worse"
            is_shown = versus is None or versus.verdict == "not_worse"
            self.axes.plot(
                [x],
                [y],
                marker="x" if is_worse else mark_of(scorer, self.scorers),
                markersize=8,
                markeredgewidth=2,
                color=color,
                markerfacecolor=color if is_shown else "#ffffff",
                transform=aside,
            )
        return scores[-1], scorer, color

    def _aside(self, scorer: str) -> Transform:
        """How far aside, so that scorers which keep alike do not hide one another."""
        drawn = self.findings.scorers
        steps = drawn.index(scorer) - (len(drawn) - 1) / 2
        return sideways(self.figure, steps * _APART_POINTS)
