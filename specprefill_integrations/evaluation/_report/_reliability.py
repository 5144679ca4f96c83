"""The reliability diagram: how often units are needed, by the probability that was predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specprefill_integrations.evaluation._report._drawing import (
    DASHED,
    INK,
    SOFT,
    TARGET,
    add_head,
    apart,
    make_room,
    new_figure,
    no_metadata,
    show_percent,
    tidy,
    wrapped,
)
from specprefill_integrations.evaluation._statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_INCHES = 2.7
_MARK_POINTS = 8.5  # width of the widest mark
_TICKS = (0, 0.04, 0.25, 0.5, 1)
_ROOTS = (
    lambda places: np.sign(places) * np.sqrt(np.abs(places)),
    lambda places: np.sign(places) * np.square(places),
)
_KEY = (
    "Share of the units that are needed (up), by their predicted probability (right):\n"
    "on the line, the prediction is right. Held-out cases; bars: 95 % interval; larger: more "
    "units.\nThe axes show square roots, as most units lie near 0; marks that meet move aside."
)

Bins = Sequence[tuple[float, int, int]]
"""Groups of units: mean probability, number of needed units, number of units."""


def draw_reliability(bins: Mapping[str, Bins], path: Path | str) -> None:
    """Draw a panel for each kind of case.

    Args:
        bins: Groups of units by kind.
        path: File to write, such as a `.png` or `.svg`.
    """
    columns = min(_COLUMNS, max(2, len(bins)))
    rows = math.ceil(len(bins) / columns)
    size = (_INCHES * columns, _INCHES * rows + 1.2)
    with new_figure(size, "reliability") as figure:
        key = wrapped(_KEY, 72 * (size[0] - 0.2))
        figure.suptitle(key, x=0.01, ha="left", fontsize=9.5, color=SOFT)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes in panels[len(bins) :]:
            axes.set_visible(False)
        shown = list(zip(panels, bins.items(), strict=False))
        for axes, (kind, own) in shown:
            _draw_axes(axes)
            needed, units = sum(one[1] for one in own), sum(one[2] for one in own)
            add_head(axes, kind, f"{needed:,} of {units:,} needed")
        make_room(figure, [axes for axes, _ in shown])
        for axes, (_, own) in shown:
            _draw_marks(axes, own)
        figure.savefig(path, dpi=150, metadata=no_metadata(Path(path).suffix.lower()))


def _draw_axes(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=DASHED)
    axes.set_xscale("function", functions=_ROOTS)
    axes.set_yscale("function", functions=_ROOTS)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.003, 1.06)  # a mark at the edge is seen whole
    axes.set_xticks(_TICKS)
    axes.set_yticks(_TICKS)
    show_percent(axes.xaxis)
    show_percent(axes.yaxis)
    tidy(axes, "y")


def _draw_marks(axes: Axes, bins: Bins) -> None:
    places = apart(axes, [probability for probability, _, _ in bins], _MARK_POINTS)
    lows, highs = zip(*(wilson_interval(needed, units) for _, needed, units in bins), strict=True)
    sizes = [12 + 12 * math.log10(units) for *_, units in bins]
    axes.vlines(places, lows, highs, color=TARGET, linewidth=1.2, alpha=0.6)
    axes.scatter(places, [needed / units for _, needed, units in bins], s=sizes, color=TARGET)
