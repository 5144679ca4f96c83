"""Parts of pictures: colors, heads, axes, and places where marks and labels hide nothing."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from specprefill_integrations.errors import MissingDependencyError

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator
except ModuleNotFoundError as error:
    package = "matplotlib"
    raise MissingDependencyError(package, "report") from error

INK, SOFT, GRID, BAND, CARD = "#2b2724", "#6b635b", "#e7e1da", "#dcebdf", "#ffffff"
DRAFT, TARGET = "#b4690e", "#0b6fb0"
DASHED = (0, (5, 3))

_LABEL_POINTS = 15.0  # height of a label, with a gap
_MARK_POINTS = 12.0  # width of the widest mark, with its edge
_BESIDE_BAR_POINTS = 7.5  # from the middle of a mark to a bar that does not touch it
_BARS_POINTS = 3.0  # between two bars
_TITLE_POINTS, _SUBTITLE_POINTS = 8.0, 5.6  # of a letter, in the mean
_NAME_POINTS = 7.0  # of a letter of a name beside a panel
_MARGIN_INCHES = 0.9  # left of the axes, for the names of their ticks

_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

Label = tuple[float, str, str]
"""Height, text and color."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark and the bar of its interval."""

    x: float
    """Horizontal place of both."""

    y: float
    """Vertical place of the mark."""

    low: float
    """Lower end of the bar; that of the mark without a bar."""

    high: float
    """Upper end."""

    def meets(self, other: Mark) -> bool:
        """Tell if two marks with places in points, or their bars, would hide one another."""
        aside = abs(self.x - other.x)
        half = _MARK_POINTS / 2
        return (
            (aside < _MARK_POINTS and abs(self.y - other.y) < _MARK_POINTS)
            or (aside < _BESIDE_BAR_POINTS and self.low - half < other.y < self.high + half)
            or (aside < _BESIDE_BAR_POINTS and other.low - half < self.y < other.high + half)
            or (aside < _BARS_POINTS and self.low <= other.high and other.low <= self.high)
        )


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


def no_metadata(suffix: str) -> dict[Any, Any] | None:
    """Leave out dates and versions: the same picture is the same bytes."""
    return {".svg": {"Date": None}, ".png": {"Software": None}}.get(suffix)


def add_head(axes: Axes, title: str, subtitle: str, names: Iterable[str] = ()) -> None:
    """Write a title and a line below it, in several lines if the panel is narrow.

    Args:
        axes: The panel.
        title: The title.
        subtitle: The line below it.
        names: What stands left of the panel, if these are names.
    """
    title, subtitle = (_UNPRINTABLE.sub("\ufffd", text) for text in (title, subtitle))
    figure = axes.get_figure(root=True)
    width = figure.get_figwidth() / _shape_of_grid(axes)[1] if figure else math.inf
    longest = max(map(len, names), default=0)
    points = 72 * width - max(72 * _MARGIN_INCHES, _NAME_POINTS * longest + 12)
    title = wrapped(title, points, letter=_TITLE_POINTS)
    subtitle = wrapped(subtitle, points)
    lines = subtitle.count("\n") + 1 if subtitle else 0
    pad = 8 + 14 * lines
    axes.set_title(title, loc="left", fontweight="bold", color=INK, pad=pad, va="bottom")
    axes.annotate(
        subtitle,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        color=SOFT,
        fontsize=9.5,
    )


def wrapped(text: str, points: float, *, letter: float = _SUBTITLE_POINTS) -> str:
    """Break a text into lines of at most this width, for letters of a mean width."""
    letters = max(10, int(points / letter))
    lines = (textwrap.wrap(line, letters) or [""] for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line)


def tidy(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK)
    if grid == "x":
        axes.tick_params(axis="y", length=0)
    axes.grid(axis=grid, color=GRID)
    axes.set_axisbelow(True)


def show_percent(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))


def show_few(axis: Axis) -> None:
    """Show few and short numbers, so that they fit into a narrow panel."""
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))


def show_thousands(axis: Axis) -> None:
    axis.set_major_locator(MaxNLocator(5))  # so that millions fit side by side
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))


def label(
    axes: Axes, text: str, place: tuple[float, float], *, right: float = 6, color: str = INK
) -> None:
    axes.annotate(
        text, place, xytext=(right, 0), textcoords="offset points", va="center", color=color
    )


