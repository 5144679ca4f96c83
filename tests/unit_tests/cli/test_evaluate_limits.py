"""Questions that need little or much of a text, and what is measured of them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from specprefill_integrations import ContextCompressor
from specprefill_integrations.cli import build_app
from specprefill_integrations.evaluation._limits import (
    ASKS,
    LimitCase,
    limit_cases,
    measure_limits,
)
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Span
from tests.tiny_models import save_tiny_draft


def test_the_same_seed_makes_the_same_cases():
    assert limit_cases(2) == limit_cases(2)
    assert limit_cases(2) != limit_cases(2, seed=1)
    assert len({case.text for case in limit_cases(4)}) == 4 * len(ASKS)


@pytest.mark.parametrize("case", limit_cases(3), ids=lambda case: case.ask)
def test_what_is_needed_stands_in_the_text(case):
    parts = [case.text[span.start : span.end] for span in case.needed]
    assert all(parts)
    assert list(case.needed) == sorted(set(case.needed))
    if case.ask == "count":
        assert len(parts) == case.text.count("turned the ferry back")
    if case.ask == "comparison of all":
        assert len(parts) == case.text.count("stall took")
    if case.ask == "exact quotation":
        wanted = case.query.split('"')[1]
        assert f"## {wanted}\n\n{' '.join(parts)}" in case.text
    if case.ask == "code, edit":
        compile(case.text, "<case>", "exec")
        assert "\n".join(parts) in case.text


def test_shares_are_of_what_is_needed():
    text = "The dog barked. " + "Rain fell. " * 8 + "The dog slept. " + "Snow fell. " * 8
    needed = (Span(0, 15), Span(text.index("The dog slept."), text.index("The dog slept.") + 14))
    case = LimitCase(ask="count", query="dog", text=text, kind="prose", needed=needed)
    rain = LimitCase(ask="count", query="snow", text=text, kind="prose", needed=needed[:1])
    compressor = ContextCompressor(KeywordScorer(), leave_whole=None)
    less, more = measure_limits(compressor, [case, rain], [0.5, 1.0]).summaries
    assert (less.ask, less.keep_fraction, less.cases) == ("count", 0.5, 2)
    assert (less.kept_needed, less.complete) == (0.5, 0.5)
    assert less.kept_tokens_fraction <= 0.5
    assert (more.kept_needed, more.complete, more.kept_tokens_fraction) == (1, 1, 1)


def test_the_command(tmp_path):
    draft = str(save_tiny_draft(tmp_path))
    command = ["evaluate", "limits", "--draft", draft, "--cases=1", "--keep=.2"]
    found = {}
    for option in ([], ["--always-cut"]):
        result = CliRunner().invoke(build_app(), [*command, *option, "--json"])
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert report["always_cut"] is bool(option)
        found[bool(option)] = {one["ask"]: one for one in report["limits"]}
        assert list(found[bool(option)]) == list(ASKS)
    for ask in ("count", "exact quotation", "code, edit"):  # the product's default
        assert found[False][ask]["complete"] == found[False][ask]["kept_tokens_fraction"] == 1
        assert found[True][ask]["kept_tokens_fraction"] <= 0.2
    shown = CliRunner().invoke(build_app(), command)
    assert shown.exit_code == 0
    assert "exact quotation" in shown.stdout


def test_a_share_is_between_0_and_1():
    result = CliRunner().invoke(build_app(), ["evaluate", "limits", "--keep", "2"])
    assert result.exit_code == 2
