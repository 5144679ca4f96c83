"""A law of pictures: no mark or text hides another, and none is cut off, whatever was measured."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Bbox

from specprefill_integrations import Budget
from specprefill_integrations.evaluation import draw_break_even
from specprefill_integrations.evaluation._logged_run import read_logged_run
from specprefill_integrations.evaluation._report._findings import GivenPrices, judge
from specprefill_integrations.evaluation._report._pictures import draw_pictures
from specprefill_integrations.evaluation._report._reliability import draw_reliability
from specprefill_integrations.observability import BreakEven, Prices
from tests.unit_tests.evaluation.report_doubles import (
    RIGHT,
    SESSION,
    WRONG,
    a_record,
    cases_named,
    write_log,
)

Box = tuple[str, Bbox]


def figures_saved(patch: pytest.MonkeyPatch) -> list[Figure]:
    """All figures that would be saved from now on; writing them is slow, and left out."""
    figures: list[Figure] = []

    def remember(figure: Figure, *_, **__):
        if figure not in figures:
            figure.draw_without_rendering()
            figures.append(figure)

    patch.setattr(Figure, "savefig", remember)
    return figures


def texts_of(axes: Axes) -> Iterator[Box]:
    titles = [axes.title, axes._left_title, axes._right_title]
    found = [*titles, *axes.texts, axes.xaxis.label, axes.yaxis.label]
    for axis in (axes.xaxis, axes.yaxis):
        ticks = axis._update_ticks()
        found += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    for text in found:
        if text.get_visible() and text.get_text().strip():
            yield text.get_text(), text.get_window_extent()


def marks_of(axes: Axes) -> Iterator[Box]:
    dots = axes.get_figure(root=True).dpi / 72
    for line in axes.lines:
        if line.get_marker() in {None, "", "None", "none", " "}:
            continue
        style = MarkerStyle(line.get_marker())
        shape = style.get_path().transformed(style.get_transform()).get_extents()
        size, edge = line.get_markersize() * dots, line.get_markeredgewidth() * dots / 2
        for x, y in line.get_transform().transform(line.get_xydata()):
            corners = [(x + shape.x0 * size - edge, y + shape.y0 * size - edge)]
            corners += [(x + shape.x1 * size + edge, y + shape.y1 * size + edge)]
            yield f"{line.get_marker()} of {line.get_color()}", Bbox(corners)
    for points in axes.collections:
        sizes = getattr(points, "get_sizes", list)()
        if len(sizes) and len(points.get_offsets()) == len(sizes):
            places = axes.transData.transform(points.get_offsets())
            for (x, y), area in zip(places, sizes, strict=True):
                half = area**0.5 / 2 * dots
                yield "point", Bbox([(x - half, y - half), (x + half, y + half)])
    for bar in (bar for bars in axes.containers for bar in bars):
        if bar.get_width():
            yield "bar", bar.get_window_extent()


def check(figure: Figure) -> None:
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    boxes = [box for axes in shown for box in (*texts_of(axes), *marks_of(axes))]
    for legend in figure.legends:
        boxes += [(text.get_text(), text.get_window_extent()) for text in legend.get_texts()]
    if figure._suptitle is not None:
        boxes.append((figure._suptitle.get_text(), figure._suptitle.get_window_extent()))
    assert boxes
    paper = figure.bbox
    for name, box in boxes:
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < paper.x1 + 1 and box.y1 < paper.y1 + 1
        assert inside, f"cut off: {name!r}"
    for (name, one), (other_name, two) in combinations(boxes, 2):
        across = min(one.x1, two.x1) - max(one.x0, two.x0)
        down = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert min(across, down) < 1, f"{name!r} and {other_name!r} overlap"  # of a dot


@st.composite
def measured(draw: st.DrawFn) -> dict[str, object]:
    names = st.text("abcdefghij_ +", min_size=1, max_size=28).filter(lambda name: name.strip())
    scorers = draw(st.lists(names, min_size=1, max_size=11, unique=True))
    keep = draw(st.lists(st.sampled_from([0.05, 0.1, 0.2, 0.21, 0.5]), min_size=1, unique=True))
    return {
        "scorers": [name.strip() for name in scorers],
        "keep": keep,
        "tasks": draw(st.integers(1, 3)),
        "right": draw(st.lists(st.booleans(), min_size=5, max_size=40)),
        "kept": draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)),
        "seconds": draw(st.lists(st.sampled_from([0.0, 0.001, 0.25, 4.0, 900.0]), min_size=1)),
        "price": draw(st.sampled_from([0.0, 0.5, 5000.0])),
        "sessions": draw(st.integers(0, 2)),
        "model": draw(st.sampled_from(["tiny", "openai:" + "a-very-long-name-" * 6])),
    }


ALL_ALIKE = {
    "scorers": [f"scorer_{n}" for n in range(9)],
    "keep": [0.1, 0.2, 0.3],
    "tasks": 2,
    "right": [True],
    "kept": [0],
    "seconds": [0.0],
    "price": 0.0,
    "sessions": 1,
    "model": "tiny",
}


def log_of(found: dict, folder: Path):
    """A log of what was measured, and its cases."""
    cases = [
        case
        for task in range(found["tasks"])
        for case in cases_named(*(f"{task}-{n}" for n in range(4)), task=f"task {task}")
    ]
    number, records = 0, []
    for case in cases:
        for variant in ["full", *(f"{s}@{k}" for s in found["scorers"] for k in found["keep"])]:
            number += 1
            pick = lambda values: values[number % len(values)]  # noqa: B023, E731
            changes = {"reply": RIGHT if pick(found["right"]) else WRONG}
            if variant != "full":
                share = float(variant.rpartition("@")[2])
                changes["kept_tokens"] = round(100 * share) + pick(found["kept"])
                changes["draft_seconds"] = pick(found["seconds"])
            records.append(a_record(case, variant, **changes))
    sessions = [SESSION] * found["sessions"]
    path = write_log(folder / "ab.jsonl", records, sessions=sessions, model=found["model"])
    return read_logged_run(path), cases


@settings(max_examples=3)
@given(measured())
@example({**ALL_ALIKE, "right": [True, False, False, True, True], "kept": [0, 1, 2]})
@example(
    {
        **ALL_ALIKE,
        "scorers": ["a", "bbfaaiedjdj_cgd e+jg", "__chfd_g_eagc+hhafejfgj"],
        "keep": [0.2, 0.05, 0.5],
        "seconds": [0.001, 0.001],
        "price": 0.5,
        "model": "openai:" + "a-very-long-name-" * 6,
    }
)
def test_nothing_in_a_report_hides_anything(found: dict) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        figures = figures_saved(patch)
        run, cases = log_of(found, Path(folder))
        prices = Prices(input_per_million=2.5, draft_per_hour=found["price"])
        findings = judge(run, cases, margin=0.05, prices=GivenPrices(prices=prices, currency="$"))
        assert set(draw_pictures(findings, findings.scorers)) >= {"quality", "budget", "cost"}
        for figure in figures:
            check(figure)


@settings(max_examples=10)
@given(
    st.sampled_from([200, 1000, 4000, 1e6]),
    st.sampled_from([50, 900, 1000, 5000]),
    st.sampled_from([0.0, 0.05, 0.5, 30.0]),
    st.sampled_from([None, 10, 910, 100_000, 20_000_000]),
)
def test_nothing_beside_a_break_even_hides_anything(draft, target, overhead, longest) -> None:
    found = BreakEven.in_seconds(
        budget=Budget(keep_fraction=0.2, max_tokens=80_000),
        draft_tokens_per_second=draft,
        target_tokens_per_second=target,
        overhead_seconds=overhead,
    )
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        figures = figures_saved(patch)
        options = {} if longest is None else {"max_tokens": longest}
        draw_break_even(found, Path(folder) / "a.svg", **options)
        check(figures[0])


@st.composite
def groups(draw: st.DrawFn) -> list[tuple[float, int, int]]:
    found = draw(st.lists(st.floats(1e-4, 0.999), min_size=1, max_size=9, unique=True))
    sizes = draw(st.lists(st.integers(1, 5000), min_size=len(found), max_size=len(found)))
    needed = [draw(st.integers(0, size)) for size in sizes]
    return list(zip(sorted(found), needed, sizes, strict=True))


@settings(max_examples=5)
@given(st.lists(groups(), min_size=1, max_size=6))
@example([[(0.0001 * n, 0, 4000) for n in range(1, 9)]] * 5)
def test_nothing_in_a_reliability_diagram_hides_anything(kinds) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        figures = figures_saved(patch)
        bins = {f"kind_{number}": own for number, own in enumerate(kinds)}
        draw_reliability(bins, Path(folder) / "a.svg")
        check(figures[0])


def test_the_test_sees_what_it_should() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], marker="o", linestyle="")
    check(figure)
    axes.plot([1], [1], marker="s")
    with pytest.raises(AssertionError, match="overlap"):
        check(figure)
    figure = Figure()
    figure.add_subplot().annotate("words", (2, 0.5), xycoords="axes fraction")
    with pytest.raises(AssertionError, match="cut off"):
        check(figure)
