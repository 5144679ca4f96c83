"""The base class of splitters: everything but the units has a default."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from specprefill_integrations import Budget, ContextCompressor, GapStyle, Span, TextHint
from specprefill_integrations.splitting import FunctionSplitter, Splitter, as_splitter
from specprefill_integrations.testing import KeywordScorer

TEXT = "one dog|two cats|three birds|four fish"


@dataclass(frozen=True)
class BarSplitter(Splitter[list[int]]):
    """Splits at bars; a plain subclass with the two methods that it must have."""

    def parse(self, text: str) -> list[int]:
        return [index for index, letter in enumerate(text) if letter == "|"]

    def units(self, text: str, parsed: list[int]) -> list[Span]:
        edges = [-1, *parsed, len(text)]
        return [Span(a + 1, b) for a, b in pairwise(edges) if a + 1 < b]


def test_two_methods_make_a_splitter() -> None:
    compressor = ContextCompressor(
        KeywordScorer(), splitter=BarSplitter(), gaps=GapStyle(marker=""), on_error="raise"
    )
    result = compressor.compress(TEXT, "two cats", budget=Budget(max_tokens=2))
    assert [TEXT[a:b] for a, b in result.kept] == ["two cats"]


def test_the_defaults() -> None:
    splitter = BarSplitter()
    found = splitter.split(TEXT)
    assert found.parts == TEXT.split("|")
    assert list(found.units) == splitter(TEXT)
    assert splitter.links(TEXT, found.units, found.parsed) == [()] * 4
    assert splitter.with_max_unit_chars(3) is splitter
    choice = splitter.for_text(TEXT, TextHint(kind="lines"))
    assert (choice.kind, choice.splitter, choice.gaps) == ("lines", splitter, GapStyle())
    assert splitter.render(TEXT, found.units[1:2], gaps=GapStyle(marker="~")) == "~ two cats ~"


def test_a_function_is_adapted_and_a_splitter_is_not() -> None:
    splitter = BarSplitter()
    assert as_splitter(splitter) is splitter
    adapted = as_splitter(splitter.__call__)
    assert isinstance(adapted, FunctionSplitter)
    assert adapted(TEXT) == splitter(TEXT)
    with pytest.raises(TypeError, match="splitter="):
        as_splitter("|")  # type: ignore[arg-type]


def test_units_that_cost_more_than_the_limit_are_cut_finer() -> None:
    words = " ".join(f"word{n}" for n in range(200))
    count = KeywordScorer().count_tokens
    found = BarSplitter().split(words)
    finer = BarSplitter().refine(found, [200], 60, count, GapStyle())
    assert len(finer.units) > 1
    assert max(count(finer.parts)) <= 60
    assert " ".join(finer.parts) == words
    assert BarSplitter().refine(found, [200], 200, count, GapStyle()) is found
