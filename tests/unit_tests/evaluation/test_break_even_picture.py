"""The picture of a break-even: what it says, and that it is a file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from specprefill_integrations import Budget
from specprefill_integrations.observability import BreakEven
from specprefill_integrations.observability._prices import Prices

pytest.importorskip("matplotlib")

from specprefill_integrations.evaluation._report._break_even_picture import draw_break_even

FIFTH = Budget(keep_fraction=0.2, max_tokens=4000)


def seconds(draft: float = 4000.0, overhead: float = 0.4948) -> BreakEven:
    return BreakEven.in_seconds(
        budget=FIFTH,
        draft_tokens_per_second=draft,
        target_tokens_per_second=1000,
        overhead_seconds=overhead,
    )


def words(break_even: BreakEven, path: Path, **options: int) -> str:
    draw_break_even(break_even, path, **options)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text("utf-8"))
    return "\n".join(texts).replace("&#x27;", "'")


@pytest.fixture
def svg(tmp_path: Path) -> Path:
    return tmp_path / "picture.svg"


def test_it_says_what_it_shows(svg: Path) -> None:
    said = words(seconds(), svg)
    for expected in (
        "Time to first token",
        "break-even:",
        "Compression pays from 900 tokens on",
        "900 tokens",
        "without compression",
        "seconds to the first token",
        "compression keeps 20% of them, at most 4,000",
    ):
        assert expected in said


def test_money_is_called_money(svg: Path) -> None:
    prices = Prices(input_per_million=2.5, draft_per_hour=0.5)
    found = BreakEven.in_money(
        budget=FIFTH, prices=prices, draft_tokens_per_second=4000, overhead_seconds=9.0
    )
    said = words(found, svg)
    assert "Cost of a text" in said
    assert "in the currency of the prices" in said


@pytest.mark.parametrize(
    ("break_even", "options"),
    [(seconds(draft=1000.0), {}), (seconds(overhead=0.0), {}), (seconds(), {"max_tokens": 500})],
    ids=["never", "always", "beyond_the_picture"],
)
def test_no_crossing_is_marked_where_none_is_seen(break_even, options, svg: Path) -> None:
    said = words(break_even, svg, **options)
    assert "break-even:" not in said
    assert break_even.verdict in said


def test_the_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    for ending in ("svg", "png"):
        paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
        for path in paths:
            draw_break_even(seconds(), path)
        one, other = (path.read_bytes() for path in paths)
        assert one == other
    assert one.startswith(b"\x89PNG")


def test_without_matplotlib_the_error_holds_the_pip_line() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; "
        "import specprefill_integrations.evaluation._report._pictures"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert "pip install 'specprefill-integrations[report]'" in run.stderr
