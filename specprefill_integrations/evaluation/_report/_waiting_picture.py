"""What the wait for the first token is made of, arm by arm. Draws what `AbSummary` holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations.evaluation._ab_summary import VariantSummary
from specprefill_integrations.evaluation._ab_variants import FULL_NAME
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._picture import (
    DRAFT,
    INK,
    TARGET,
    Picture,
    draw,
    head,
    tidy,
)
from specprefill_integrations.evaluation._report._words import count, model_name, times_as_fast

if TYPE_CHECKING:  # `picture` says what to install where matplotlib is missing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 9.0
_HEIGHT_OF_ARM = 0.44
_HEIGHT_OF_REST = 1.9
_ROOM_FOR_WORDS = 1.42


def draw_waiting(findings: Findings, name: str) -> Picture | None:
    """Draw a bar an arm: the seconds of compressing, then the model's until its first token.

    Args:
        findings: What is drawn.
        name: Names the picture's files.

    Returns:
        None where nobody can tell when first tokens came.
    """
    arms = {
        arm: found
        for arm, found in findings.summary.all.variants.items()
        if found.first_token_seconds is not None
    }
    if FULL_NAME not in arms or len(arms) == 1:
        return None

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        _draw_bars(axes, arms)
        head(
            axes,
            f"Waiting for the first token of {model_name(findings)}",
            _how_to_read(findings),
        )
        axes.set_xlabel("seconds", color=INK)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)

    title = f"Waiting for the first token: {model_name(findings)}"
    return draw(name, title, (_WIDTH, _HEIGHT_OF_REST + _HEIGHT_OF_ARM * len(arms)), onto)


def _how_to_read(findings: Findings) -> str:
    cases = count(findings.summary.all.cases, "case")
    about = f"medians of {cases}; at the end: both together, and how much faster that is"
    if len(findings.run.sessions) > 1:
        about += (
            "\nnot all side by side: several commands asked, maybe at other loads of the machine"
        )
    return about


def _draw_bars(axes: Axes, arms: dict[str, VariantSummary]) -> None:
    names = list(arms)
    draft = [arm.draft_seconds or 0.0 for arm in arms.values()]
    first = [arm.first_token_seconds or 0.0 for arm in arms.values()]
    axes.barh(names, draft, color=DRAFT, height=0.62, label="compressing")
    axes.barh(
        names,
        first,
        left=draft,
        color=TARGET,
        height=0.62,
        label="the model's first token",
    )
    for row, arm in enumerate(arms.values()):
        both = arm.first_token_with_draft_seconds or 0.0
        faster = "" if row == 0 else f" ({times_as_fast(arm, arms[FULL_NAME])} as fast)"
        axes.annotate(
            f"{both:.2f} s{faster}",
            (draft[row] + first[row], row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    longest = max(before + after for before, after in zip(draft, first, strict=True))
    axes.set_xlim(0, longest * _ROOM_FOR_WORDS or 1.0)
    axes.set_ylim(len(names) - 0.5, -0.6)
    tidy(axes, "x")
    axes.tick_params(axis="y", length=0)
