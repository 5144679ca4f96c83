"""How all pictures of a report look, and their way into files and into a page.

Knows no figures. Colors are told apart by the color-blind, and every one has a mark of its own too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from specprefill_integrations.cli._terminal import printable
from specprefill_integrations.errors import MissingDependencyError

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
    from matplotlib.transforms import ScaledTranslation, Transform
except ModuleNotFoundError as error:
    package = "matplotlib"
    raise MissingDependencyError(package, "report") from error

INK = "#2b2724"
"""Words and axes."""

SOFT = "#6b635b"
"""Words that matter less."""

GRID = "#e7e1da"
"""Lines to compare heights by."""

BAND = "#dcebdf"
"""What counts as not worse."""

DRAFT = "#b4690e"
"""What the draft takes."""

TARGET = "#0b6fb0"
"""What the model takes that is asked."""

_SCORER_COLORS = (
    "#0b6fb0",
    "#c2500a",
    "#0a7d5c",
    "#a54b7d",
    "#8a6d00",
    "#3d7fa6",
    "#7256c2",
    "#a12f3a",
    "#4f6b12",
)
_MARKS = ("o", "s", "^", "D", "v", "P", "p", "h", "<", ">", "*")

# On a dark page, each color gives way to a lighter one; `--ink` and such are the page's own.
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
    DRAFT: "#f0a64e",
    BAND: "#24382a",
}
_NAMES = {INK: "ink", SOFT: "soft", GRID: "line", "#ffffff": "card"}

# Of the height of a picture.
_LINE_OF_WORDS = 0.06

_LEADING = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawn picture."""

    name: str
    """Names its files."""

    title: str
    """What it shows, in words."""

    svg: bytes
    """Its file as lines and words."""

    png: bytes
    """Its file as dots."""

    @property
    def inline_svg(self) -> str:
        """For a page of HTML: no names that another picture has too, and the page's colors."""
        text = _METADATA.sub("", _LEADING.sub("", self.svg.decode("utf-8")))
        text = _GROUP_ID.sub("<g", text)
        for color, name in {**_NAMES, **{c: f"on-{c[1:]}" for c in _ON_DARK}}.items():
            text = text.replace(color, f"var(--{name}, {color})")
        return text


def dark_colors() -> dict[str, str]:
    """What `Picture.inline_svg` calls a color -> what that is on a dark page."""
    return {f"--on-{color[1:]}": dark for color, dark in _ON_DARK.items()}


def color_of(scorer: str, scorers: Sequence[str]) -> str:
    """The color of a scorer among those of a report."""
    return _SCORER_COLORS[scorers.index(scorer) % len(_SCORER_COLORS)]


def mark_of(scorer: str, scorers: Sequence[str]) -> str:
    """Its mark, as matplotlib calls it."""
    return _MARKS[scorers.index(scorer) % len(_MARKS)]


def draw(
    name: str, title: str, size: tuple[float, float], onto: Callable[[Figure], None]
) -> Picture:
    """Make a picture; the same drawing gives the same bytes.

    Args:
        name: Names its files.
        title: What it shows, in words.
        size: Width and height in inches.
        onto: Draws it.
    """
    # Words stay words, and a dollar is one. With a salt of its own, names in the file are no random
    # ones, and no other picture's.
    with rc_context(
        {
            "font.size": 11,
            "svg.fonttype": "none",
            "svg.hashsalt": name,
            "text.parse_math": False,
        }
    ):
        figure = Figure(figsize=size, layout="constrained")
        onto(figure)
        svg = _saved(figure, "svg")
        figure.set_layout_engine("none")  # all stands where it should, and layout takes long
        return Picture(name=name, title=title, svg=svg, png=_saved(figure, "png"))


def head(axes: Axes, title: str, subtitle: str) -> None:
    """Say above a picture what it shows, and below that how to read it, if that needs words."""
    lines = subtitle.count("\n") + 1 if subtitle else 0
    axes.set_title(printable(title), loc="left", fontweight="bold", color=INK, pad=8 + 14 * lines)
    axes.annotate(
        printable(subtitle),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        color=SOFT,
        fontsize=9.5,
    )


def tidy(axes: Axes, grid: Literal["x", "y"]) -> None:
    """Leave out what nobody reads, and draw faint lines to compare by."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK)
    axes.grid(axis=grid, color=GRID)
    axes.set_axisbelow(True)


def show_shares(axis: Axis) -> None:
    """Write the numbers of an axis as percentages."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))


def sideways(figure: Figure, points: float) -> Transform:
    """Moves what is drawn by so many points to the right."""
    return ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def name_at_right(axes: Axes, named: Sequence[tuple[float, str, str]]) -> None:
    """Write words beside the right edge, where no legend has to be looked up.

    Args:
        axes: Whose vertical limits are set.
        named: How high each stands, the words, and their color.
    """
    low, high = axes.get_ylim()
    places = spread([height for height, _, _ in named], _LINE_OF_WORDS * (high - low))
    for (_, words, color), place in zip(named, places, strict=True):
        axes.annotate(
            words,
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
    """Move heights as little as may be so that each is at least so far from every other."""
    stacks: list[list[int]] = []
    for index in sorted(range(len(heights)), key=heights.__getitem__):
        stacks.append([index])
        while len(stacks) > 1 and _overlap(stacks[-2], stacks[-1], heights, least):
            last = stacks.pop()
            stacks[-1] += last
    found = dict.fromkeys(range(len(heights)), 0.0)
    for stack in stacks:
        bottom = _bottom(stack, heights, least)
        found.update({index: bottom + place * least for place, index in enumerate(stack)})
    return list(found.values())


def _overlap(
    below: Sequence[int], above: Sequence[int], heights: Sequence[float], least: float
) -> bool:
    top = _bottom(below, heights, least) + len(below) * least
    return _bottom(above, heights, least) < top


def _bottom(stack: Sequence[int], heights: Sequence[float], least: float) -> float:
    """The lowest place of a stack around the mean of the heights in it."""
    middle = sum(heights[index] for index in stack) / len(stack)
    return middle - (len(stack) - 1) * least / 2


def _saved(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    buffer = BytesIO()
    # Without a date and a version, the same picture gives the same bytes.
    metadata = {"svg": {"Date": None}, "png": {"Software": None}}[kind]
    figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
