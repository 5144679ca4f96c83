"""Pictures of evaluation results: time, budget and cost of variants, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specprefill_integrations.evaluation._ab_summary import VariantSummary
from specprefill_integrations.evaluation._report._drawing import (
    DASHED,
    DRAFT,
    INK,
    SOFT,
    TARGET,
    Mark,
    add_head,
    label,
    label_right,
    make_room,
    show_few,
    show_percent,
    side_by_side,
    tidy,
)
from specprefill_integrations.evaluation._report._findings import PROMPTS, Findings
from specprefill_integrations.evaluation._report._picture import (
    Picture,
    color_of,
    draw,
    limit_widths,
    mark_of,
)
from specprefill_integrations.evaluation._report._quality_picture import draw_quality
from specprefill_integrations.evaluation._report._sections import (
    count,
    format_share,
    format_speedup,
    model_name,
    reference_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR_HEIGHT = 0.62


def draw_pictures(
    findings: Findings, scorers: Sequence[str], prefix: str = ""
) -> Mapping[str, Picture]:
    """Draw all pictures that the findings have figures for.

    Args:
        findings: The findings.
        scorers: Scorers of the whole report; they determine the colors.
        prefix: Start of the files' names.

    Returns:
        Pictures by the name of their section.
    """
    drawn = {
        "quality": draw_quality(findings, scorers, f"{prefix}quality"),
        "waiting": _draw_waiting(findings, f"{prefix}waiting"),
        "budget": _draw_budget(findings, scorers, f"{prefix}budget"),
        "cost": _draw_cost(findings, scorers, f"{prefix}cost"),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _draw_waiting(findings: Findings, name: str) -> Picture | None:
    """Draw the seconds of compression and of the model's first token, one bar per variant."""
    found = {
        variant: one
        for variant, one in findings.summary.all.variants.items()
        if one.first_token_seconds is not None
    }
    if findings.summary.reference not in found or len(found) == 1:
        return None
    key = (
        f"medians of {count(findings.summary.all.cases, 'case')}; "
        f"at the end: total, and speedup over {reference_name(findings, 'the ')}"
    )
    if len(findings.run.sessions) > 1:
        key += "\nmeasured by several commands, so perhaps under different load"

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        _draw_waiting_bars(axes, found)
        add_head(axes, f"Time to first token of {model_name(findings)}", key, found)
        axes.set_xlabel("seconds", color=INK)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)

    title = f"Time to first token: {model_name(findings)}"
    return draw(name, title, (9.0, 1.9 + 0.44 * len(found)), onto)


def _draw_waiting_bars(axes: Axes, found: Mapping[str, VariantSummary]) -> None:
    draft = [one.draft_seconds or 0.0 for one in found.values()]
    first = [one.first_token_seconds or 0.0 for one in found.values()]
    bars: dict[str, Any] = {"height": _BAR_HEIGHT}
    axes.barh(list(found), draft, color=DRAFT, label="compression", **bars)
    axes.barh(list(found), first, left=draft, color=TARGET, label="model's first token", **bars)
    for row, one in enumerate(found.values()):
        total = one.first_token_with_draft_seconds or 0.0
        speedup = f" ({format_speedup(one, next(iter(found.values())))})" if row else ""
        label(axes, f"{total:.2f} s{speedup}", (draft[row] + first[row], row))
    longest = max(before + after for before, after in zip(draft, first, strict=True))
    axes.set_xlim(0, longest * 1.42 or 1.0)
    axes.set_ylim(len(found) - 0.5, -0.6)
    tidy(axes, "x")


