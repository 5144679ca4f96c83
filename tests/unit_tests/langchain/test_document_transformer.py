"""The laws of `SpecPrefillDocumentTransformer`."""

from __future__ import annotations

import copy
import threading

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.documents import BaseDocumentTransformer

from specprefill_integrations import Budget
from specprefill_integrations.langchain import (
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
)

HALF = Budget(keep_fraction=0.5)


def test_is_a_document_transformer(compressor) -> None:
    door = SpecPrefillDocumentTransformer(compressor=compressor, budget=HALF)
    assert isinstance(door, BaseDocumentTransformer)


@pytest.mark.parametrize(
    "questions",
    [
        ("the dog", None, "the dog"),
        ("the dog", "prices", "prices"),
        (None, "prices", "prices"),
        (None, None, None),
        ("the dog", "", None),
    ],
)
async def test_the_question_of_the_call_comes_first(
    compressor, scorer, documents, questions
) -> None:
    at_construction, at_call, asked = questions
    door = SpecPrefillDocumentTransformer(compressor=compressor, budget=HALF, query=at_construction)
    out = door.transform_documents(documents, query=at_call)
    assert await door.atransform_documents(documents, query=at_call) == out
    assert [query for query, _ in scorer.calls] == [asked, asked]
    expected = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
    assert out == expected.compress_documents(documents, asked)


async def test_a_misspelled_question_is_an_error(compressor, documents) -> None:
    door = SpecPrefillDocumentTransformer(compressor=compressor, budget=HALF)
    with pytest.raises(TypeError, match="qeury"):
        door.transform_documents(documents, qeury="dog")
    with pytest.raises(TypeError, match="qeury"):
        await door.atransform_documents(documents, qeury="dog")


def test_inputs_are_never_mutated(compressor, documents) -> None:
    before = copy.deepcopy(documents)
    SpecPrefillDocumentTransformer(compressor=compressor, budget=HALF).transform_documents(
        documents
    )
    assert documents == before


def test_a_budget_is_checked_at_construction(compressor) -> None:
    with pytest.raises(TypeError, match=r"budget must be a Budget; got 0\.5"):
        SpecPrefillDocumentTransformer(compressor=compressor, budget=0.5)
    with pytest.raises(TypeError, match="budget"):
        SpecPrefillDocumentTransformer(compressor=compressor)


async def test_no_blocking_call_on_the_loop(compressor, scorer, documents) -> None:
    scorer.seconds = 0.01
    door = SpecPrefillDocumentTransformer(compressor=compressor, budget=HALF)
    with blockbuster_ctx():
        assert await door.atransform_documents(documents)


async def test_the_shared_compressor_is_built_off_the_event_loop(
    monkeypatch, compressor, documents
) -> None:
    builders = []
    monkeypatch.setattr(
        "specprefill_integrations.langchain._document_compressor.shared_compressor",
        lambda: builders.append(threading.current_thread()) or compressor,
    )
    door = SpecPrefillDocumentTransformer(budget=HALF)
    assert not builders
    assert await door.atransform_documents(documents)
    assert [thread is threading.main_thread() for thread in builders] == [False]
