"""Pictures of evaluation results: quality, time, budget and cost of variants, and break-even lines.

Colors suit color-blind readers, and each scorer also has its own mark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._ab_summary import TaskSummary, VariantSummary
from specprefill_integrations.evaluation._report._findings import PROMPTS, Findings
from specprefill_integrations.evaluation._report._sections import (
    ALL_CASES,
    count,
    format_share,
    format_speedup,
    groups_of,
    model_name,
    reference_name,
)
from specprefill_integrations.observability import BreakEven

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
    from matplotlib.transforms import ScaledTranslation
except ModuleNotFoundError as error:
    package = "matplotlib"
    raise MissingDependencyError(package, "report") from error

INK, SOFT, _GRID, _BAND, _CARD = "#2b2724", "#6b635b", "#e7e1da", "#dcebdf", "#ffffff"
_DRAFT, TARGET = "#b4690e", "#0b6fb0"
_SCORER_COLORS = (
    *("#0b6fb0", "#c2500a", "#0a7d5c", "#a54b7d", "#8a6d00"),
    *("#3d7fa6", "#7256c2", "#a12f3a", "#4f6b12"),
)
_MARKS = ("o", "s", "^", "D", "v", "P", "p", "h", "<", ">", "*")

# Lighter colors for dark pages; the page itself has names for the others.
_ON_DARK = {
    "#0b6fb0": "#62b5f0",
    "#c2500a": "#ff9457",
    "#0a7d5c": "#3fcf9f",
    "#a54b7d": "#eb9cc6",
    "#8a6d00": "#e3bf45",
    "#3d7fa6": "#92cdec",
    "#7256c2": "#b8a3ff",
    "#a12f3a": "#ff8f96",
    "#4f6b12": "#b5d36b",
    _DRAFT: "#f0a64e",
    _BAND: "#24382a",
}
_PAGE_NAMES = {INK: "ink", SOFT: "soft", _GRID: "line", _CARD: "card"}

DASHED = (0, (5, 3))
_BAR_HEIGHT = 0.62
_LABEL_HEIGHT = 0.06  # of the height of the axes
_SIDE_BY_SIDE_POINTS = 6.0  # between scorers that keep about the same

_LEADING = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_Label = tuple[float, str, str]
"""Height, text and color."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture as files and for a page."""

    name: str
    """Name of its files, without suffix."""

    title: str
    """Description."""

    svg: bytes
    """The SVG file."""

    png: bytes
    """The PNG file."""

    @property
    def inline_svg(self) -> str:
        """SVG for an HTML page: without ids that repeat, and in the colors of the page."""
        text = _METADATA.sub("", _LEADING.sub("", self.svg.decode("utf-8")))
        text = _GROUP_ID.sub("<g", text)
        for color, name in {**_PAGE_NAMES, **{c: f"on-{c[1:]}" for c in _ON_DARK}}.items():
            text = text.replace(color, f"var(--{name}, {color})")
        return text


def dark_colors() -> dict[str, str]:
    """CSS variables of `Picture.inline_svg` with their values on a dark page."""
    return {f"--on-{color[1:]}": dark for color, dark in _ON_DARK.items()}


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
            _draw_quality_panel(axes, findings, scorers, group)
            is_first = axes is panels[0]
            about = f"{task}, {count(group.cases, 'case')}"
            title = f"Quality against kept tokens: {about}" if is_first else about
            add_head(axes, title, _quality_key(findings) if is_first else "")

    title = f"Quality against kept tokens: {model_name(findings)}"
    return _draw(name, title, (width * columns, height * rows), onto)


def _quality_key(findings: Findings) -> str:
    if not findings.judge.compares_with_full:
        return findings.judge.meaning
    return (
        f"bars: 95 % interval of the paired difference from {findings.summary.reference} "
        "(shifted to be visible)\n"
        f"filled: at most {100 * findings.margin:g} {_unit(findings)} worse; "
        "hollow: not shown; x: worse"
    )


def _unit(findings: Findings) -> str:
    """Unit of differences."""
    return "%" if findings.judge.is_of_likelihood else "points"


