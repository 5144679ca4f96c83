"""The report in a browser: nothing is cut off at the width of a phone, nor at that of a desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("matplotlib")

from specprefill_integrations.cli._evaluate_report import write_report
from tests.unit_tests.evaluation.report_doubles import (
    RIGHT,
    SESSION,
    WRONG,
    a_record,
    cases_named,
    write_data,
    write_log,
)

# Elements that reach beyond the window, or text beyond its box, where no scroll bar leads there.
CUT_OFF = """() => {
  const scrolls = (one) => ['auto', 'scroll'].includes(getComputedStyle(one).overflowX);
  const found = [];
  for (const one of document.querySelectorAll('body *')) {
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height || one.closest('thead')) continue;
    let inside = true;
    for (let up = one; up; up = up.parentElement) if (scrolls(up)) inside = false;
    const isOutside = box.right > innerWidth + 1 || box.left < -1;
    const isClipped = one.clientWidth && one.scrollWidth > one.clientWidth + 1;
    if (inside && (isOutside || isClipped)) found.push(one.outerHTML);
  }
  return found.map((one) => one.slice(0, 200));
}"""
SCROLLERS = """() => [...document.querySelectorAll('*')].filter((one) =>
  one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === 'auto'
).map((one) => one.tagName)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with long names, several tasks, prices, and answers that changed."""
    folder = tmp_path_factory.mktemp("report")
    scorers = ["readout", "sentence_embedding_optimizer", "a_name_without_any_space_in_it_" * 3]
    cases = [
        case
        for task in ("handbooks of lighthouses", "t")
        for case in cases_named(*(f"{task} {n}" for n in range(6)), task=task)
    ]
    variants = ["full", *(f"{scorer}@{keep}" for scorer in scorers for keep in (0.1, 0.2, 0.3))]
    records = [
        a_record(case, variant, reply=RIGHT if (n * m) % 3 else WRONG + " nobody" * 40)
        for n, case in enumerate(cases)
        for m, variant in enumerate(variants)
    ]
    log = write_log(folder / "ab.jsonl", records, sessions=[SESSION], model="openai:" + "x" * 90)
    data = write_data(folder / "data.jsonl", cases)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(write_report)
    given = [log, "--data", data, "--out", folder / "out", "--heat", 0, "--input-price", 2.5]
    result = CliRunner().invoke(app, [*map(str, given)])
    assert result.exit_code == 0, result.output
    return folder / "out" / "report.html"


@pytest.mark.parametrize(("width", "tags"), [(390, {"FIGURE"}), (1280, {"DIV"})])
def test_nothing_is_cut_off(browser: Any, report: Path, width: int, tags: set[str]) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CUT_OFF) == []
    assert (
        set(page.evaluate(SCROLLERS)) <= tags
    )  # on a phone, pictures may scroll, and tables do not
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    # A figure of a table stands after the name of its column, or below it.
    [label] = page.evaluate(
        "[getComputedStyle(document.querySelector('td[data-column=kept]'), '::before').content]"
    )
    assert ("kept" in label) == (width == 390)
    page.close()
