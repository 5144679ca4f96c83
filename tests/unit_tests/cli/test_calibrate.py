"""`specprefill calibrate`: from a draft and questions to a profile that is found again."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from specprefill_integrations import calibration
from specprefill_integrations.cli._calibrate import app
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._profiles import ReadoutProfile
from tests.tiny_models import save_tiny_draft

KEEPS = ["0.05", "0.1", "0.2", "0.3"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*options, code=0):
    result = CliRunner().invoke(app, list(map(str, options)))
    assert result.exit_code == code, result.output
    return result


def pairs_file(tmp_path, count=12, name="lights.jsonl", **more):
    names = [
        "Ada",
        "Bela",
        "Cleo",
        "Dora",
        "Emil",
        "Fred",
        "Gina",
        "Hugo",
        "Ines",
        "Jack",
        "Kim",
        "Lou",
    ]
    documents = [
        {
            "title": "Keepers",
            "text": " ".join(f"Light {n} is kept by {name}." for n, name in enumerate(names)),
        }
    ]
    path = tmp_path / name
    lines = [
        {
            "id": str(n),
            "task": "lights",
            "query": f"Who keeps light {n}?",
            "documents": documents,
            "answers": [name],
            **more,
        }
        for n, name in enumerate(names[:count])
    ]
    lines.append(
        {"id": "x", "task": "lights", "query": "Who?", "documents": documents, "answers": ["Zoe"]}
    )
    data = "\n".join(map(json.dumps, lines)).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize(
    ("architecture", "probe"), [("qwen2", 8), ("qwen3", 0), ("deepseek_v3", 0)]
)
def test_any_draft_gets_a_profile(tmp_path, cache, architecture, probe):
    """From the probe alone, too; the users' own cases are shorter here."""
    place = save_tiny_draft(tmp_path / "draft", architecture)
    own = () if probe else ("--pairs", pairs_file(tmp_path))
    result = run("--draft", place, *own, "--probe", probe, "--compare", 2, "--json")
    found = json.loads(result.stdout)
    [path] = (cache / "profiles").glob("*.json")
    assert found["profile"] == str(path)
    assert [list(recall) for recall in found["recall"].values()] == [KEEPS] * 5
    profile = ReadoutProfile.load(path)
    names = ["recall", "by_kind", *([] if probe else ["target_recall"])]
    assert profile.measured == {name: found[name] for name in names}
    # Invented cases say nothing of real ones.
    assert (profile.score_calibration is None) == bool(probe)
    assert found["left_out"] == (0 if probe else 1)
    assert profile.fitted_on["cases"] == (probe or 12)
    assert profile.fitted_on["validation"] == found["validation"]
    assert profile.fitted_on["sources"] == (["self-made probe"] if probe else [])
    draft = DraftModel.from_source(place)
    assert draft.profile == profile
    assert AttentionScorer(draft).active_readout == profile.readout


def test_the_users_questions_and_their_source_are_in_the_profile(tmp_path):
    place = save_tiny_draft(tmp_path / "draft")
    output = tmp_path / "mine.json"
    result = run(
        *("--draft", place, "--pairs", pairs_file(tmp_path), "--source", "a lighthouse"),
        *("--probe", 0, "--compare", 0, "--output", output, "--window-tokens", 128),
    )
    profile = ReadoutProfile.load(output)
    assert profile.fitted_on == {
        "cases": 12,
        "kinds": {"lights": 12},
        "sources": ["a lighthouse"],
        "validation": "each of 4 parts with weights fitted to the other parts",
    }
    assert profile.readout.window_tokens == 128
    assert any(profile.readout.own_weights)
    assert profile.score_calibration is not None
    assert profile.score_calibration.cases == 12
    # Of the next case nothing is known: 12 of 13.
    assert len(profile.score_calibration.least_log_shares) == 184
    [covered] = re.findall(r"lights +(\d+)% +[\d.]+%", result.stdout)
    assert int(covered) == round(100 * profile.measured["target_recall"]["lights"]["coverage"])
    assert "readout, all cases" in result.stdout
    assert "Left out 1 cases" in result.stdout
    assert str(output) in "".join(result.stdout.split())


