"""Laws of the search for gap markers: all that is written is found, at any depth, in any style."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, GapStyle, TextHint
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.splitting._marker_search import MarkerSearch
from specprefill_integrations.testing import KeywordScorer
from tests.laws.test_compressing_kinds import any_texts

REFERENCE = "3f9a0c1b2d4e"

STYLES = (
    None,
    GapStyle(),
    GapStyle(marker="<<{lines} cut>>", reference_note="(see {reference})"),
    GapStyle(marker="// omitted", mark_ends=False),
    GapStyle(marker="\u2026 {lines} \u2026", reference_note="#{reference}#"),
)
SPLITTERS = (
    SplitByKind(),
    SplitByKind(splitters={"json": JsonSplitter(omitted_key="left_out")}),
)

nests: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, "", "text", 7, True, b"[...]", ["rows[...]"], {"omitted": "no"}]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


@given(
    text=any_texts().filter(lambda text: "[..." not in text and "omitted" not in text),
    style=st.sampled_from(STYLES),
    splitter=st.sampled_from(SPLITTERS),
    budget=st.integers(5, 60),
)
def test_what_is_cut_is_found_with_its_reference(text, style, splitter, budget) -> None:
    compressor = ContextCompressor(KeywordScorer(), splitter=splitter, gaps=style, on_error="raise")
    search = MarkerSearch.of(compressor.splitter, compressor.gaps)
    assert search.find(text) is None
    result = compressor.compress(
        text, "apple", budget=Budget(max_tokens=budget), hint=TextHint(reference=REFERENCE)
    )
    if result.skipped_because or REFERENCE not in result.text:
        return  # nothing was cut, or the style marks no gap at the ends
    for value in (
        result.text,
        {"edits": [{"content": result.text}]},
        json.dumps([result.text], ensure_ascii=False),
    ):
        found = search.find(value)
        assert found is not None
        assert found.reference == REFERENCE


@given(
    before=nests, after=nests, depth=st.integers(0, 300), kind=st.sampled_from(["list", "mapping"])
)
def test_it_is_found_at_any_depth(before, after, depth, kind) -> None:
    assert MarkerSearch().find([before, after]) is None
    value: Any = f"a [...] [reference {REFERENCE}]"
    for _ in range(depth):
        value = [before, value, after] if kind == "list" else {"x": before, "y": value, "z": after}
    found = MarkerSearch().find(value)
    assert found is not None
    assert (found.marker, found.reference) == ("[...]", REFERENCE)
    assert found.path == ("[1]" * depth if kind == "list" else ".".join("y" * depth))


@pytest.mark.parametrize(
    "marked",
    [
        "It barked. [...] It slept.",
        "# [... 3 lines omitted ...]\nreturn 1",
        "<!-- [...] -->",
        "/* [... 1 line omitted ...] */",
        "Steps: [...] Stir.",
        "first\n[... lines 105-196 ...]\nlast",  # as the recall tool writes it
        '[{"id": 1}, {"omitted": 12}]',
        '{"id": 1, "__omitted": 3}',
        r'{"body": "{\"id\": 1, \"omitted\": 3}"}',
        "Door(id=1, omitted=3)",
        {"rows": [{"id": 1}, {"omitted": 12}]},
        '{"text": "[...] It slept."}',
    ],
)
def test_markers_of_all_kinds(marked) -> None:
    assert MarkerSearch().find(marked) is not None


@pytest.mark.parametrize(
    "code",
    [
        "rows[...] = 0",
        "rows[0][...]",
        "load()[...]",
        "rows = [...]",
        "f([...])",
        "Callable[..., int]",
        '{"rows": [...]}',
        "See [...](page.md).",
        "Wait... [sic]",
        "nothing was omitted: 3 of 3",
        f"[reference {REFERENCE}]",
        {"omitted": True, "b": {"omitted": "no"}},
    ],
)
def test_what_is_no_marker(code) -> None:
    assert MarkerSearch().find(code) is None


def test_a_value_that_contains_itself_ends() -> None:
    value: list[Any] = ["text"]
    value.append({"again": value})
    assert MarkerSearch().find(value) is None
    value.append("[...]")
    assert MarkerSearch().find(value) is not None


@pytest.mark.parametrize(
    "part", ["\\", "[", "[... ", "_", '"', " ", '"omitted": ', "[reference ", '"omitted": 1,']
)
def test_the_time_grows_with_the_length(part: str) -> None:
    search = MarkerSearch(gaps=GapStyle(marker="[[ {lines} ]]"))
    for text in (part * (1_000_000 // len(part)), "[...]" + part * (1_000_000 // len(part))):
        start = time.process_time()
        search.find(text)
        assert time.process_time() - start < 5
