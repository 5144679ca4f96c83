"""What gap markers name is what a store keeps, and nothing is put that no marker may name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from specprefill_integrations.originals import InMemoryOriginals, reference_of
from specprefill_integrations.originals._promised_references import PromisedReferences

TEXTS = ["one text", "another text", "a third one"]


class Numbered(InMemoryOriginals):
    """Knows texts by numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def put(self, text: str) -> str | None:
        self.texts.append(text)
        return str(len(self.texts))

    async def aput(self, text: str) -> str | None:
        return self.put(text)


@pytest.fixture(params=["sync", "async"])
def put(request: pytest.FixtureRequest):
    def put(promised: PromisedReferences, cut: Iterable[int]) -> bool:
        if request.param == "sync":
            return promised.put(cut)
        return asyncio.run(promised.aput(cut))

    return put


def test_what_is_cut_is_put_and_nothing_else(put) -> None:
    store = InMemoryOriginals()
    promised = PromisedReferences(TEXTS, store)
    assert promised.named == tuple(map(reference_of, TEXTS))
    assert put(promised, [1])
    assert [store.get(reference_of(text)) for text in TEXTS] == [None, TEXTS[1], None]


def test_without_a_store_nothing_is_promised(put) -> None:
    promised = PromisedReferences(TEXTS, None)
    assert promised.named == (None, None, None)
    assert put(promised, [0, 1, 2])


def test_what_is_not_kept_is_named_no_more(put) -> None:
    promised = PromisedReferences([*TEXTS, "x" * 100], InMemoryOriginals(max_chars=50))
    assert not put(promised, [0, 3])
    assert promised.named[0] == reference_of(TEXTS[0])
    assert promised.named[3] is None
    assert put(promised, [0, 3])


def test_a_store_may_have_names_of_its_own(put) -> None:
    store = Numbered()
    promised = PromisedReferences(TEXTS, store)
    assert not put(promised, [2, 0])
    assert promised.named == ("2", reference_of(TEXTS[1]), "1")
    assert put(promised, [2, 0])
    assert store.texts == [TEXTS[2], TEXTS[0]]  # each once
    assert not put(promised, [0, 1])  # with other markers, another text is cut
    assert promised.named == ("2", "3", "1")
