"""What gap markers name is what a store keeps, and nothing is put that no marker may name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from specprefill_integrations.originals import InMemoryOriginals, reference_of
from specprefill_integrations.originals._promised_references import PromisedReferences

TEXTS = ["one text", "another text", "a third one"]


class Forgetful(InMemoryOriginals):
    """Keeps less than it names."""

    def put(self, text: str) -> str | None:
        return None if len(text) > 50 else super().put(text)


class Numbered:
    """Knows texts by numbers, and not before they are put."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, text: str) -> str | None:
        self.texts.append(text)
        return str(len(self.texts))

    async def aput(self, text: str) -> str | None:
        return self.put(text)

    def get(self, reference: str) -> str | None:
        return self.texts[int(reference) - 1]

    async def aget(self, reference: str) -> str | None:
        return self.get(reference)


@pytest.fixture(params=["sync", "async"])
def way(request):
    return request.param


@pytest.fixture
def promise(way):
    def promise(promised: PromisedReferences) -> None:
        if way == "sync":
            promised.promise()
        else:
            asyncio.run(promised.apromise())

    return promise


@pytest.fixture
def put(way):
    def put(promised: PromisedReferences, cut: Iterable[int]) -> bool:
        if way == "sync":
            return promised.put(cut)
        return asyncio.run(promised.aput(cut))

    return put


def test_what_is_cut_is_put_and_nothing_else(promise, put) -> None:
    store = InMemoryOriginals()
    promised = PromisedReferences(TEXTS, store)
    promise(promised)
    assert promised.named == tuple(map(store.reference_of, TEXTS))
    assert put(promised, [1])
    assert list(map(store.get, promised.named)) == [None, TEXTS[1], None]


def test_without_a_store_nothing_is_promised(promise, put) -> None:
    promised = PromisedReferences(TEXTS, None)
    promise(promised)
    assert promised.named == (None, None, None)
    assert put(promised, [0, 1, 2])


def test_what_is_not_kept_is_named_no_more(promise, put) -> None:
    store = Forgetful(max_chars=500)
    promised = PromisedReferences([*TEXTS, "x" * 100], store)
    promise(promised)
    assert promised.named[3] is not None
    assert not put(promised, [0, 3])
    assert promised.named[0] == store.reference_of(TEXTS[0])
    assert promised.named[3] is None
    assert put(promised, [0, 3])


def test_a_store_may_have_names_of_its_own(promise, put) -> None:
    store = Numbered()
    promised = PromisedReferences(TEXTS, store)
    promise(promised)
    assert promised.named == tuple(map(reference_of, TEXTS))
    assert not put(promised, [2, 0])
    assert promised.named == ("2", reference_of(TEXTS[1]), "1")
    assert put(promised, [2, 0])
    assert store.texts == [TEXTS[2], TEXTS[0]]  # each once
    assert not put(promised, [0, 1])  # with other markers, another text is cut
    assert promised.named == ("2", "3", "1")