def _draw_quality_panel(
    axes: Axes, findings: Findings, scorers: Sequence[str], group: TaskSummary
) -> None:
    full = group.variants[findings.summary.reference].score or 0.0
    found = [group.variants[variant.name] for variant in findings.compressed_variants]
    _limit_widths(axes, [one.kept_tokens_fraction or 0.0 for one in found], most=1.0)
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
    labels = [
        _draw_quality_line(axes, findings, scorers, scorer, group) for scorer in findings.scorers
    ]
    labels.append((full, f"{reference_name(findings)}: {format_share(full)}", INK))
    if findings.judge.compares_with_full:
        lowest = findings.changed(full, -findings.margin)
        axes.axhspan(lowest, full, color=_BAND, linewidth=0)
        margin = f"{100 * findings.margin:g} {_unit(findings)} lower"
        labels.append((lowest, margin, SOFT))
    _label_right(axes, labels)
    tidy(axes, "y")
    axes.set_xlabel("kept tokens / original tokens", color=INK)
    axes.set_ylabel(findings.judge.score_name, color=INK)
    show_percent(axes.xaxis)
    show_percent(axes.yaxis)


def _draw_quality_line(
    axes: Axes, findings: Findings, scorers: Sequence[str], scorer: str, group: TaskSummary
) -> _Label:
    """Draw a scorer's line and return its label."""
    color, full = (
        _color_of(scorer, scorers),
        group.variants[findings.summary.reference].score or 0.0,
    )
    found = [
        group.variants[variant.name]
        for variant in findings.compressed_variants
        if variant.scorer == scorer
    ]
    steps = findings.scorers.index(scorer) - (len(findings.scorers) - 1) / 2
    shift = steps * _SIDE_BY_SIDE_POINTS / 72
    aside = axes.transData + ScaledTranslation(shift, 0, axes.figure.dpi_scale_trans)
    points = [(one.kept_tokens_fraction or 0.0, one.score or 0.0) for one in found]
    axes.plot(*zip(*points, strict=True), color=color, linewidth=1.8, transform=aside)
    for one, (x, y) in zip(found, points, strict=True):
        versus = one.versus_reference
        if versus is not None:
            ends = [min(1.0, max(0.0, findings.changed(full, end))) for end in versus.interval]
            axes.plot([x, x], ends, color=color, linewidth=1.4, transform=aside)
        is_worse = versus is not None and versus.verdict == "worse"
        is_shown = versus is None or versus.verdict == "not_worse"
        axes.plot(
            [x],
            [y],
            marker="x" if is_worse else _mark_of(scorer, scorers),
            markersize=8,
            markeredgewidth=2,
            color=color,
            markerfacecolor=color if is_shown else _CARD,
            transform=aside,
        )
    return points[-1][1], scorer, color


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
        add_head(axes, f"Time to first token of {model_name(findings)}", key)
        axes.set_xlabel("seconds", color=INK)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)

    title = f"Time to first token: {model_name(findings)}"
    return _draw(name, title, (9.0, 1.9 + 0.44 * len(found)), onto)


