"""Originals in a store of LangGraph."""

from __future__ import annotations

import json

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given, settings

from specprefill_integrations.errors import OriginalStoreError
from specprefill_integrations.langchain import StoreOriginals
from specprefill_integrations.originals import OriginalStore, reference_of
from tests.laws.texts import texts

memory = pytest.importorskip("langgraph.store.memory")

NAMESPACE = ("specprefill", "originals")


class ForgettingStore(memory.InMemoryStore):
    """Supports a time to live, and remembers what it was told of it."""

    supports_ttl = True

    def batch(self, ops):
        ops = list(ops)
        self.seen = [getattr(op, "ttl", getattr(op, "refresh_ttl", None)) for op in ops]
        return super().batch(ops)


class BrokenStore(memory.InMemoryStore):
    def batch(self, ops):
        raise ConnectionError

    async def abatch(self, ops):
        raise ConnectionError


@pytest.fixture
def store():
    return memory.InMemoryStore()


@given(text=texts)
@settings(max_examples=50)
async def test_what_is_put_comes_back(text: str) -> None:
    store = memory.InMemoryStore()
    originals = StoreOriginals(store)
    assert isinstance(originals, OriginalStore)
    reference = originals.put(text)
    assert reference == await originals.aput(text) == originals.reference_of(text)
    assert reference == await StoreOriginals(store).areference_of(text) != reference_of(text)
    assert originals.get(reference) == await originals.aget(reference) == text
    assert json.dumps(store.get(NAMESPACE, reference).value).isascii()


async def test_what_was_never_put_is_not_found(store) -> None:
    originals = StoreOriginals(store)
    assert originals.get("ffffffffffff") is None
    assert await originals.aget("ffffffffffff") is None


def test_tenants_do_not_see_each_other(store) -> None:
    reference = StoreOriginals(store, namespace=("a", "originals")).put("text")
    assert StoreOriginals(store, namespace=("a", "originals")).get(reference) == "text"
    assert StoreOriginals(store, namespace=("b", "originals")).get(reference) is None


async def test_a_text_that_is_too_long_is_refused(store) -> None:
    originals = StoreOriginals(store, max_text_chars=4)
    assert originals.put("text") == originals.reference_of("text") is not None
    assert originals.put("texts") is None
    assert originals.reference_of("texts") is await originals.areference_of("texts") is None
    assert await originals.aput("texts") is None
    assert len(store.search(NAMESPACE)) == 2  # with the key


async def test_a_text_grows_old_unless_it_is_put_again(store) -> None:
    now = [1000.0]
    originals = StoreOriginals(store, max_age_seconds=60, clock=lambda: now[0])
    reference = originals.put("text")
    now[0] += 59
    assert originals.get(reference) == "text"
    originals.put("text")
    now[0] += 59
    assert originals.get(reference) == "text"
    now[0] += 1
    assert originals.get(reference) is None
    assert await originals.aget(reference) is None


def test_a_store_that_can_forget_is_told_to() -> None:
    store = ForgettingStore()
    originals = StoreOriginals(store, max_age_seconds=90)
    reference = originals.put("text")
    assert store.seen == [1.5]  # minutes
    assert originals.get(reference) == "text"
    assert store.seen == [False]
    StoreOriginals(store).put("text")
    assert store.seen == [None]


async def test_a_store_that_fails_is_no_exception(caplog) -> None:
    originals = StoreOriginals(BrokenStore())
    assert originals.put("text") is None
    assert await originals.aput("text") is None
    assert originals.get("ffffffffffff") is None
    assert await originals.aget("ffffffffffff") is None
    assert originals.reference_of("text") is await originals.areference_of("text") is None
    assert caplog.text.count("could be read") == caplog.text.count("could be kept") == 1


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"packed": "", "put_at": 0},
        {"packed": 5, "put_at": 0},
        {"packed": "é", "put_at": 0, "key": "x"},
    ],
)
async def test_what_is_damaged_is_missing(store, caplog, damaged) -> None:
    originals = StoreOriginals(store)
    reference = originals.put("text")
    store.put(NAMESPACE, reference, damaged)
    assert originals.get(reference) is None
    assert await originals.aget(reference) is None
    assert caplog.text.count("could be read") == 1
    assert originals.put("text") == reference
    assert originals.get(reference) == "text"


async def test_the_event_loop_is_never_held_up(store) -> None:
    originals = StoreOriginals(store)
    with blockbuster_ctx():
        reference = await originals.aput("text")
        assert await originals.aget(reference) == "text"


@pytest.mark.parametrize("limits", [{"max_text_chars": 0}, {"max_age_seconds": -1}])
def test_limits_that_mean_nothing_are_refused(store, limits) -> None:
    with pytest.raises(OriginalStoreError, match="must be a number above 0"):
        StoreOriginals(store, **limits)
