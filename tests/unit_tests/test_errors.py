"""The exception tree."""

from __future__ import annotations

import copy
import inspect
import pickle

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


@pytest.mark.parametrize("error", TREE)
def test_each_can_be_pickled_and_copied(error: type[Exception]) -> None:
    """The worker of a pool sends its error home; one that does not arrive hangs the pool."""
    arguments = ("torch", "draft") if error is errors.MissingDependencyError else ("broken",)
    raised = error(*arguments)
    for copied in (pickle.loads(pickle.dumps(raised)), copy.deepcopy(raised)):  # noqa: S301
        assert type(copied) is error
        assert str(copied) == str(raised)
