"""A picture as files and for a page, and how scorers look in all pictures.

Colors suit color-blind readers, and each scorer also has its own mark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from specprefill_integrations.evaluation._report._drawing import (
    BAND,
    CARD,
    DRAFT,
    GRID,
    INK,
    SOFT,
    new_figure,
    no_metadata,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SCORER_COLORS = (
    *("#0b6fb0", "#c2500a", "#0a7d5c", "#a54b7d", "#8a6d00"),
    *("#3d7fa6", "#7256c2", "#a12f3a", "#4f6b12"),
)
_MARKS = ("o", "s", "^", "d", "v", "P", "p", "h", "<", ">", "*")

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
    DRAFT: "#f0a64e",
    BAND: "#24382a",
}
_PAGE_NAMES = {INK: "ink", SOFT: "soft", GRID: "line", CARD: "card"}

_LEADING = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')


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


def draw(
    name: str, title: str, size: tuple[float, float], onto: Callable[[Figure], None]
) -> Picture:
    """Draw a picture onto a figure of a size in inches; deterministic."""
    with new_figure(size, name) as figure:
        onto(figure)
        figure.draw_without_rendering()  # ticks follow the first layout, and the second one them
        svg = _saved(figure, "svg")
        figure.set_layout_engine("none")  # laid out already, and layout is slow
        return Picture(name=name, title=title, svg=svg, png=_saved(figure, "png"))


def _saved(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, metadata=no_metadata(f".{kind}"))
    return buffer.getvalue()


def color_of(scorer: str, scorers: Sequence[str]) -> str:
    return _SCORER_COLORS[scorers.index(scorer) % len(_SCORER_COLORS)]


def mark_of(scorer: str, scorers: Sequence[str]) -> str:
    return _MARKS[scorers.index(scorer) % len(_MARKS)]


def limit_widths(axes: Axes, widths: Sequence[float], most: float = math.inf) -> None:
    axes.set_xlim(0, min(most, max(widths) * 1.15) or 1.0)
