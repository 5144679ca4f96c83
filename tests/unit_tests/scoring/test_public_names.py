"""The public names of scoring and its readouts."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args

import pytest

from specprefill_integrations import scoring
from specprefill_integrations.scoring import readouts


def test_they_are_sorted():
    assert scoring.__all__ == sorted(scoring.__all__) == dir(scoring)
    assert readouts.__all__ == sorted(readouts.__all__)


@pytest.mark.parametrize("name", scoring.__all__)
def test_each_resolves_to_itself(name):
    found = getattr(scoring, name)
    assert getattr(found, "__name__", None) == name or "question" in get_args(found)


def test_no_other_name_does():
    with pytest.raises(AttributeError, match="'Scorer'"):
        _ = scoring.Scorer


def test_without_torch_the_error_holds_the_pip_line():
    asked = "import sys; sys.modules['torch'] = None; from {} import AttentionScorer"
    line = [sys.executable, "-c", asked.format(scoring.__name__)]
    found = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603
    assert found.returncode == 1
    assert re.search(r"'torch'.*integrations\[draft\]'", found.stderr.splitlines()[-1])
