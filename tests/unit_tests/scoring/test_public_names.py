"""The public names of scoring and its readouts."""

from __future__ import annotations

import sys
from typing import get_args

import pytest

from specprefill_integrations import scoring
from specprefill_integrations.errors import MissingDependencyError
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


def test_without_torch_the_error_holds_the_pip_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "specprefill_integrations.scoring._attention_scorer")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"'torch'.*integrations\[draft\]'"):
        _ = scoring.AttentionScorer
