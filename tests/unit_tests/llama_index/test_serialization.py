"""Options, copies, pickles and dictionaries of `SpecPrefillNodePostprocessor`."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from llama_index.core.bridge.pydantic import ValidationError
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor
from specprefill_integrations.testing import KeywordScorer

BUDGET = Budget(keep_fraction=0.25, max_tokens=800)


@pytest.fixture
def door(compressor) -> SpecPrefillNodePostprocessor:
    return SpecPrefillNodePostprocessor(compressor=compressor, budget=BUDGET)


def test_is_a_node_postprocessor_of_a_stable_name() -> None:
    assert issubclass(SpecPrefillNodePostprocessor, BaseNodePostprocessor)
    assert SpecPrefillNodePostprocessor.class_name() == "SpecPrefillNodePostprocessor"


def test_options_are_checked(compressor) -> None:
    with pytest.raises(ValidationError, match="compresor"):
        SpecPrefillNodePostprocessor(compresor=compressor, budget=BUDGET)
    with pytest.raises(ValidationError, match="budget"):
        SpecPrefillNodePostprocessor(compressor=compressor)
    with pytest.raises(ValidationError, match="keep_fraction must be in"):
        SpecPrefillNodePostprocessor(budget={"keep_fraction": 2})
    with pytest.raises(TypeError, match="positional"):
        SpecPrefillNodePostprocessor(compressor, BUDGET)


def test_a_dictionary_holds_the_budget_as_json(door) -> None:
    data = door.to_dict()
    assert data == {
        "budget": {
            "keep_fraction": 0.25,
            "max_tokens": 800,
            "attention_mass": None,
            "target_recall": None,
            "min_tokens": 64,
        },
        "compressor": "a compressor: pass compressor= to restore it",
        "class_name": "SpecPrefillNodePostprocessor",
    }
    assert json.loads(door.to_json()) == data


def test_a_dictionary_restores_no_other_compressor(door, compressor) -> None:
    with pytest.raises(ValidationError, match="pass compressor= to restore it"):
        SpecPrefillNodePostprocessor.from_json(door.to_json())
    given = SpecPrefillNodePostprocessor.from_dict(door.to_dict(), compressor=compressor)
    assert given.compressor is compressor
    shared = SpecPrefillNodePostprocessor(budget=BUDGET)
    restored = SpecPrefillNodePostprocessor.from_json(shared.to_json())
    assert (restored.budget, restored.compressor) == (BUDGET, None)


def test_a_pickle_holds_the_compressor(nodes, caplog) -> None:
    whole = SpecPrefillNodePostprocessor(
        compressor=ContextCompressor(KeywordScorer(), on_error="raise"), budget=BUDGET
    )
    restored = pickle.loads(pickle.dumps(whole))  # noqa: S301
    assert restored.budget == BUDGET
    assert restored.compressor.on_error == "raise"
    assert isinstance(restored.callback_manager, CallbackManager)
    before = whole.postprocess_nodes(nodes, query_str="dog")
    assert restored.postprocess_nodes(nodes, query_str="dog") == before
    assert not caplog.records


def test_a_compressor_that_cannot_be_pickled_is_never_swapped() -> None:
    unpicklable = ContextCompressor(KeywordScorer(), leave_whole=lambda *_: False)
    door = SpecPrefillNodePostprocessor(compressor=unpicklable, budget=BUDGET)
    with pytest.raises(TypeError, match="the compressor cannot be pickled"):
        pickle.dumps(door)
    assert door.compressor is unpicklable


def test_nothing_is_logged_where_nothing_is_lost(caplog) -> None:
    pickle.dumps(SpecPrefillNodePostprocessor(budget=BUDGET))
    assert not caplog.records


def test_copies_compress_alike(door, nodes) -> None:
    [first, second] = copy.deepcopy([door, door])
    assert first is second
    assert first is not door
    for copied in (first, copy.copy(door), door.model_copy(), door.model_copy(deep=True)):
        assert copied.budget == BUDGET
        assert copied.postprocess_nodes(nodes) == door.postprocess_nodes(nodes)
