"""The exception tree."""

from __future__ import annotations

import inspect

import pytest

from specprefill_integrations import errors

TREE = [found for found in vars(errors).values() if inspect.isclass(found)]


@pytest.mark.parametrize("error", TREE)
def test_the_root_catches_all(error: type[Exception]) -> None:
    assert issubclass(error, errors.SpecPrefillError)


@pytest.mark.parametrize("error", TREE)
def test_the_drawing_shows_all(error: type[Exception]) -> None:
    assert error.__name__ in str(errors.__doc__)


def test_a_missing_dependency_says_how_to_install_it() -> None:
    error = errors.MissingDependencyError("torch", "draft")
    assert "pip install 'specprefill-integrations[draft]'" in str(error)
    assert isinstance(error, ImportError)
    assert error.name == "torch"
