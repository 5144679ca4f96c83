"""Options, copies, pickles and dictionaries of `SpecPrefillNodePostprocessor`."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest
from llama_index.core.bridge.pydantic import ValidationError
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from specprefill_integrations import Budget
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor

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
    with pytest.raises(ValidationError, match="keep_fraction is kept"):
        SpecPrefillNodePostprocessor(budget={"keep_fraction": 2})
    with pytest.raises(TypeError, match="positional"):
        SpecPrefillNodePostprocessor(compressor, BUDGET)


def test_a_dictionary_holds_the_budget_as_json(door) -> None:
    data = door.to_dict()
    assert data == {
        "budget": {"keep_fraction": 0.25, "max_tokens": 800, "attention_mass": None},
        "class_name": "SpecPrefillNodePostprocessor",
    }
    assert json.loads(door.to_json()) == data


def test_a_dictionary_restores_all_but_the_compressor(door, compressor) -> None:
    restored = SpecPrefillNodePostprocessor.from_json(door.to_json())
    assert (restored.budget, restored.compressor) == (BUDGET, None)
    given = SpecPrefillNodePostprocessor.from_dict(door.to_dict(), compressor=compressor)
    assert given.compressor is compressor


def test_a_pickle_restores_all_but_the_compressor(door, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        restored = pickle.loads(pickle.dumps(door))  # noqa: S301
    assert (restored.budget, restored.compressor) == (BUDGET, None)
    assert isinstance(restored.callback_manager, CallbackManager)
    assert [record.message for record in caplog.records] == [
        "Pickled without the compressor; the copy uses the shared default."
    ]


def test_a_pickled_door_still_works(door, compressor, nodes) -> None:
    before = door.postprocess_nodes(nodes, query_str="dog")
    pickle.dumps(door)
    assert door.compressor is compressor
    assert door.postprocess_nodes(nodes, query_str="dog") == before


def test_nothing_is_logged_where_nothing_is_lost(caplog) -> None:
    pickle.dumps(SpecPrefillNodePostprocessor(budget=BUDGET))
    assert not caplog.records


def test_copies_share_the_compressor(door, compressor, nodes) -> None:
    [first, second] = copy.deepcopy([door, door])
    assert first is second
    assert first is not door
    for copied in (first, copy.copy(door), door.model_copy(), door.model_copy(deep=True)):
        assert copied.compressor is compressor
        assert copied.budget == BUDGET
        assert copied.postprocess_nodes(nodes) == door.postprocess_nodes(nodes)
