"""`specprefill bench` runs, and measures what it says. No test here looks at a clock's verdict."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from specprefill_integrations.cli import build_app
from specprefill_integrations.evaluation.bench import documentation, measure_scoring
from specprefill_integrations.scoring.bench_passes import BenchPasses
from tests.tiny_models import tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    path = tmp_path_factory.mktemp("draft")
    tiny_model("llama").save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return str(path)


@pytest.mark.parametrize("scorer", ["readout", "specprefill"])
def test_the_figures_fit_together(draft, scorer):
    found = measure_scoring(tokens=1500, repeats=1, draft=draft, scorer=scorer)
    assert found.tokens == 1500
    assert found.ratio_to_forward == pytest.approx(found.score_seconds / found.forward_seconds)
    assert found.tokens_per_second == pytest.approx(1500 / found.score_seconds)
    assert found.peak_bytes_above_weights > 0
    assert (found.device, found.dtype) == ("cpu", "float32")


def test_all_passes_read_the_same_tokens(draft):
    passes = BenchPasses.prepare(
        documentation(9000),
        "What?",
        tokens=1200,
        draft=draft,
        scorer="readout",
        device=None,
        dtype=None,
        window_tokens=200,
    )
    assert passes.tokens == 1200
    assert sum(window.shape[1] for window in passes.windows) == 1200
    assert len(passes.windows) > len(passes.pieces) > 1
    pieces, windows = (
        [i for t in part for i in t[0].tolist()] for part in (passes.pieces, passes.windows)
    )
    assert pieces == windows


def test_the_command_prints_json(draft):
    arguments = ["bench", "--draft", draft, "--tokens", "400", "--repeats", "1", "--json"]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["tokens"] == 400


def test_documentation_is_as_long_as_asked_for():
    assert len(documentation(3_000_000)) == 3_000_000
    assert documentation(500) == documentation(1000)[:500]
