"""The picture of the break-even length: two lines that cross."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.evaluation._report._drawing import (
    DASHED,
    DRAFT,
    INK,
    TARGET,
    Label,
    add_head,
    label_right,
    make_room,
    new_figure,
    no_metadata,
    show_thousands,
    tidy,
)
from specprefill_integrations.observability import BreakEven

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {
    "seconds": "Time to first token, by length of the text",
    "money": "Cost of a text, by its length",
}
_QUANTITIES = {
    "seconds": "seconds to the first token of the answer",
    "money": "cost, in the currency of the prices",
}


@checked
def draw_break_even(
    break_even: BreakEven, path: Path | str, *, max_tokens: PositiveInt | None = None
) -> None:
    """Draw the cost of a text by its length, with and without compression.

    Args:
        break_even: The two lines.
        path: File to write, such as a `.png` or `.svg`.
        max_tokens: Longest text in the picture; by default, well beyond the break-even.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    least = break_even.least_tokens
    longest = max_tokens or (round(2.5 * least) if least and least > 1 else 10_000)
    with new_figure((8.5, 5), "specprefill") as figure:
        axes = figure.add_subplot()
        ends = _draw_lengths(axes, break_even, longest)
        make_room(figure, [axes], labels=len(ends))
        label_right(axes, ends)
        figure.savefig(path, dpi=150, metadata=no_metadata(Path(path).suffix.lower()))


def _draw_lengths(axes: Axes, break_even: BreakEven, longest: int) -> list[Label]:
    """Draw both lines and return their labels."""
    lengths = sorted({round(longest * point / 200) for point in range(201)})
    without = [break_even.without_compression(tokens) for tokens in lengths]
    compressed = [break_even.with_compression(tokens) for tokens in lengths]
    axes.plot(lengths, without, color=DRAFT, linewidth=2.2)
    axes.plot(lengths, compressed, color=TARGET, linewidth=2.2)
    axes.set_xlim(0, longest)
    axes.set_ylim(0, max(*without, *compressed) * 1.08 or 1)
    least = break_even.least_tokens
    if least is not None and 1 < least < longest:
        saved = [now < before for now, before in zip(compressed, without, strict=True)]
        axes.fill_between(lengths, without, compressed, where=saved, color=TARGET, alpha=0.12)
        axes.axvline(least, color=INK, linewidth=1, linestyle=DASHED)
        crossing = break_even.without_compression(least)
        axes.plot([least], [crossing], marker="o", color=INK, markersize=7)
        is_left = least < longest / 2
        axes.annotate(
            f"break-even:\n{least:,} tokens",
            (least, 0.98),
            xycoords=axes.get_xaxis_transform(),
            xytext=(8 if is_left else -8, 0),
            textcoords="offset points",
            ha="left" if is_left else "right",
            va="top",
            color=INK,
        )
    add_head(axes, _TITLES[break_even.quantity], break_even.verdict)
    tidy(axes, "y")
    axes.set_xlabel(f"tokens of the text ({_format_budget(break_even)})", color=INK)
    axes.set_ylabel(_QUANTITIES[break_even.quantity], color=INK)
    show_thousands(axes.xaxis)
    return [
        (without[-1], "without compression", DRAFT),
        (compressed[-1], "with compression", TARGET),
    ]


def _format_budget(break_even: BreakEven) -> str:
    budget = break_even.budget
    limits = []
    if budget.keep_fraction is not None:
        limits.append(f"{budget.keep_fraction:.0%} of them")
    if budget.max_tokens is not None:
        limits.append(f"at most {budget.max_tokens:,}")
    return f"compression keeps {', '.join(limits)}"