def label_right(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels beside the right edge.

    The vertical limits must be set, and `make_room` called.
    """
    low, high = axes.get_ylim()
    least = (high - low) * _LABEL_POINTS / _points(axes)[1]
    bounds = low + least / 2, high - least / 2
    places = spread([height for height, _, _ in labels], least, bounds)
    for (_, text, color), place in zip(labels, places, strict=True):
        axes.annotate(
            _UNPRINTABLE.sub("\ufffd", text),
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontweight="normal" if color == SOFT else "bold",
            annotation_clip=False,
        )


def make_room(figure: Figure, panels: Sequence[Axes], *, marks: int = 0, labels: int = 0) -> None:
    """Lay a figure out, and enlarge it until so many marks and labels fit into each panel.

    Args:
        figure: The figure.
        panels: Its visible panels.
        marks: Marks side by side.
        labels: Labels one below the other.
    """
    for _ in range(3):  # wider axes may have more ticks, with wider names
        figure.draw_without_rendering()
        widths, heights = zip(*map(_points, panels), strict=True)
        # A mark keeps others out of twice its width.
        wider = max(0.0, (marks + 1) * (2 * _MARK_POINTS + 1) - min(widths))
        higher = max(0.0, (labels + 1) * _LABEL_POINTS - min(heights))
        if not wider and not higher:
            break
        width, height = figure.get_size_inches()
        rows, columns = _shape_of_grid(panels[0])
        figure.set_size_inches(width + columns * wider / 72, height + rows * higher / 72)


def side_by_side(axes: Axes, marks: Sequence[Mark]) -> list[float]:
    """Move marks along the horizontal axis, as little as needed to hide no other mark or bar.

    Args:
        axes: A panel with limits, after `make_room` for so many marks.
        marks: The marks.

    Returns:
        Their horizontal places.
    """
    dots = _dots(axes)
    corners = axes.transData.transform([(0, 0), *((one.x, one.y) for one in marks)])[1:] / dots
    ends = [
        axes.transData.transform([(one.x, one.low), (one.x, one.high)])[:, 1] / dots
        for one in marks
    ]
    left = axes.get_window_extent().x0 / dots + _MARK_POINTS / 2
    right = left + _points(axes)[0] - _MARK_POINTS
    placed: dict[int, Mark] = {}
    for index in sorted(range(len(marks)), key=lambda one: marks[one].x):
        (x, y), (low, high) = corners[index], ends[index]
        for step in range(round(right - left) + 1):
            tried = [
                Mark(x=place, y=y, low=low, high=high)
                for place in (x - step, x + step)
                if left <= place <= right
            ]
            free = [one for one in tried if not any(one.meets(two) for two in placed.values())]
            if free:
                placed[index] = free[0]
                break
        else:
            placed[index] = Mark(x=x, y=y, low=low, high=high)
    back = axes.transData.inverted()
    return [
        float(back.transform((placed[n].x * dots, placed[n].y * dots))[0])
        for n in range(len(marks))
    ]


def apart(axes: Axes, places: Sequence[float], points: float) -> list[float]:
    """Move places along the horizontal axis, as little as needed to be some points apart.

    The limits must be set, and `make_room` called.
    """
    dots, middle = _dots(axes), points / 2
    shown = axes.transData.transform([(place, 0.5) for place in places])[:, 0] / dots
    left = axes.get_window_extent().x0 / dots
    found = spread(list(shown), points, (left + middle, left + _points(axes)[0] - middle))
    back = axes.transData.inverted()
    return [float(back.transform((place * dots, 0))[0]) for place in found]


def _shape_of_grid(axes: Axes) -> tuple[int, int]:
    """Rows and columns of panels."""
    place = axes.get_subplotspec()
    return (1, 1) if place is None else place.get_gridspec().get_geometry()


def _points(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel that is laid out."""
    box, dots = axes.get_window_extent(), _dots(axes)
    return box.width / dots, box.height / dots


def _dots(axes: Axes) -> float:
    """Dots of a point."""
    figure = axes.get_figure(root=True)
    return figure.dpi / 72 if figure else 1.0


def spread(
    places: Sequence[float], least: float, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> list[float]:
    """Move places as little as possible so that any two are at least `least` apart.

    Args:
        places: The places; their order stays.
        least: The distance.
        bounds: Lowest and highest place. Kept if all places fit between them.
    """

    def bottom(stack: Sequence[int]) -> float:
        middle = sum(places[index] for index in stack) / len(stack)
        return middle - (len(stack) - 1) * least / 2

    stacks: list[list[int]] = []
    for index in sorted(range(len(places)), key=places.__getitem__):
        stacks.append([index])
        while len(stacks) > 1 and bottom(stacks[-1]) < bottom(stacks[-2]) + len(stacks[-2]) * least:
            last = stacks.pop()
            stacks[-1] += last
    found = dict.fromkeys(range(len(places)), 0.0)
    order = [index for stack in stacks for index in stack]
    free = [bottom(stack) + n * least for stack in stacks for n in range(len(stack))]
    low, high = bounds
    for n, (index, place) in enumerate(zip(order, free, strict=True)):
        least_place, most_place = low + n * least, high - (len(order) - 1 - n) * least
        found[index] = max(least_place, min(place, most_place))
    return list(found.values())