def _draw_waiting_bars(axes: Axes, found: Mapping[str, VariantSummary]) -> None:
    draft = [one.draft_seconds or 0.0 for one in found.values()]
    first = [one.first_token_seconds or 0.0 for one in found.values()]
    bars: dict[str, Any] = {"height": _BAR_HEIGHT}
    axes.barh(list(found), draft, color=_DRAFT, label="compression", **bars)
    axes.barh(list(found), first, left=draft, color=TARGET, label="model's first token", **bars)
    for row, one in enumerate(found.values()):
        total = one.first_token_with_draft_seconds or 0.0
        speedup = f" ({format_speedup(one, next(iter(found.values())))})" if row else ""
        _label(axes, f"{total:.2f} s{speedup}", (draft[row] + first[row], row))
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
    colors = [_color_of(str(variant.scorer), scorers) for variant in variants]

    def onto(figure: Figure) -> None:
        kept_axes, seconds_axes = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        for row, (variant, one, color) in enumerate(zip(variants, found, colors, strict=True)):
            asked, kept = variant.keep_fraction, one.kept_tokens_fraction or 0.0
            kept_axes.plot([asked, asked], [row - 0.32, row + 0.32], color=INK, linewidth=1.6)
            kept_axes.plot([asked, kept], [row, row], color=color, linewidth=1.6)
            mark = _mark_of(str(variant.scorer), scorers)
            kept_axes.plot([kept], [row], marker=mark, markersize=8, color=color)
            _label(kept_axes, format_share(kept), (max(asked, kept), row), right=10, color=SOFT)
            took = one.draft_seconds or 0.0
            seconds_axes.barh([row], [took], height=_BAR_HEIGHT, color=color)
            seconds = f"{took:.2g} s" if took < 1 else f"{took:.1f} s"
            _label(seconds_axes, seconds, (took, row))
        kept_axes.set_yticks(range(len(variants)), [variant.name for variant in variants])
        kept_axes.set_ylim(len(variants) - 0.4, -0.6)
        show_percent(kept_axes.xaxis)
        for axes in (kept_axes, seconds_axes):
            axes.set_xlim(0, axes.get_xlim()[1] * 1.25 or 1.0)
            tidy(axes, "x")
        add_head(kept_axes, "Requested and kept tokens", "line: requested; mark: kept")
        add_head(seconds_axes, "Seconds to compress", f"median of {count(cases, 'case')}")

    title = "Compression: requested tokens, kept tokens and seconds"
    return _draw(name, title, (11.0, 1.7 + 0.4 * len(variants)), onto)


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

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        labels = []
        for scorer in findings.scorers:
            names = [one.name for one in findings.compressed_variants if one.scorer == scorer]
            points = [(kept[one], costs[one].total) for one in names]
            color, mark = _color_of(scorer, scorers), _mark_of(scorer, scorers)
            lines = zip(*points, strict=True)
            axes.plot(*lines, color=color, linewidth=1.8, marker=mark, markersize=7)
            labels.append((points[-1][1], scorer, color))
        names = [one.name for one in findings.compressed_variants]
        if any(cost.draft for cost in costs.values()):
            points = sorted((kept[one], costs[one].target) for one in names)
            axes.plot(*zip(*points, strict=True), color=SOFT, marker=".", linestyle=":")
            labels.append((points[-1][1], "reading only", SOFT))
        axes.axhline(full, color=INK, linewidth=1.4, linestyle=DASHED)
        _limit_widths(axes, [kept[one] for one in names])
        axes.set_ylim(0, max(cost.total for cost in costs.values()) * 1.12 or 1.0)
        _label_right(axes, [*labels, (full, f"{reference_name(findings)}: {full:.3g}", INK)])
        tidy(axes, "y")
        axes.set_xlabel("kept tokens / original tokens", color=INK)
        axes.set_ylabel(findings.currency, color=INK)
        show_percent(axes.xaxis)
        title = f"Cost of {PROMPTS:,} prompts to {model_name(findings)}"
        add_head(axes, title, "reading by the model, and the machine that compresses")

    title = f"Cost of prompts against kept tokens: {model_name(findings)}"
    return _draw(name, title, (8.6, 4.8), onto)


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
        _draw_lengths(figure.add_subplot(), break_even, longest)
        figure.savefig(path, dpi=150, metadata=no_metadata(Path(path).suffix.lower()))


def _draw_lengths(axes: Axes, break_even: BreakEven, longest: int) -> None:
    lengths = sorted({round(longest * point / 200) for point in range(201)})
    without = [break_even.without_compression(tokens) for tokens in lengths]
    compressed = [break_even.with_compression(tokens) for tokens in lengths]
    axes.plot(lengths, without, color=_DRAFT, linewidth=2.2)
    axes.plot(lengths, compressed, color=TARGET, linewidth=2.2)
    axes.set_xlim(0, longest)
    axes.set_ylim(0, max(*without, *compressed) * 1.08 or 1)
    ends = [
        (without[-1], "without compression", _DRAFT),
        (compressed[-1], "with compression", TARGET),
    ]
    _label_right(axes, ends)
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))


