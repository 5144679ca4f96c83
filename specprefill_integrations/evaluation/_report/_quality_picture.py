"""The picture of answer quality: score against kept tokens, with the intervals of differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from specprefill_integrations.evaluation._ab_summary import TaskSummary, VariantSummary
from specprefill_integrations.evaluation._report._drawing import (
    BAND,
    CARD,
    DASHED,
    INK,
    SOFT,
    Label,
    Mark,
    add_head,
    label_right,
    make_room,
    show_percent,
    side_by_side,
    tidy,
)
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._picture import (
    Picture,
    color_of,
    draw,
    limit_widths,
    mark_of,
)
from specprefill_integrations.evaluation._report._sections import (
    ALL_CASES,
    count,
    format_share,
    groups_of,
    model_name,
    reference_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_quality(findings: Findings, scorers: Sequence[str], name: str) -> Picture | None:
    """Draw score against kept tokens, with one panel per task and one for all.

    Args:
        findings: The findings.
        scorers: Scorers of the whole report; they determine the colors.
        name: Name of the files.

    Returns:
        The picture; None without compressed variants or completely answered cases.
    """
    groups = {task: group for task, group in groups_of(findings).items() if group.cases}
    if not groups or not findings.scorers:
        return None
    ordered = sorted(groups.items(), key=lambda item: item[0] != ALL_CASES)
    columns = min(len(ordered), 2)
    rows = math.ceil(len(ordered) / columns)
    width, height = (8.2, 4.8) if columns == 1 else (7.0, 4.4)

    def onto(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[len(ordered) :]:
            axes.set_visible(False)
        for axes, (task, group) in zip(panels, ordered, strict=False):
            _draw_quality_panel(axes, findings, group)
            is_first = axes is panels[0]
            about = f"{task}, {count(group.cases, 'case')}"
            title = f"Quality against kept tokens: {about}" if is_first else about
            add_head(axes, title, _quality_key(findings) if is_first else "")
        shown = list(zip(panels, (group for _, group in ordered), strict=False))
        _place_quality(figure, shown, findings, scorers)

    title = f"Quality against kept tokens: {model_name(findings)}"
    return draw(name, title, (width * columns, height * rows), onto)


def _quality_key(findings: Findings) -> str:
    if not findings.judge.compares_with_full:
        return findings.judge.meaning
    return (
        f"bars: 95 % interval of the paired difference from {findings.summary.reference} "
        "(moved aside where marks meet)\n"
        f"filled: at most {100 * findings.margin:g} {_unit(findings)} worse; "
        "hollow: not shown; x: worse"
    )


def _unit(findings: Findings) -> str:
    """Unit of differences."""
    return "%" if findings.judge.is_of_likelihood else "points"


def _draw_quality_panel(axes: Axes, findings: Findings, group: TaskSummary) -> None:
    full = group.variants[findings.summary.reference].score or 0.0
    found = [group.variants[variant.name] for variant in findings.compressed_variants]
    limit_widths(axes, [one.kept_tokens_fraction or 0.0 for one in found], most=1.0)
    edges = [full]
    for one in found:
        if one.versus_reference is None:
            edges.append(one.score or 0.0)
        else:
            ends = (-findings.margin, *one.versus_reference.interval)
            edges += [findings.changed(full, end) for end in ends]
    low, high = max(0.0, min(edges)), min(1.0, max(edges))
    room = 0.08 * (high - low) + (0.02 * full if findings.judge.is_of_likelihood else 0.02)
    axes.set_ylim(low - room, high + room)
    axes.axhline(full, color=INK, linewidth=1.4, linestyle=DASHED)
    if findings.judge.compares_with_full:
        axes.axhspan(findings.changed(full, -findings.margin), full, color=BAND, linewidth=0)
    tidy(axes, "y")
    axes.set_xlabel("kept tokens / original tokens", color=INK)
    axes.set_ylabel(findings.judge.score_name, color=INK)
    show_percent(axes.xaxis)
    show_percent(axes.yaxis)


def _place_quality(
    figure: Figure,
    panels: Sequence[tuple[Axes, TaskSummary]],
    findings: Findings,
    scorers: Sequence[str],
) -> None:
    """Write the labels of all panels, then draw the marks where they do not hide one another."""
    all_axes = [axes for axes, _ in panels]
    make_room(figure, all_axes, labels=len(findings.scorers) + 2)
    for axes, group in panels:
        label_right(axes, _quality_labels(findings, scorers, group))
    make_room(figure, all_axes, marks=len(findings.compressed_variants))
    for axes, group in panels:
        marks = {
            one.name: _mark(findings, group, group.variants[one.name])
            for one in findings.compressed_variants
        }
        place_of = dict(zip(marks, side_by_side(axes, list(marks.values())), strict=True))
        for scorer in findings.scorers:
            _draw_quality_line(axes, findings, scorers, scorer, group, place_of)


def _mark(findings: Findings, group: TaskSummary, one: VariantSummary) -> Mark:
    """The mark of a variant, with the interval of its difference as a bar."""
    x, y = one.kept_tokens_fraction or 0.0, one.score or 0.0
    if one.versus_reference is None:
        return Mark(x=x, y=y, low=y, high=y)
    full = group.variants[findings.summary.reference].score or 0.0
    low, high = (
        min(1.0, max(0.0, findings.changed(full, end))) for end in one.versus_reference.interval
    )
    return Mark(x=x, y=y, low=low, high=high)


def _quality_labels(findings: Findings, scorers: Sequence[str], group: TaskSummary) -> list[Label]:
    full = group.variants[findings.summary.reference].score or 0.0
    last = {str(one.scorer): group.variants[one.name] for one in findings.compressed_variants}
    labels = [(one.score or 0.0, name, color_of(name, scorers)) for name, one in last.items()]
    labels.append((full, f"{reference_name(findings)}: {format_share(full)}", INK))
    if findings.judge.compares_with_full:
        margin = f"{100 * findings.margin:g} {_unit(findings)} lower"
        labels.append((findings.changed(full, -findings.margin), margin, SOFT))
    return labels


def _draw_quality_line(  # noqa: PLR0913, PLR0917
    axes: Axes,
    findings: Findings,
    scorers: Sequence[str],
    scorer: str,
    group: TaskSummary,
    place_of: Mapping[str, float],
) -> None:
    color = color_of(scorer, scorers)
    found = [
        (place_of[variant.name], group.variants[variant.name])
        for variant in findings.compressed_variants
        if variant.scorer == scorer
    ]
    points = [(x, one.score or 0.0) for x, one in found]
    axes.plot(*zip(*points, strict=True), color=color, linewidth=1.8)
    for x, one in found:
        mark, versus = _mark(findings, group, one), one.versus_reference
        axes.plot([x, x], [mark.low, mark.high], color=color, linewidth=1.4)
        is_worse = versus is not None and versus.verdict == "worse"
        is_shown = versus is None or versus.verdict == "not_worse"
        axes.plot(
            [x],
            [one.score or 0.0],
            marker="x" if is_worse else mark_of(scorer, scorers),
            markersize=8,
            markeredgewidth=2,
            color=color,
            markerfacecolor=color if is_shown else CARD,
            zorder=3,
        )