def test_every_file_is_a_kind_and_kinds_weigh_the_same(tmp_path):
    place = save_tiny_draft(tmp_path / "draft")
    output = tmp_path / "mine.json"
    files = [
        pairs_file(tmp_path, 8, "a.jsonl"),
        pairs_file(tmp_path, 2, "b.jsonl.gz"),
        pairs_file(tmp_path, 3, "c.jsonl", evidence=["Light 0 is kept by Ada."]),
    ]
    pairs = [option for path in files for option in ("--pairs", path)]
    options = ("--draft", place, *pairs, "--probe", 0, "--compare", 3, "--output", output)
    found = json.loads(run(*options, "--json").stdout)
    profile = ReadoutProfile.load(output)
    assert profile.fitted_on["kinds"] == {"a": 8, "b": 2, "c": 3}
    assert profile.fitted_on["validation"] == "each kind with weights fitted to the other kinds"
    assert list(found["by_kind"]) == ["a", "b", "c"]
    for name, recall in found["recall"].items():  # three compared cases are one of each kind
        for keep, share in recall.items():
            of_kinds = [found["by_kind"][kind][name][keep] for kind in "abc"]
            assert share == pytest.approx(sum(of_kinds) / 3, abs=1e-4)
    shown = " ".join(run(*options, "--compare", 0).stdout.split())
    assert "mean over kinds" in shown
    [row] = re.findall(r"b \(2\) ([\d ]+\d) c", shown)
    shares = found["by_kind"]["b"]["readout, all cases"]
    assert row.split() == [f"{100 * shares[keep]:.0f}" for keep in KEEPS[1:]]


@pytest.mark.parametrize(("usable", "answers"), [(1, None), (0, ["Nobody"])])
def test_cases_that_are_too_few_are_not_calibrated_on(tmp_path, usable, answers):
    place = save_tiny_draft(tmp_path / "draft")
    picture, output = tmp_path / "reliability.svg", tmp_path / "mine.json"
    pairs = pairs_file(tmp_path, 1, **({"answers": answers} if answers else {}))
    options = ("--draft", place, "--pairs", pairs, "--probe", 8, "--compare", 0)
    result = run(*options, "--output", output, "--picture", picture)
    profile = ReadoutProfile.load(output)
    assert profile.fitted_on["cases"] == 8 + usable
    assert profile.score_calibration is None
    assert "target_recall" not in profile.measured
    assert "needs two or more cases of your own" in result.stdout
    assert "no picture" in result.stderr
    assert not picture.exists()


def test_a_file_named_like_a_kind_of_the_probe_is_a_kind_of_its_own(tmp_path):
    place = save_tiny_draft(tmp_path / "draft")
    output = tmp_path / "mine.json"
    pairs = pairs_file(tmp_path, 3, "facts.jsonl")
    options = ("--draft", place, "--pairs", pairs, "--probe", 8, "--compare", 0)
    run(*options, "--output", output)
    profile = ReadoutProfile.load(output)
    assert profile.fitted_on["kinds"].items() >= {"facts": 4, "facts (own)": 3}.items()
    assert profile.score_calibration.cases == 3
    assert list(profile.measured["target_recall"]) == ["facts (own)"]


def test_the_present_profile_is_the_prior(tmp_path, cache):
    place = save_tiny_draft(tmp_path / "draft")
    cases = ("--pairs", pairs_file(tmp_path), "--probe", 0, "--compare", 0)
    first = json.loads(run("--draft", place, *cases, "--json").stdout)
    assert list(first["recall"]) == ["readout, all cases"]
    output = tmp_path / "second.json"
    options = ("--draft", place, *cases, "--output", output, "--json")
    again = json.loads(run(*options).stdout)
    assert list(again["recall"]) == ["readout, all cases", "prior, all cases"]
    assert "the prior's own data are not held out" in again["validation"]
    before, second = ReadoutProfile.load(Path(first["profile"])), ReadoutProfile.load(output)
    expected = {name: before.fitted_on[name] for name in ("cases", "kinds", "sources")}
    assert second.fitted_on["prior"].items() >= expected.items()
    plain = json.loads(run(*options, "--no-prior").stdout)
    assert plain["recall"] == first["recall"]
    from_zero = ReadoutProfile.load(output)
    assert from_zero.readout == before.readout
    assert "prior" not in from_zero.fitted_on

    sizes = [np.abs(profile.readout.weights).sum() for profile in (before, second)]
    assert sizes[1] > sizes[0]  # it goes on in the same direction