def _format_budget(break_even: BreakEven) -> str:
    budget = break_even.budget
    limits = []
    if budget.keep_fraction is not None:
        limits.append(f"{budget.keep_fraction:.0%} of them")
    if budget.max_tokens is not None:
        limits.append(f"at most {budget.max_tokens:,}")
    return f"compression keeps {', '.join(limits)}"


def _draw(
    name: str, title: str, size: tuple[float, float], onto: Callable[[Figure], None]
) -> Picture:
    """Draw a picture onto a figure of a size in inches; deterministic."""
    with new_figure(size, name) as figure:
        onto(figure)
        svg = _saved(figure, "svg")
        figure.set_layout_engine("none")  # laid out already, and layout is slow
        return Picture(name=name, title=title, svg=svg, png=_saved(figure, "png"))


@contextmanager
def new_figure(size: tuple[float, float], salt: str) -> Iterator[Figure]:
    # Text stays text in SVG, dollars are not formulas, and ids are neither random nor shared.
    settings: dict[Any, Any] = {
        "font.size": 11,
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.parse_math": False,
    }
    with rc_context(settings):
        yield Figure(figsize=size, layout="constrained")


def _saved(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, metadata=no_metadata(f".{kind}"))
    return buffer.getvalue()


def no_metadata(suffix: str) -> dict[Any, Any] | None:
    """Leave out dates and versions: the same picture is the same bytes."""
    return {".svg": {"Date": None}, ".png": {"Software": None}}.get(suffix)


def _color_of(scorer: str, scorers: Sequence[str]) -> str:
    return _SCORER_COLORS[scorers.index(scorer) % len(_SCORER_COLORS)]


def _mark_of(scorer: str, scorers: Sequence[str]) -> str:
    return _MARKS[scorers.index(scorer) % len(_MARKS)]


def add_head(axes: Axes, title: str, subtitle: str) -> None:
    title, subtitle = (_UNPRINTABLE.sub("\ufffd", text) for text in (title, subtitle))
    lines = subtitle.count("\n") + 1 if subtitle else 0
    axes.set_title(title, loc="left", fontweight="bold", color=INK, pad=8 + 14 * lines)
    axes.annotate(
        subtitle,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        color=SOFT,
        fontsize=9.5,
    )


def tidy(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK)
    if grid == "x":
        axes.tick_params(axis="y", length=0)
    axes.grid(axis=grid, color=_GRID)
    axes.set_axisbelow(True)


def _limit_widths(axes: Axes, widths: Sequence[float], most: float = math.inf) -> None:
    axes.set_xlim(0, min(most, max(widths) * 1.15) or 1.0)


def show_percent(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))


def _label(
    axes: Axes, text: str, place: tuple[float, float], *, right: float = 6, color: str = INK
) -> None:
    axes.annotate(
        text, place, xytext=(right, 0), textcoords="offset points", va="center", color=color
    )


def _label_right(axes: Axes, labels: Sequence[_Label]) -> None:
    """Write labels beside the right edge; the vertical limits must be set."""
    low, high = axes.get_ylim()
    places = spread([height for height, _, _ in labels], _LABEL_HEIGHT * (high - low))
    for (_, text, color), place in zip(labels, places, strict=True):
        axes.annotate(
            text,
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontweight="normal" if color == SOFT else "bold",
            annotation_clip=False,
        )


def spread(heights: Sequence[float], least: float) -> list[float]:
    """Move heights as little as possible so that any two are at least `least` apart."""

    def bottom(stack: Sequence[int]) -> float:
        middle = sum(heights[index] for index in stack) / len(stack)
        return middle - (len(stack) - 1) * least / 2

    stacks: list[list[int]] = []
    for index in sorted(range(len(heights)), key=heights.__getitem__):
        stacks.append([index])
        while len(stacks) > 1 and bottom(stacks[-1]) < bottom(stacks[-2]) + len(stacks[-2]) * least:
            last = stacks.pop()
            stacks[-1] += last
    found = dict.fromkeys(range(len(heights)), 0.0)
    for stack in stacks:
        found.update({index: bottom(stack) + n * least for n, index in enumerate(stack)})
    return list(found.values())
