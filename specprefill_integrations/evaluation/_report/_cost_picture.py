"""What prompts cost against how much of their texts is kept. Draws `PromptCost`s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._picture import (
    INK,
    SOFT,
    Picture,
    color_of,
    draw,
    head,
    mark_of,
    name_at_right,
    show_shares,
    tidy,
)
from specprefill_integrations.evaluation._report._prompt_cost import PROMPTS, PromptCost
from specprefill_integrations.evaluation._report._words import model_name

if TYPE_CHECKING:  # `picture` says what to install where matplotlib is missing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (8.6, 4.8)


def draw_cost(findings: Findings, scorers: Sequence[str], name: str) -> Picture | None:
    """Draw a line a scorer, and one for the full prompt to compare with.

    Args:
        findings: What is drawn.
        scorers: Those of the whole report: they choose colors.
        name: Names the picture's files.

    Returns:
        None where there are no prices, nothing to price, or only full prompts.
    """
    costs = {arm: cost for arm, cost in findings.costs.items() if cost is not None}
    if FULL_NAME not in costs or len(costs) == 1:
        return None

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        _draw_lines(axes, findings, scorers, costs)
        head(
            axes,
            f"What {PROMPTS:,} prompts to {model_name(findings)} cost",
            "reading them, and the machine that compresses them where it has a price",
        )

    title = f"What prompts cost, by how much is kept: {model_name(findings)}"
    return draw(name, title, _SIZE, onto)


def _draw_lines(
    axes: Axes, findings: Findings, scorers: Sequence[str], costs: dict[str, PromptCost]
) -> None:
    kept = {
        name: arm.kept_tokens_fraction or 0.0 for name, arm in findings.summary.all.variants.items()
    }
    full = costs[FULL_NAME]
    compressed = [arm.name for arm in findings.compressed_arms]
    ends = []
    for scorer in findings.scorers:
        color = color_of(scorer, scorers)
        names = [arm.name for arm in findings.compressed_arms if arm.scorer == scorer]
        shares = [kept[name] for name in names]
        totals = [costs[name].total for name in names]
        axes.plot(
            shares,
            totals,
            color=color,
            linewidth=1.8,
            marker=mark_of(scorer, scorers),
            markersize=7,
        )
        ends.append((totals[-1], scorer, color))
    if any(cost.draft for cost in costs.values()):
        ends.append(_draw_reading(axes, [(kept[name], costs[name].target) for name in compressed]))
    axes.axhline(full.total, color=INK, linewidth=1.4, linestyle=(0, (5, 3)))
    axes.set_xlim(0, max(kept[name] for name in compressed) * 1.15 or 1.0)
    highest = max(cost.total for cost in costs.values())
    axes.set_ylim(0, highest * 1.12 or 1.0)
    name_at_right(axes, [*ends, (full.total, f"full prompt: {full.total:.3g}", INK)])
    tidy(axes, "y")
    axes.set_xlabel("tokens of the texts that are kept", color=INK)
    axes.set_ylabel(findings.currency, color=INK)
    show_shares(axes.xaxis)


def _draw_reading(axes: Axes, points: Sequence[tuple[float, float]]) -> tuple[float, str, str]:
    """What the model's reading alone costs; tell how high it ends, its name and its color."""
    ordered = sorted(points)
    axes.plot(*zip(*ordered, strict=True), color=SOFT, marker=".", linestyle=":")
    return ordered[-1][1], "reading alone", SOFT
