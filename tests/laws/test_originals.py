"""Laws of originals: what is put comes back, no store outgrows its limit, recalls fit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from specprefill_integrations.originals import (
    InMemoryOriginals,
    OriginalStore,
    SqliteOriginals,
    reference_of,
)
from specprefill_integrations.originals._original_store import pack_text
from specprefill_integrations.originals._recall import answer_recall
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import as_token_counter, count_each
from tests.laws.texts import COUNTERS, texts

any_text = st.one_of(texts, st.text(st.characters(exclude_categories=[]), max_size=30))
"""With lone surrogates and NUL."""

few_files = settings(max_examples=25)


@contextmanager
def sqlite_originals(limit: int) -> Iterator[SqliteOriginals]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteOriginals(Path(folder, "originals.db"), max_bytes=limit)
        yield store
        store.close()


@contextmanager
def in_memory_originals(limit: int) -> Iterator[InMemoryOriginals]:
    yield InMemoryOriginals(max_chars=limit)


STORES = {
    # How to make one, and what a text takes of its limit.
    "memory": (in_memory_originals, len),
    "sqlite": (sqlite_originals, lambda text: len(pack_text(text))),
}
stores = pytest.mark.parametrize(("opened", "size"), STORES.values(), ids=STORES)


class LeastRecentlyUsed:
    """What every store promises, in the plainest words."""

    def __init__(self, limit: int, size: Callable[[str], int]) -> None:
        self.limit, self.size = limit, size
        self.texts: list[str] = []

    def put(self, text: str) -> None:
        if self.size(text) <= self.limit:
            self.texts = [other for other in self.texts if other != text] + [text]
        while sum(map(self.size, self.texts)) > self.limit:
            self.texts.pop(0)

    def get(self, text: str) -> str | None:
        if text not in self.texts:
            return None
        self.texts.remove(text)
        self.texts.append(text)
        return text


class TestStores:
    @few_files
    @given(drawn=st.lists(any_text, max_size=5))
    @stores
    async def test_what_is_put_comes_back(self, opened, size, drawn: list[str]) -> None:
        with opened(1_000_000) as store:
            assert isinstance(store, OriginalStore)
            references = [store.put(text) for text in drawn]
            assert references == [store.reference_of(text) for text in drawn]
            assert references == [await store.areference_of(text) for text in drawn]
            assert references == [await store.aput(text) for text in drawn]
            assert [store.get(reference) for reference in references] == drawn
            assert [await store.aget(reference) for reference in references] == drawn

    @few_files
    @given(
        calls=st.lists(
            st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 5)), min_size=10, max_size=40
        ),
        limit=st.integers(10, 40),
    )
    @stores
    def test_the_longest_unused_go_where_room_runs_out(self, opened, size, calls, limit) -> None:
        drawn = ["abcdefghijklmnopqrstuvwxyz"[n : 2 * n + 3] for n in range(6)]
        expected = LeastRecentlyUsed(limit, size)
        with opened(limit) as store:
            for call, n in calls:
                if call == "put":
                    expected.put(drawn[n])
                    fits = size(drawn[n]) <= limit
                    assert store.put(drawn[n]) == (store.reference_of(drawn[n]) if fits else None)
                else:
                    reference = store.reference_of(drawn[n]) or ""
                    assert store.get(reference) == expected.get(drawn[n])
            kept = [text for text in drawn if store.get(store.reference_of(text) or "") is not None]
            assert sorted(kept) == sorted(expected.texts)
            assert sum(map(size, kept)) <= limit


@given(any_text, any_text, st.binary(max_size=40), st.binary(max_size=40))
def test_a_reference_says_which_text_it_is(
    one: str, other: str, key: bytes, another: bytes
) -> None:
    assert re.fullmatch("[0-9a-f]{12}", reference_of(one, key))
    assert (reference_of(one, key) == reference_of(other, key)) == (one == other)
    is_same = key.rstrip(b"\0") == another.rstrip(b"\0") and bool(key) == bool(another)
    assert (reference_of(one, key) == reference_of(one, another)) == is_same


@few_files
@given(drawn=st.lists(any_text, min_size=1, max_size=5, unique=True))
@stores
def test_no_one_computes_the_references_of_another_store(opened, size, drawn: list[str]) -> None:
    with opened(1_000_000) as store, opened(1_000_000) as other:
        references = {store.put(text) for text in drawn}
        guesses = {name(text) for text in drawn for name in (reference_of, other.reference_of)}
        assert not references & guesses
        assert [other.get(reference) for reference in references] == [None] * len(drawn)


# A recall's first line, what it names there, and the line between two parts of it.
FIRST_LINE = re.compile(r"\[(?P<names>.*?) of (?P<lines>\d+)[;\]].*\n")
NAME = re.compile(r"(part of )?lines? (\d+)(?:-(\d+))?")
GAP = re.compile(r"(?:\n|(?<=\r))\[\.\.\. (?:part of )?lines? \d+(?:-\d+)? \.\.\.\]\n")


def assert_verbatim(answer: str, text: str) -> None:
    """Every part of a recall stands in the source, in order, on the lines that it says."""
    lines = re.findall(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+", text)
    first_line = FIRST_LINE.match(answer)
    assert first_line is not None
    assert int(first_line["lines"]) == len(lines)
    names = NAME.findall(first_line["names"])
    parts = GAP.split(answer[first_line.end() :])
    assert len(names) == min(len(parts), 10)
    position = 0
    for part in parts:
        position = text.index(part, position) + len(part)
    for (is_incomplete, first, last), part in zip(names, parts, strict=False):
        named = "".join(lines[int(first) - 1 : int(last or first)])
        assert part in named if is_incomplete else named in {part, part + "\n"}


arounds = st.one_of(
    st.just(""),
    st.integers(0, 40).map(str),
    st.tuples(st.integers(1, 20), st.integers(1, 30)).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    st.sampled_from(["cat", "DR.  SMITH", "no. 7", "我们", "(", "\\", "0" * 70, "\x00", "\ud800"]),
)

long_texts = st.lists(texts, min_size=1, max_size=12).map("\n".join)


class TestRecall:
    @given(text=long_texts, around=arounds, max_tokens=st.integers(1, 200))
    @pytest.mark.parametrize("counter", COUNTERS)
    def test_it_fits_and_is_always_the_same(self, counter, text, around, max_tokens) -> None:
        count_tokens = as_token_counter(counter)
        answer, again = (
            answer_recall(
                reference_of(text), text, around, max_tokens=max_tokens, count_tokens=count_tokens
            )
            for _ in range(2)
        )
        [tokens] = count_each(count_tokens, [encodable(answer)])
        assert tokens <= max_tokens
        assert answer == again

    @given(text=long_texts, around=arounds, max_chars=st.integers(700, 1500))
    def test_what_is_shown_is_the_source(self, text, around, max_chars) -> None:
        answer = answer_recall(
            reference_of(text), text, around, max_tokens=max_chars, count_tokens=count_chars
        )
        if "is not in this original" in answer:
            assert around
            assert around.casefold() not in text.casefold()
        elif around or len(text) > max_chars:
            assert_verbatim(answer, text)
        else:
            assert answer == text

    @given(text=long_texts, number=st.integers(1, 300))
    def test_lines_that_fit_are_shown_whole(self, text, number) -> None:
        lines = text.splitlines(keepends=True)
        assume(text and not re.search(r"[^\r\n]{300}|[\v\f\x1c-\x1e\x85\u2028\u2029]", text))
        around = 1 + number % len(lines)
        answer = answer_recall(
            reference_of(text), text, str(around), max_tokens=700, count_tokens=count_chars
        )
        assert lines[around - 1] in answer


def count_chars(found: Sequence[str]) -> list[int]:
    return [len(text) for text in found]