def test_a_folder_to_share(tmp_path):
    place = save_tiny_draft(tmp_path / "owner" / "Tiny-1B")
    cases = ("--pairs", pairs_file(tmp_path), "--probe", 0, "--compare", 0)
    shared = tmp_path / "shared"
    options = ("--draft", place, *cases, "--output", shared, "--license", "cc-by-4.0", "--json")
    found = json.loads(run(*options).stdout)
    assert (found["draft"], found["profile"]) == ("Tiny-1B", str(shared))
    profile = ReadoutProfile.load(shared)
    assert profile.is_fitted_to(str(place))
    card = (shared / "README.md").read_text()
    assert "license: cc-by-4.0\n" in card
    assert "| lights | readout, all cases | " in card
    assert not any(str(tmp_path) in file.read_text() for file in shared.iterdir())


@pytest.mark.parametrize("output", [(), ("--output", "a.json")])
def test_a_license_needs_a_folder(output):
    result = run("--license", "mit", *output, code=2)
    assert "--license is for the model card of a folder" in result.output


def test_lookahead_that_does_not_pay_leaves_no_trace(tmp_path):
    """A random model gains nothing by generating."""
    place = save_tiny_draft(tmp_path / "draft")
    output = tmp_path / "mine.json"
    cases = ("--pairs", pairs_file(tmp_path), "--probe", 0, "--compare", 0)
    options = ("--draft", place, *cases, "--output", output)
    run(*options, "--window-tokens", 256, "--lookahead")
    tried = ReadoutProfile.load(output)
    run(*options, "--window-tokens", 256)
    plain = ReadoutProfile.load(output)
    assert (tried.readout.lookahead_tokens, plain.readout.lookahead_tokens) == (0, 0)
    assert tried.readout.heads == plain.readout.heads
    assert np.allclose(tried.readout.own_weights, plain.readout.own_weights, atol=1e-2)


@pytest.mark.parametrize(
    ("ours", "theirs", "rival"), [(0.9, 0.5, None), (0.5, 0.9, "bm25"), (0.5, 0.5, "bm25")]
)
def test_what_is_not_beaten_is_named(monkeypatch, tmp_path, ours, theirs, rival):
    compared = [("readout", ours), ("x", 0.1), ("bm25", theirs)]

    class Calibrated:
        """A readout whose recall is given."""

        recall: ClassVar = {"k": {"0.1": 0.7}}
        prior_recall: ClassVar = {"k": {"0.1": 0.95}}
        kinds: ClassVar = {"k": 48}
        units: ClassVar = [None] * 48
        validation = "others"
        coverage: ClassVar = {}

        def compare(self, _, count, *__):
            return [(name, {"k": {"0.1": share}}) for name, share in compared] if count else []

        def fit(self, *_):
            return SimpleNamespace(draft="draft", save=lambda *_, **__: None)

    monkeypatch.setattr(calibration, "read_for_calibration", lambda *_, **__: Calibrated())
    place = save_tiny_draft(tmp_path / "draft")
    named = re.search("more evidence than (.*?):", run("--draft", place).stdout)
    assert (named and named[1]) == rival
    assert "warning" not in run("--draft", place, "--compare", 0).stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--probe", 3], "too few"),
        (["--pairs", "missing.jsonl"], "missing.jsonl"),
    ],
)
def test_what_cannot_be_fitted_to_is_a_usage_error(tmp_path, options, words):
    place = save_tiny_draft(tmp_path / "draft")
    result = run("--draft", place, *options, code=2)
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_draft_that_is_not_there_is_named(tmp_path):
    result = run("--draft", tmp_path / "nowhere", "--probe", 8, code=2)
    assert "nowhere" in result.output
    assert "Traceback" not in result.output


def test_the_picture_shows_the_users_own_cases(tmp_path):
    pytest.importorskip("matplotlib")
    place = save_tiny_draft(tmp_path / "draft")
    path = tmp_path / "reliability.svg"
    options = ("--draft", place, "--pairs", pairs_file(tmp_path), "--probe", 8, "--compare", 0)
    run(*options, "--picture", path)
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text("utf-8"))
    assert "lights" in shown
    assert any(text.startswith("12 of ") for text in shown)
    assert not {"chat", "logs"} & set(shown)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--picture", "a.svg"), "give --pairs"),
        (("--picture", "a.txt", "--pairs", "x.jsonl"), "a .png or .svg file"),
        (("--picture", "no/such/a.svg", "--pairs", "x.jsonl"), "no such folder"),
    ],
)
def test_a_picture_that_cannot_be_made_is_refused_first(options, message):
    assert message in run(*options, code=2).stderr
