"""What the folder exports, and what it says where LlamaIndex is missing."""

from __future__ import annotations

import subprocess
import sys

import specprefill_integrations.llama_index as doors


def _import_without(module: str) -> str:
    """The last line of standard error of an import that cannot find `module`."""
    code = (
        f"import sys; sys.modules[{module!r}] = None; import specprefill_integrations.llama_index"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return run.stderr.strip().splitlines()[-1]


def test_exports_are_these_and_sorted() -> None:
    assert "SpecPrefillNodePostprocessor" in doors.__all__
    assert doors.__all__ == sorted(doors.__all__)
    assert all(hasattr(doors, name) for name in doors.__all__)


def test_without_llama_index_the_error_holds_the_pip_line() -> None:
    for module in ("llama_index", "llama_index.core"):
        message = _import_without(module)
        assert "MissingDependencyError" in message
        assert "pip install 'specprefill-integrations[llama-index]'" in message


def test_a_broken_installation_does_not_look_like_a_missing_one() -> None:
    message = _import_without("pydantic")
    assert "pydantic" in message
    assert "pip install" not in message