def _draw_budget(findings: Findings, scorers: Sequence[str], name: str) -> Picture | None:
    """Draw requested and kept tokens, and the seconds of compression."""
    variants, cases = findings.compressed_variants, findings.summary.all.cases
    if not variants or not cases:
        return None
    found = [findings.summary.all.variants[variant.name] for variant in variants]
    colors = [color_of(str(variant.scorer), scorers) for variant in variants]

    def onto(figure: Figure) -> None:
        kept_axes, seconds_axes = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        for row, (variant, one, color) in enumerate(zip(variants, found, colors, strict=True)):
            asked, kept = variant.keep_fraction, one.kept_tokens_fraction or 0.0
            kept_axes.plot([asked, asked], [row - 0.32, row + 0.32], color=INK, linewidth=1.6)
            kept_axes.plot([asked, kept], [row, row], color=color, linewidth=1.6)
            mark = mark_of(str(variant.scorer), scorers)
            kept_axes.plot([kept], [row], marker=mark, markersize=8, color=color)
            label(kept_axes, format_share(kept), (max(asked, kept), row), right=10, color=SOFT)
            took = one.draft_seconds or 0.0
            seconds_axes.barh([row], [took], height=_BAR_HEIGHT, color=color)
            seconds = f"{took:.2g} s" if took < 1 else f"{took:.1f} s"
            label(seconds_axes, seconds, (took, row))
        kept_axes.set_yticks(range(len(variants)), [variant.name for variant in variants])
        kept_axes.set_ylim(len(variants) - 0.4, -0.6)
        show_percent(kept_axes.xaxis)
        show_few(seconds_axes.xaxis)
        for axes in (kept_axes, seconds_axes):
            axes.set_xlim(0, axes.get_xlim()[1] * 1.25 or 1.0)
            tidy(axes, "x")
        add_head(kept_axes, "Requested and kept tokens", "line: requested; mark: kept")
        add_head(seconds_axes, "Seconds to compress", f"median of {count(cases, 'case')}")

    title = "Compression: requested tokens, kept tokens and seconds"
    return draw(name, title, (11.0, 1.7 + 0.4 * len(variants)), onto)


def _draw_cost(findings: Findings, scorers: Sequence[str], name: str) -> Picture | None:
    """Draw cost against kept tokens, with a line per scorer and one for the full prompt."""
    costs = {variant: cost for variant, cost in findings.costs.items() if cost is not None}
    if findings.summary.reference not in costs or len(costs) == 1:
        return None
    kept = {
        variant: one.kept_tokens_fraction or 0.0
        for variant, one in findings.summary.all.variants.items()
    }
    full = costs[findings.summary.reference].total

    names = [one.name for one in findings.compressed_variants]

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axhline(full, color=INK, linewidth=1.4, linestyle=DASHED)
        limit_widths(axes, [kept[one] for one in names])
        axes.set_ylim(0, max(cost.total for cost in costs.values()) * 1.12 or 1.0)
        tidy(axes, "y")
        axes.set_xlabel("kept tokens / original tokens", color=INK)
        axes.set_ylabel(findings.currency, color=INK)
        show_percent(axes.xaxis)
        title = f"Cost of {PROMPTS:,} prompts to {model_name(findings)}"
        add_head(axes, title, "reading by the model, and the machine that compresses")
        last = {str(one.scorer): one.name for one in findings.compressed_variants}
        labels = [
            (costs[one].total, scorer, color_of(scorer, scorers)) for scorer, one in last.items()
        ]
        if any(cost.draft for cost in costs.values()):
            points = sorted((kept[one], costs[one].target) for one in names)
            axes.plot(*zip(*points, strict=True), color=SOFT, linestyle=":")
            labels.append((points[-1][1], "reading only", SOFT))
        labels.append((full, f"{reference_name(findings)}: {full:.3g}", INK))
        make_room(figure, [axes], labels=len(labels))
        label_right(axes, labels)
        make_room(figure, [axes], marks=len(names))
        totals = [(kept[one], costs[one].total) for one in names]
        places = side_by_side(axes, [Mark(x=x, y=y, low=y, high=y) for x, y in totals])
        for scorer in findings.scorers:
            points = [
                (place, costs[one.name].total)
                for place, one in zip(places, findings.compressed_variants, strict=True)
                if one.scorer == scorer
            ]
            color, mark = color_of(scorer, scorers), mark_of(scorer, scorers)
            lines = zip(*points, strict=True)
            axes.plot(*lines, color=color, linewidth=1.8, marker=mark, markersize=7)

    title = f"Cost of prompts against kept tokens: {model_name(findings)}"
    return draw(name, title, (8.6, 4.8), onto)
