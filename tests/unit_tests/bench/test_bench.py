"""`specprefill bench` runs, and measures what it says. No test here looks at a clock's verdict."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
from typer.testing import CliRunner

from specprefill_integrations import bench
from specprefill_integrations.bench import _host as host
from specprefill_integrations.bench import _scoring as scoring
from specprefill_integrations.bench._passes import BenchPasses
from specprefill_integrations.bench._sample_texts import SAMPLED_KINDS, documentation
from specprefill_integrations.bench._scoring import (
    measure_memory,
    measure_second_question,
    measure_times,
    prepare_passes,
)
from specprefill_integrations.cli import build_app
from specprefill_integrations.scoring._context_cache import ContextCache
from tests.tiny_models import save_tiny_draft


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    return str(save_tiny_draft(tmp_path_factory.mktemp("draft")))


@pytest.mark.parametrize("scorer", ["readout", "published"])
def test_the_figures_fit_together(draft, scorer):
    passes = prepare_passes(tokens=1500, draft=draft, scorer=scorer)
    assert passes.tokens == 1500
    assert measure_memory(passes).peak_bytes_above_weights > 0
    found = measure_times(passes, repeats=1)
    assert found.ratio_to_forward == pytest.approx(found.score_seconds / found.forward_seconds)
    assert found.tokens_per_second == pytest.approx(1500 / found.score_seconds)


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
        prefilter=None,
    )
    assert passes.tokens == 1200
    assert sum(window.shape[1] for window in passes.windows) == 1200
    assert len(passes.windows) > len(passes.pieces) > 1
    pieces, windows = (
        [i for t in part for i in t[0].tolist()] for part in (passes.pieces, passes.windows)
    )
    assert pieces == windows


def run(*options):
    result = CliRunner().invoke(build_app(), ["bench", *map(str, options), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_command_prints_json(draft):
    found = run("--draft", draft, "--tokens", 400, "--repeats", 1)
    assert (found["tokens"], found["device"], found["dtype"]) == (400, "cpu", "float32")
    assert found["score_seconds"] > 0


def test_memory_alone(draft):
    found = run("--draft", draft, "--tokens", 400, "--memory-only")
    assert "score_seconds" not in found
    assert found["peak_bytes_above_weights"] > 0


def test_a_second_question_does_not_read_the_text_again(draft):
    passes = prepare_passes(tokens=400, draft=draft)
    read = []
    passes.scorer.reading_draft.model.base_model.register_forward_pre_hook(
        lambda _, __, inputs: read.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    found = measure_second_question(passes, repeats=1)
    assert found.ratio_to_first == pytest.approx(
        found.second_question_seconds / found.first_question_seconds
    )
    assert found.largest_difference < 1e-4
    assert 2 * 400 <= sum(read) < 3 * 400  # without a cache, and by the first question
    measure_second_question(passes, repeats=1)
    assert sum(read) >= 4 * 400  # what was kept is gone


def test_other_scores_of_a_second_question_are_seen(draft, monkeypatch):
    passes = prepare_passes(tokens=400, draft=draft)
    rows = ContextCache.rows
    monkeypatch.setattr(
        ContextCache,
        "rows",
        lambda *asked: {layer: found.flip(-1) for layer, found in rows(*asked).items()},
    )
    assert measure_second_question(passes, repeats=1).largest_difference > 0.01


def test_the_command_measures_a_second_question(draft):
    found = run("--draft", draft, "--tokens", 400, "--second-question", "--repeats", 2)
    assert (found["tokens"], found["repeats"]) == (400, 2)
    assert found["ratio_to_first"] > 0
    assert found["largest_difference"] < 1e-4


def test_a_missing_draft_is_told_in_a_line(tmp_path):
    result = CliRunner().invoke(build_app(), ["bench", "--draft", str(tmp_path / "none")])
    assert (result.exit_code, "Traceback" in result.stderr) == (2, False)
    assert result.stderr.startswith("error: --draft: There is no draft model at ")


def test_an_unknown_scorer_is_refused(draft):
    result = CliRunner().invoke(build_app(), ["bench", "--draft", draft, "--scorer", "nobody"])
    assert result.exit_code == 2


def test_documentation_is_as_long_as_asked_for():
    assert len(documentation(3_000_000)) == 3_000_000
    assert documentation(500) == documentation(1000)[:500]


def test_the_command_measures_callers_and_splitting(draft):
    found = run("--draft", draft, "--concurrency", 2, "--repeats", 1)
    assert (found["callers"], found["calls"]) == (2, 4)
    assert found["throughput_to_one_caller"] > 0
    assert 0 < found["wait_p50_seconds"] <= found["wait_p99_seconds"]
    found = run("--draft", draft, "--concurrency", 2, "--deadline", 60, "--repeats", 1)
    assert (found["deadline_seconds"], found["deadline_misses"]) == (60, 0)


@pytest.mark.parametrize("is_sound", [True, False])
def test_the_command_fails_if_a_call_is_lost(monkeypatch, is_sound):
    found = replace(bench.measure_faults(calls=300), lost=0 if is_sound else 1)
    monkeypatch.setattr(bench, "measure_faults", lambda **_: found)
    result = CliRunner().invoke(build_app(), ["bench", "--faults", "300", "--json"])
    assert result.exit_code == (0 if is_sound else 1)
    assert json.loads(result.stdout)["calls"] == 300


def test_a_deadline_without_callers_is_refused():
    result = CliRunner().invoke(build_app(), ["bench", "--deadline", "3"])
    assert result.exit_code == 2
    assert "--concurrency" in result.stderr


def test_a_cold_start_is_told_in_both_clocks(monkeypatch):
    """Without new processes: what they take is given."""
    runs = iter([(6.0, 4.0), (7.0, 4.5), (5.0, 4.1), (9.0, 4.7), (5.5, 4.2), (6.0, 4.6)])
    monkeypatch.setattr(scoring, "_process_seconds", lambda code: next(runs))
    assert run("--cold-start", "--repeats", 3) == pytest.approx(
        {
            "imports_seconds": 5.5,
            "first_score_seconds": 7.0,
            "difference_seconds": 1.0,
            "imports_processor_seconds": 4.1,
            "first_score_processor_seconds": 4.6,
            "difference_processor_seconds": 0.5,
            "repeats": 3,
        }
    )


def test_processor_seconds_of_a_process_are_only_its_own():
    waiting, _ = scoring._process_seconds("import time; time.sleep(0.3)")
    _, working = scoring._process_seconds("import time\nwhile time.process_time() < 0.3: pass")
    assert waiting >= 0.3
    assert 0.2 < working < 30  # the system counts in ticks


def test_splitting_is_measured_kind_by_kind(draft, monkeypatch):
    monkeypatch.setattr(bench, "measure_splitting", partial(bench.measure_splitting, chars=3_000))
    found = run("--draft", draft, "--splitting", "--repeats", 1, "--tokens", 64)
    assert set(found["splitting"]) == set(SAMPLED_KINDS)
    for measured in found["splitting"].values():
        expected = measured["seconds_per_megabyte"] * found["tokens_per_second"] * 3.3 / 1e6
        assert measured["share_of_scoring"] == pytest.approx(expected)


def test_what_is_not_the_forward_pass_is_measured_without_weights(draft, tmp_path):
    folder = shutil.copytree(draft, tmp_path / "draft")
    (folder / "model.safetensors").unlink()
    found = run("--draft", folder, "--host", "--tokens", 2000, "--repeats", 1)
    assert set(found) == {"prose", "markdown", "json", "code", "log"}
    for measured in found.values():
        assert measured["tokens"] > 1000
        stages = [f"{stage}_seconds" for stage in ("count", "split", "score", "fit", "render")]
        total = sum(measured[stage] for stage in stages)
        assert measured["tokens_per_second"] == pytest.approx(measured["tokens"] / total)


def test_the_exponent_is_that_of_the_cost(draft, monkeypatch):
    """One second for the first text, four for one that is twice as long, and so on."""
    monkeypatch.setattr(host, "_measured", lambda _, __, chars, *___: (seconds_of(chars**2), chars))
    for result in bench.measure_host(tokens=1000, repeats=2, draft=draft, kinds=["log"]):
        assert (result.chars, result.tokens) == (4000, 4000)
        assert result.exponent == pytest.approx(2)
        assert result.tokens_per_second == pytest.approx(1 / 4000)


def test_each_run_of_the_host_reads_another_text(draft, monkeypatch):
    texts = []
    make = host.sample_text
    monkeypatch.setattr(host, "sample_text", lambda *args: texts.append(make(*args)) or texts[-1])
    bench.measure_host(tokens=1000, repeats=3, draft=draft, kinds=["json"])
    assert len(texts) == len(set(texts)) == 1 + 3 * 3


def seconds_of(total):
    return bench.HostSeconds(count=0, split=total / 2, score=total / 4, fit=total / 4, render=0)
