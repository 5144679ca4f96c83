"""What a text costs with compression and without, by its length, as a picture.

Draws what `BreakEven` says; reckons nothing itself.
"""

from __future__ import annotations

from pathlib import Path

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.observability import BreakEven

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
except ModuleNotFoundError as error:
    package = "matplotlib"
    raise MissingDependencyError(package, "report") from error

_WITHOUT = "#b5482f"
_WITH = "#1c6e8c"
_INK = "#333333"

_POINTS = 200
_BEYOND_CROSSING = 2.5
"""So many times as far as the crossing the picture goes."""

_DEFAULT_WIDTH = 10_000
"""Tokens, where no crossing says how far to go."""

_TITLES = {
    "seconds": "Time to first token, by the length of the text",
    "money": "What a text costs, by its length",
}
_AXES = {
    "seconds": "seconds until the first token of the answer",
    "money": "cost, in the currency of the prices",
}

# Without a date and a version, the same picture gives the same bytes.
_METADATA = {".svg": {"Date": None}, ".png": {"Software": None}}


def draw_break_even(
    break_even: BreakEven, path: Path | str, *, max_tokens: int | None = None
) -> None:
    """Write the picture to a file.

    Args:
        break_even: What is drawn.
        path: The file, whose name ends in `.png`, `.svg` or what else matplotlib can write.
        max_tokens: The longest text in the picture; None is what shows a crossing well.
    """
    # Words stay words in an SVG, and its ids are no random ones.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "specprefill", "font.size": 11}):
        figure = Figure(figsize=(8.5, 5), layout="constrained")
        _draw(figure.add_subplot(), break_even, max_tokens or _width_of(break_even))
        figure.savefig(path, dpi=150, metadata=_METADATA.get(Path(path).suffix.lower()))


def _width_of(break_even: BreakEven) -> int:
    least = break_even.least_tokens
    # A crossing at the very beginning is none to look at.
    return round(_BEYOND_CROSSING * least) if least and least > 1 else _DEFAULT_WIDTH


def _draw(axes: Axes, break_even: BreakEven, longest: int) -> None:
    lengths = sorted({round(longest * point / _POINTS) for point in range(_POINTS + 1)})
    without = [break_even.without_compression(tokens) for tokens in lengths]
    compressed = [break_even.with_compression(tokens) for tokens in lengths]
    axes.plot(lengths, without, color=_WITHOUT, linewidth=2.2)
    axes.plot(lengths, compressed, color=_WITH, linewidth=2.2)
    ends = [
        (without[-1], "without compression", _WITHOUT),
        (compressed[-1], "with compression", _WITH),
    ]
    _name_lines(axes, longest, ends)
    least = break_even.least_tokens
    if least is not None and 1 < least < longest:
        saved = [now < before for now, before in zip(compressed, without, strict=True)]
        axes.fill_between(lengths, without, compressed, where=saved, color=_WITH, alpha=0.12)
        _mark_crossing(axes, least, break_even.without_compression(least), longest)
    _label(axes, break_even, longest, max(*without, *compressed))


def _name_lines(axes: Axes, tokens: int, ends: list[tuple[float, str, str]]) -> None:
    """At their ends, where no legend has to be looked up: one above the other, however close."""
    for (cost, name, color), side in zip(sorted(ends), ("top", "bottom"), strict=True):
        axes.annotate(
            name,
            (tokens, cost),
            xytext=(8, 0),
            textcoords="offset points",
            va=side,
            color=color,
            fontweight="bold",
            annotation_clip=False,
        )


def _mark_crossing(axes: Axes, tokens: int, cost: float, longest: int) -> None:
    """With words at the top, where the lines do not come but at the right end."""
    is_left = tokens < longest / 2
    axes.axvline(tokens, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot([tokens], [cost], marker="o", color=_INK, markersize=7)
    axes.annotate(
        f"{tokens:,} tokens:\nfrom here on, it pays",
        (tokens, 0.98),
        xycoords=axes.get_xaxis_transform(),
        xytext=(8 if is_left else -8, 0),
        textcoords="offset points",
        ha="left" if is_left else "right",
        va="top",
        color=_INK,
    )


def _label(axes: Axes, break_even: BreakEven, longest: int, highest: float) -> None:
    axes.set_title(
        f"{_TITLES[break_even.quantity]}\n",
        loc="left",
        fontweight="bold",
        color=_INK,
    )
    axes.text(0, 1.025, break_even.verdict, transform=axes.transAxes, color=_INK)
    axes.set_xlabel(f"tokens of the text ({_budget_in_words(break_even)})", color=_INK)
    axes.set_ylabel(_AXES[break_even.quantity], color=_INK)
    axes.set_xlim(0, longest)
    axes.set_ylim(0, highest * 1.08 or 1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)


def _budget_in_words(break_even: BreakEven) -> str:
    budget = break_even.budget
    limits = []
    if budget.keep_fraction is not None:
        limits.append(f"{budget.keep_fraction:.0%} of them")
    if budget.max_tokens is not None:
        limits.append(f"at most {budget.max_tokens:,}")
    return f"compression keeps {', '.join(limits)}"
