"""Laws of tool results of many texts: one budget, one reference, and every cut shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.splitting._blocks import BlockSplitter
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import (
    CompressedResult,
    ToolRequest,
    ToolResult,
    ToolResultCompressor,
)
from specprefill_integrations.tool_results._result import breaks_in
from tests.laws.test_compressing_kinds import any_texts, budgets
from tests.laws.texts import count_quarters, count_with_overhead, count_words

REFERENCE = re.compile(r'\[reference (\w+)\]|"reference": "(\w+)"')

few = settings(max_examples=50)

rows = st.integers(2, 80).flatmap(
    lambda n: st.lists(
        st.builds(
            lambda key, door: f'{{"id": {key}, "note": "door {door} is open"}}',
            st.integers(0, 999),
            st.sampled_from(["apple", "error", "x"]),
        ),
        min_size=n,
        max_size=n,
    )
)
many_texts = st.lists(any_texts(), min_size=2, max_size=8) | rows


def count_as_messages(text: str) -> int:
    """Each text costs three tokens more, as messages do for some models."""
    return len(text.split()) + 3 if text.strip() else 0


@dataclass(frozen=True)
class Result:
    """A result of many texts, and the settings that it is compressed with."""

    texts: list[str]
    settings: ToolResultCompressor
    store: InMemoryOriginals | None

    def compressed(self, *, is_async: bool = False, breaks: Sequence[int] = ()) -> CompressedResult:
        result = ToolResult(
            texts=self.texts,
            breaks=breaks,
            tool_name="list",
            find_request=lambda: ToolRequest(tool_name="list", user_message="Which error?"),
        )
        if is_async:
            return asyncio.run(self.settings.acompress(result))
        return self.settings.compress(result)

    def count(self, texts: Sequence[str | None]) -> int:
        compressor = self.settings.compressor
        assert compressor is not None
        shown = [encodable(text) for text in texts if text is not None]
        return sum(count_each(compressor.count_tokens, shown))


@st.composite
def results(draw: st.DrawFn) -> Result:
    store = draw(st.sampled_from([None, InMemoryOriginals()]))
    counter = draw(
        st.sampled_from([None, count_words, count_quarters, count_with_overhead, count_as_messages])
    )
    json = draw(st.sampled_from(["valid", "valid", "pass_through"]))
    compressor = ContextCompressor(
        KeywordScorer(),
        splitter=SplitByKind(json=json),
        count_tokens=counter,
        on_error="raise",
    )
    return Result(
        draw(many_texts),
        ToolResultCompressor(
            compressor=compressor,
            budget=draw(budgets | st.integers(60, 400).map(lambda n: Budget(max_tokens=n))),
            min_tokens=0,
            originals=store,
            metrics=CompressionMetrics(),
        ),
        store,
    )


def runs(shown: Sequence[str | None]) -> Iterator[int]:
    """Where texts that are left out begin, one place a run."""
    place = 0
    for is_left_out, run in groupby(shown, key=lambda text: text is None):
        if is_left_out:
            yield place
        place += len(list(run))


@few
@given(results())
def test_the_budget_is_that_of_the_whole_result(result: Result) -> None:
    done = result.compressed()
    outcome = done.outcome
    whole = result.count(result.texts)
    assert len(done.texts) == len(result.texts)
    if outcome.skipped_because:
        assert done.texts == tuple(result.texts)
        return
    assert (outcome.original_tokens, outcome.kept_tokens) == (whole, result.count(done.texts))
    assert result.count(done.texts) < whole
    # Texts that are not to be cut do not count against the budget.
    cut = [
        (text, shown)
        for text, shown in zip(result.texts, done.texts, strict=True)
        if shown != text or not SplitByKind().kind(text).startswith("json")
    ]
    most = result.settings.budget.token_limit(whole)
    assert result.count([shown for _, shown in cut]) <= most


@few
@given(results())
def test_one_reference_leads_to_the_whole_result(result: Result) -> None:
    done = result.compressed()
    if done.outcome.skipped_because:
        assert done.outcome.references == ()
        return
    shown = "\n".join(text for text in done.texts if text is not None)
    named = [one or other for one, other in REFERENCE.findall(shown)]
    assert list(done.outcome.references) == named[:1] == named
    if result.store is None:
        assert named == []
    else:
        [reference] = named
        filled = [text for text in result.texts if text.strip()]
        assert result.store.get(reference) == "\n".join(filled)


@few
@given(results())
def test_each_run_of_texts_left_out_has_a_marker_beside_it(result: Result) -> None:
    done = result.compressed()
    for place in runs(done.texts):
        assert place > 0, "a marker stands in place of the first"
    changed = [
        shown
        for text, shown in zip(result.texts, done.texts, strict=True)
        if shown is not None and shown.strip() != text.strip()
    ]
    assert done.outcome.skipped_because or changed
    assert all("..." in shown or "omitted" in shown for shown in changed)


@settings(max_examples=15)
@given(results())
def test_both_ways_give_the_same(result: Result) -> None:
    done, again = result.compressed(), result.compressed(is_async=True)
    assert again.texts == done.texts
    assert again.outcome.as_metadata() == done.outcome.as_metadata()


@few
@given(st.lists(any_texts().filter(str.strip), min_size=1, max_size=5), st.data())
def test_a_text_of_blocks_is_split_as_the_blocks_are(found: list[str], data: st.DataObject) -> None:
    kinds = SplitByKind()
    texts = [encodable(text) for text in found]
    choices = [kinds.for_text(text) for text in texts]
    splitter = BlockSplitter.of(texts, choices)
    split = splitter.split(splitter.text)
    own = [
        text[a:b]
        for text, choice in zip(texts, choices, strict=True)
        for a, b in (choice.splitter or kinds)(text)
    ]
    assert split.parts == own
    links = splitter.links(splitter.text, split.units, split.parsed)
    assert len(links) == len(own)
    assert all(index < len(own) for needs in links for index in needs)
    lists = splitter.lists(splitter.text, split.units, split.parsed)
    places = {place for group in lists for place in (group.lead, *group.members)}
    assert places <= set(range(len(own)))
    everything = splitter.joined(splitter.text, split.units)
    assert splitter.written(splitter.text, everything) == [
        choice.splitter.render(text, choice.splitter.joined(text, choice.splitter(text)))
        if choice.splitter and choice.splitter(text)
        else text
        for text, choice in zip(texts, choices, strict=True)
    ]
    places = data.draw(st.sets(st.integers(0, len(own) - 1), min_size=1)) if own else set()
    kept = splitter.joined(splitter.text, [split.units[place] for place in sorted(places)])
    written = splitter.written(splitter.text, kept, "0123456789ab")
    joined = "\n".join(part for part in written if part is not None)
    assert joined == splitter.render(splitter.text, kept, reference="0123456789ab") or not kept


@few
@given(results(), st.data())
def test_each_run_between_images_has_a_marker_beside_it(
    result: Result, data: st.DataObject
) -> None:
    breaks = data.draw(st.sets(st.integers(1, len(result.texts) - 1)))
    done = result.compressed(breaks=sorted(breaks))
    if done.outcome.skipped_because:
        return
    borders = [0, *sorted(breaks), len(result.texts)]
    for first, end in pairwise(borders):
        run = done.texts[first:end]
        if any(text is None for text in run):
            assert any("..." in text or "omitted" in text for text in run if text is not None)


@pytest.mark.parametrize(
    ("may_change", "breaks"),
    [
        ([], []),
        ([True, True], []),
        ([False, True, True], [0]),
        ([True, False, False, True, True, False, True, False], [1, 3]),
    ],
)
def test_breaks_are_texts_after_what_stays(may_change: list[bool], breaks: list[int]) -> None:
    assert breaks_in(may_change) == breaks


@pytest.mark.parametrize("max_tokens", [40, 120, 300])
@pytest.mark.parametrize("size", [2, 30, 150])
def test_many_texts_stay_within_the_budget(size: int, max_tokens: int) -> None:
    texts = [f"Door {n} is painted green and {'lost' if n == 1 else 'open'}." for n in range(size)]
    settings = ToolResultCompressor(
        compressor=ContextCompressor(KeywordScorer(), on_error="raise"),
        budget=Budget(max_tokens=max_tokens),
        min_tokens=0,
        query="Which door is lost?",
    )
    done = settings.compress(ToolResult(texts=texts, tool_name="look"))
    assert texts[1] in done.texts
    assert (done.outcome.kept_tokens or 0) <= max_tokens


def test_links_and_lists_stay_within_their_blocks() -> None:
    """Each block is a page with a title and a list, as it is alone."""
    page = "# Keys\n\nThe shed needs these keys:\n\n- the brass one\n- the long one\n"
    kinds = SplitByKind()
    choice = kinds.for_text(page)
    splitter = BlockSplitter.of([page, page], [choice, choice])
    split = splitter.split(splitter.text)
    assert choice.splitter is not None
    alone = choice.splitter.split(page)
    count = len(alone.units)
    links = choice.splitter.links(page, alone.units, alone.parsed)
    assert any(links)
    assert splitter.links(splitter.text, split.units, split.parsed) == [
        *links,
        *(tuple(count + index for index in needs) for needs in links),
    ]
    lists = choice.splitter.lists(page, alone.units, alone.parsed)
    assert lists
    assert splitter.lists(splitter.text, split.units, split.parsed) == [
        *lists,
        *((count + one.lead, tuple(count + index for index in one.members)) for one in lists),
    ]


def test_texts_of_a_line_each_are_of_the_kind_of_all_of_them() -> None:
    """A single line of a log does not look like one; its errors are protected all the same."""
    lines = [f"[{n}/90] Building part_{n} of the program" for n in range(90)]
    lines[40] = "part_39.c:14:3: error: unknown type name 'door_t'"
    settings = ToolResultCompressor(
        compressor=ContextCompressor(KeywordScorer(), on_error="raise"),
        budget=Budget(max_tokens=80),
        query="Is the program built?",
    )
    done = settings.compress(ToolResult(texts=lines, tool_name="build"))
    assert done.outcome.skipped_because is None
    assert lines[40] in done.texts
