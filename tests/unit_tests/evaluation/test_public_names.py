"""The evaluation library as a notebook sees it: its names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from specprefill_integrations import evaluation


def test_names_are_sorted_and_no_other_resolves() -> None:
    assert evaluation.__all__ == sorted(evaluation.__all__) == dir(evaluation)
    with pytest.raises(AttributeError, match="'measure'"):
        _ = evaluation.measure


@pytest.mark.parametrize("name", evaluation.__all__)
def test_each_resolves_to_itself(name: str) -> None:
    if name == "draw_break_even":
        pytest.importorskip("matplotlib")
    assert getattr(evaluation, name).__name__ == name


def test_importing_them_needs_no_draft_no_framework_and_no_command_line() -> None:
    names = [name for name in evaluation.__all__ if name != "draw_break_even"]
    forbidden = {"torch", "transformers", "typer", "rich", "langchain_core", "llama_index", "bm25s"}
    script = (
        f"import sys; from specprefill_integrations.evaluation import {', '.join(names)}\n"
        f"print(*({forbidden} & set(sys.modules)))"
    )
    found = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""
