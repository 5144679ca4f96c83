"""What is kept of JSON is JSON: a pruned copy, every value as it was, and counts of the rest."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.splitting._json import _values as json_values
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.testing import KeywordScorer

KEYS = st.sampled_from(["id", "name", "omitted", "_omitted", "a", "b", "übel", 'qu"ote', "x.y"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["{", "]", "a,b", "\\", '"', "\ud800", "猫", "x" * 40]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
STYLES: Any = st.sampled_from(
    [{}, {"indent": 1}, {"separators": (",", ":")}, {"indent": "\t", "ensure_ascii": False}]
)
SPLITTERS = st.builds(
    JsonSplitter, max_unit_chars=st.integers(1, 60), omitted_key=st.sampled_from(["omitted", None])
)


def is_pruned(kept: Any, full: Any, marker: str | None) -> bool:
    """Whether `kept` is `full` with things left out; with a marker, each of them counted."""
    if isinstance(full, dict) and isinstance(kept, dict):
        counts = [key for key in kept if key not in full]
        left = sum(key not in kept for key in full)
        counted = not left if marker is None or not left else [kept[k] for k in counts] == [left]
        inside = all(is_pruned(kept[k], full[k], marker) for k in kept if k in full)
        return inside and (counted or (marker is None and not counts))
    if isinstance(full, list) and isinstance(kept, list):
        return is_pruned_list(kept, full, marker)
    if isinstance(full, str) and isinstance(kept, str) and marker is not None and kept != full:
        return "[...]" in kept and is_cut(kept, full)
    return type(kept) is type(full) and kept == full


def is_cut(kept: str, full: str) -> bool:
    """Whether `kept` is `full` with a marker in place of some of its parts."""
    parts = kept.split("[...]")
    return is_subsequence(map(without_blanks, parts), without_blanks(full))


def without_blanks(text: str) -> str:
    return "".join(text.split())


def is_subsequence(parts: Iterable[str], whole: str) -> bool:
    """Whether the parts stand in `whole`, one behind the other."""
    at = 0
    for part in parts:
        at = whole.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def is_pruned_list(kept: list[Any], full: list[Any], marker: str | None) -> bool:
    """The same of elements: a marker stands for as many as it says."""
    if not kept:
        return not full or marker is None
    first, rest = kept[0], kept[1:]
    if marker is None:
        return any(
            is_pruned(first, full[i], marker) and is_pruned_list(rest, full[i + 1 :], marker)
            for i in range(len(full))
        )
    if full and is_pruned(first, full[0], marker) and is_pruned_list(rest, full[1:], marker):
        return True
    missing = first.get(marker) if isinstance(first, dict) and len(first) == 1 else None
    if not isinstance(missing, int) or not 0 < missing <= len(full):
        return False
    return is_pruned_list(rest, full[missing:], marker)


@given(st.data(), VALUES, STYLES, SPLITTERS)
def test_any_choice_of_units_gives_json_with_every_kept_value_as_it_was(
    data: Any, value: Any, style: Any, splitter: JsonSplitter
) -> None:
    text = json.dumps(value, **style)
    units = splitter(text)
    chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(units))), min_size=1)))
    written = splitter.render(text, [units[i] for i in chosen])
    assert is_pruned(json.loads(written), value, splitter.omitted_key)
    for i in chosen:
        assert text[units[i].start : units[i].end] in written


@given(VALUES, STYLES, SPLITTERS)
def test_all_units_are_the_text_and_none_is_nothing(
    value: Any, style: Any, splitter: JsonSplitter
) -> None:
    text = json.dumps(value, **style)
    assert splitter.render(text, splitter(text)) == text
    assert not splitter.render(text, [])


@given(VALUES, STYLES, SPLITTERS)
def test_spans_and_links(value: Any, style: Any, splitter: JsonSplitter) -> None:
    text = json.dumps(value, **style)
    units = splitter(text)
    edges = [edge for unit in units for edge in unit]
    assert edges == sorted(edges)
    assert all(start < end for start, end in units)
    links = splitter.links(text, units)
    assert len(links) == len(units)
    for index, needs in enumerate(links):
        assert index not in needs
        assert all(set(links[i]) <= set(needs) for i in needs)


@given(st.data(), st.lists(VALUES, min_size=2, max_size=6), SPLITTERS)
def test_json_lines_stay_json_lines(data: Any, values: list[Any], splitter: JsonSplitter) -> None:
    records = [{"v": value} for value in values]
    text = "\n".join(map(json.dumps, records))
    units = splitter(text)
    chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(units))), min_size=1)))
    lines = splitter.render(text, [units[i] for i in chosen]).split("\n")
    assert is_pruned_list([json.loads(line) for line in lines], records, splitter.omitted_key)


@given(st.text(max_size=60) | VALUES.map(lambda value: json.dumps(value)[:-1]))
def test_what_is_no_json_is_lines(text: str) -> None:
    splitter = JsonSplitter()
    units = splitter(text)
    assert len(splitter.links(text, units)) == len(units)
    left = list(text)
    for start, end in units:
        left[start:end] = " " * (end - start)
    assert not "".join(left).strip() or units


def test_a_record_that_is_looked_into_says_which_it_is() -> None:
    text = json.dumps(
        {"user": {"id": 7, "name": "Ada", "notes": {"first": "x" * 50, "second": "y" * 50}}}
    )
    splitter = JsonSplitter(max_unit_chars=60)
    units = splitter(text)
    words = [text[start:end] for start, end in units]
    needs = dict(zip(words, splitter.links(text, units), strict=True))
    [second] = [word for word in words if "second" in word]
    assert [words[i] for i in needs[second]] == ['"id": 7', '"name": "Ada"']
    kept = splitter.render(text, [units[i] for i in (*needs[second], words.index(second))])
    assert json.loads(kept) == {
        "user": {"id": 7, "name": "Ada", "notes": {"second": "y" * 50, "omitted": 1}}
    }


def test_deep_and_broken_texts_are_lines() -> None:
    for text in ("[" * 150 + "]" * 150, "[" * 100_000, '{"a": 1,}', "{}\nno json", ""):
        units = JsonSplitter()(text)
        assert JsonSplitter().links(text, units) == [()] * len(units)


@given(VALUES, STYLES, SPLITTERS, st.integers(1, 60))
def test_a_compressed_text_is_json_within_its_budget(
    value: Any, style: Any, splitter: JsonSplitter, limit: int
) -> None:
    text = json.dumps(value, **style)
    compressor = ContextCompressor(KeywordScorer(), splitter=splitter, on_error="raise")
    result = compressor.compress(text, "name", budget=Budget(max_tokens=limit))
    assert result.kept_tokens <= limit
    if result.skipped_because is None and result.text:
        assert is_pruned(json.loads(result.text), value, splitter.omitted_key)


def test_a_text_too_long_to_be_remembered_is_not_parsed_each_time_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = json.dumps([{"id": n, "name": f"door {n}", "note": "open " * 9} for n in range(200)])
    parsed = mock.Mock(wraps=json_values._parsed_anew)
    monkeypatch.setattr(json_values, "_parsed_anew", parsed)
    monkeypatch.setattr(json_values, "_MEMO_CHARS", 0)
    result = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "door 17", budget=Budget(keep_fraction=0.2)
    )
    assert '"door 17"' in result.text
    assert parsed.call_count <= 3


def test_what_was_parsed_is_kept_up_to_a_limit_of_characters() -> None:
    text, longer = json.dumps(["a" * 1000]), json.dumps(["b" * json_values._MEMO_CHARS])
    parse = json_values._Memo().parsed
    first = parse(text)
    assert parse(text) is first
    assert parse("[1, 2]") is not parse("[1, 2]")
    assert parse(longer) is not parse(longer)
    assert parse(text) is first


SENTENCES = st.lists(
    st.sampled_from(
        [
            "Ada keeps the lighthouse.",
            'She said: "No!" and left.',
            "C:\\new\\table is a path.",
            "Two lines\nand\ta tab.",
            "猫が好きです。犬も好きです。",
            "A \U0001f600 smiles. ",
            "Half of one: \ud83d.",
            "\u00a0\u2028Odd\u3000blanks.\r\n\r\n",
            "no stop",
        ]
    ),
    min_size=1,
    max_size=12,
).map(" ".join)
TEXTS = st.one_of(SENTENCES, st.text(max_size=60))


@given(st.data(), st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3)), STYLES)
def test_any_choice_of_sentences_gives_json_in_which_they_stand(
    data: Any, value: Any, style: Any
) -> None:
    text = json.dumps({"page": value, "id": 7}, **style)
    most = data.draw(st.integers(1, 60))
    splitter = JsonSplitter(max_unit_chars=most, max_text_chars=most)
    units = splitter(text)
    assert splitter.render(text, units) == text
    assert all(a.end <= b.start for a, b in pairwise(units))
    chosen = [units[i] for i in sorted(data.draw(st.sets(st.sampled_from(range(len(units))))))]
    written = splitter.render(text, chosen, reference="a1b2")
    if not chosen:
        assert not written
        return
    kept = json.loads(written)
    assert kept.keys() <= {"page", "id", "omitted", "reference"}
    for unit in chosen:
        assert text[unit.start : unit.end] in written
    assert written.count("a1b2") == (chosen != units)
    if isinstance(value, str) and "page" in kept:
        assert is_cut(kept["page"].replace(" [reference a1b2]", ""), value)


FACT = "Ada keeps the lighthouse."
PAGE = f"{'The ferry leaves at noon, as always. ' * 60}{FACT} {'Fish is sold on Mondays. ' * 60}"


@pytest.mark.parametrize(
    "value", [{"url": "https://a.example", "page": PAGE}, {"page": PAGE}, [PAGE], {"a": [[PAGE]]}]
)
@pytest.mark.parametrize(
    "budget", [Budget(keep_fraction=0.1), Budget(keep_fraction=0.5), Budget(max_tokens=80)]
)
def test_of_a_text_that_is_more_than_all_that_may_be_kept_sentences_are(
    value: Any, budget: Budget
) -> None:
    text = json.dumps(value)
    found = ContextCompressor(KeywordScorer()).compress(
        text, "Who keeps the lighthouse?", budget=budget, hint=TextHint(reference="a1b2")
    )
    json.loads(found.text)
    limit = budget.token_limit(found.original_tokens)
    assert 0.8 * limit < found.kept_tokens <= limit
    assert FACT in found.text
    assert "[...] [reference a1b2]" in found.text
    assert "".join(text[start:end] for start, end in found.kept).count(FACT) == 1


def test_a_caller_may_want_no_text_cut() -> None:
    compressor = ContextCompressor(KeywordScorer(), splitter=JsonSplitter(cuts_long_texts=False))
    found = compressor.compress(
        json.dumps({"id": 7, "page": PAGE}), "Who keeps it?", budget=Budget(keep_fraction=0.5)
    )
    assert json.loads(found.text) == {"id": 7, "omitted": 1}


def test_a_short_text_is_kept_whole_or_not_at_all() -> None:
    pages = [f"{n}. {FACT} {'Fish is sold on Mondays. ' * 8}" for n in range(40)]
    found = ContextCompressor(KeywordScorer()).compress(
        json.dumps(pages), "Who keeps the lighthouse?", budget=Budget(keep_fraction=0.3)
    )
    kept = [page for page in json.loads(found.text) if isinstance(page, str)]
    assert kept
    assert set(kept) <= set(pages)


@pytest.mark.parametrize("keep", [0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_larger_budget_keeps_what_a_smaller_one_kept(keep: float, form: str) -> None:
    pages = [
        {
            "url": f"https://a{n}.example",
            "content": " ".join(f"Sentence {i} of page {n} is long." for i in range(40))
            + (f" {FACT}" if n == 3 else " The lighthouse is described elsewhere."),
        }
        for n in range(5)
    ]
    text = "\n".join(map(json.dumps, pages)) if form == "jsonl" else json.dumps({"results": pages})
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "Who keeps the lighthouse?", budget=Budget(keep_fraction=keep)
    )
    assert FACT in found.text
    assert "https://a3.example" in found.text


NESTED = st.recursive(
    VALUES,
    lambda inner: st.builds(lambda value: {"content": json.dumps(value)}, inner),
    max_leaves=3,
)


def without_inner(value: Any) -> Any:
    """A value with the JSON in its strings read."""
    if isinstance(value, dict):
        return {key: without_inner(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_inner(inner) for inner in value]
    if isinstance(value, str) and value[:1] in {"{", "["}:
        with contextlib.suppress(ValueError):
            return without_inner(json.loads(value))
    return value


@given(st.data(), NESTED, STYLES, st.integers(1, 60))
def test_json_in_a_string_is_pruned_as_json(data: Any, value: Any, style: Any, most: int) -> None:
    text = json.dumps({"isError": False, "text": json.dumps(value, **style)}, **style)
    splitter = JsonSplitter(max_unit_chars=most, max_text_chars=60)
    units = splitter(text)
    assert splitter.render(text, units) == text
    chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(units))), min_size=1)))
    kept = json.loads(splitter.render(text, [units[i] for i in chosen], reference="a1b2"))
    assert kept.keys() <= {"isError", "text", "omitted", "reference"}
    written = splitter.render(text, [units[i] for i in chosen])
    assert is_pruned(without_inner(json.loads(written)), without_inner(json.loads(text)), "omitted")


RECORDS = [{"id": n, "name": f"Item {n}", "hall": n % 7} for n in range(60)]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: {"content": [{"type": "text", "text": body}], "isError": False},
        lambda body: {"statusCode": 200, "body": json.dumps({"items": body})},
        lambda body: {"log": json.dumps({"message": json.dumps({"result": body})})},
        lambda body: {"stdout": body.replace("}, {", "}\n{")[1:-1], "exitCode": 0},
    ],
    ids=["MCP", "Lambda", "three deep", "JSON lines"],
)
@pytest.mark.parametrize("keep", [0.1, 0.3])
def test_a_record_in_a_string_is_kept_whole(wrap: Any, keep: float) -> None:
    text = json.dumps(wrap(json.dumps(RECORDS)))
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "Item 17 hall", budget=Budget(keep_fraction=keep)
    )
    kept = without_inner(json.loads(found.text))
    assert json.dumps(RECORDS[17]) in json.dumps(kept).replace("\\", "")


def test_the_ends_of_a_long_array_of_numbers_are_kept_with_a_count() -> None:
    rows = [{"id": n, "embedding": [n + i / 7 for i in range(500)]} for n in range(4)]
    rows[2]["temperature"] = [20.5] + [21] * 300 + [-3e2]
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        json.dumps(rows), "temperature", budget=Budget(max_tokens=150)
    )
    [record] = [row for row in json.loads(found.text) if "temperature" in row]
    assert record["id"] == 2
    assert record["temperature"] == [20.5, {"omitted": 300}, -300.0]


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ({"node_id": "MDQ6VX", "id": 7, "login": "ada", "email": None}, {"id", "login"}),
        ({"id": "", "uuid": "4-f", "title": "", "path": "/a"}, {"uuid", "path"}),
        ({"order_id": 1, "user_id": 2, "product_id": 3}, {"order_id"}),
        ({"title": "Harbor", "url": "https://a.example", "score": 0.5}, {"title", "url"}),
        ({"type": "push", "at": 3}, {"type"}),
        ({"metadata": {"source": "a.md", "page": None}, "at": 3}, {"metadata"}),
        ({"cell_type": "code", "id": "f7", "source": ["fit()\n", "plot()"]}, {"source"}),
        ({"cell_type": "code", "id": "f7", "source": ["fit(table, depth=6)\n"] * 9}, {"source"}),
    ],
)
def test_members_that_name_a_record(record: dict[str, Any], kept: set[str]) -> None:
    text = json.dumps([{**record, "text": "x " * 90 + FACT}] * 3)
    splitter = JsonSplitter(max_unit_chars=120)
    units = splitter(text)
    [index, *_] = [i for i, (a, b) in enumerate(units) if FACT in text[a:b]]
    needed = splitter.links(text, units)[index]
    [found, *_] = json.loads(splitter.render(text, [units[i] for i in needed]))
    assert found.keys() - {"omitted"} == kept


@pytest.mark.parametrize("levels", [9, 120, 450])
@pytest.mark.parametrize("limit", [20, 40, 64, 90])
def test_something_is_kept_if_any_unit_fits(levels: int, limit: int) -> None:
    value: Any = {"hit": "ferry noon", "more": "x " * 120, "records": RECORDS}
    for level in range(levels):
        value = {f"level_{level}": value, "other": "y " * 60}
    text = json.dumps({"deep": value, "status": "ok", "count": 4})
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    found = compressor.compress(text, "ferry noon", budget=Budget(max_tokens=limit))
    assert json.loads(found.text).keys() - {"omitted"}


@pytest.mark.parametrize(
    "said",
    ["QUJD" * 2000, f"{FACT} {'x' * 9000}"],
    ids=["encoded bytes", "encoded bytes in a text"],
)
def test_what_is_of_no_use_in_part_is_not_cut(said: str) -> None:
    text = json.dumps({"id": 7, "said": said})
    compressor = ContextCompressor(KeywordScorer(), count_tokens=lambda text: len(text) // 4)
    found = compressor.compress(text, "Who keeps the lighthouse?", budget=Budget(max_tokens=80))
    assert json.loads(found.text) == {"id": 7, "omitted": 1}


@pytest.mark.parametrize("write", [json.dumps, repr])
@pytest.mark.parametrize("key", ["code", "zip_code", "orderNumber"])
def test_an_id_that_is_asked_for_is_kept_with_the_name(
    write: Callable[[object], str], key: str
) -> None:
    rows = [
        {key: f"value{n}x", "note": "the harbor is calm and all lights were out", "name": f"n{n}x"}
        for n in range(24)
    ]
    compressor = ContextCompressor(KeywordScorer(), on_error="raise", leave_whole=None)
    kept = compressor.compress(write(rows), "value7x", budget=Budget(keep_fraction=0.15)).text
    assert "value7x" in kept
    for n in range(24):
        assert f"value{n}x" not in kept or f"n{n}x" in kept, kept


@pytest.mark.parametrize("key", ["capital", "code"])
def test_a_record_without_a_name_is_kept_with_its_first_text(key: str) -> None:
    rows = [
        {"country": f"n{n}x", "note": "the harbor is calm " * 3, key: f"value{n}x"}
        for n in range(24)
    ]
    compressor = ContextCompressor(KeywordScorer(), on_error="raise", leave_whole=None)
    for data in (rows, {"rows": rows}):
        text = json.dumps(data)
        kept = compressor.compress(text, "value7x", budget=Budget(keep_fraction=0.15)).text
        assert '"country": "n7x"' in kept
        assert f'"{key}": "value7x"' in kept


COLUMNS = ["harbor", "depth_m", "open_since", "note"]
ROWS = [[f"Port {n}", n * 7, 1900 + n, f"quay {n}"] for n in range(20)]
DICTS = [{"name": name, "type": "string"} for name in COLUMNS]

# A table as programs write it, and whether its columns stand in a member.
TABLES: dict[str, Any] = {
    "columns and rows": {"columns": COLUMNS, "rows": ROWS},
    "rows first": {"data": ROWS, "took_ms": 4, "columns": COLUMNS},
    "pandas": {"columns": COLUMNS, "index": list("abcdefghijklmnopqrst"), "data": ROWS},
    "a square one": {"index": list("wxyz"), "columns": COLUMNS, "data": ROWS[7:11]},
    "objects for columns": {"columns": DICTS, "rows": ROWS},
    "a schema": {
        "schema": {"fields": DICTS},
        "rows": [{"f": [{"v": cell} for cell in row]} for row in ROWS],
    },
    "series": {"results": [{"series": [{"name": "s", "columns": COLUMNS, "values": ROWS}]}]},
    "a header row": [COLUMNS, *ROWS],
    "a header row in a member": {"range": "A1:D21", "values": [COLUMNS, *ROWS]},
    "names in another language": {"titel": COLUMNS, "zeilen": ROWS},
    "numbers": {
        "columns": COLUMNS,
        "data": [[n, n * 7, 7741 if n == 7 else n, 3] for n in range(9)],
    },
}


@pytest.mark.parametrize("limit", [50, 90, 130, 200])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", TABLES)
def test_a_row_is_kept_with_the_names_of_its_columns(
    name: str, indent: int | None, limit: int
) -> None:
    text = json.dumps(TABLES[name], indent=indent)
    kept = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "Port 7 quay 49 1907 7741", budget=Budget(max_tokens=limit)
    )
    json.loads(kept.text)
    assert limit < 130 or any(fact in kept.text for fact in ('"Port 7"', "7741"))
    if '"Port ' in kept.text:
        assert '"harbor"' in kept.text
    if '"quay 7"' in kept.text:
        assert '"note"' in kept.text
    if re.search(r"\b49\b", kept.text):
        assert '"depth_m"' in kept.text


def test_a_cell_of_a_long_row_is_kept_with_the_first_one_and_both_columns() -> None:
    rows = [[f"Port {n}", f"The quay of port {n} is of stone. " * 9, n] for n in range(9)]
    text = json.dumps({"columns": ["harbor", "about", "rank"], "rows": rows})
    splitter = JsonSplitter(max_unit_chars=60)
    found = splitter.split(text)
    needs = splitter.links(text, found.units, found.parsed)
    parts = found.parts
    index = next(i for i, part in enumerate(parts) if "port 4 is" in part)
    assert {parts[i] for i in needs[index]} == {
        '"columns": ["harbor", "about", "rank"]',
        '"Port 4"',
    }


@pytest.mark.parametrize(
    "value",
    [
        {"tags": ["a", "b"], "points": [["x", "y"], ["z", "w"]]},
        {"columns": ["a", "b"], "rows": [[1, 2, 3], [4, 5, 6]]},
        {"columns": ["a", "b"], "rows": [[1, 2], [4, 5, 6]]},
        [["a", "b"], ["c", "d"], ["e", "f"]],
        [["a", "b"], [1, 2]],
        [["a", ""], [1, 2], [3, 4]],
    ],
)
def test_arrays_of_arrays_that_are_no_tables(value: Any) -> None:
    text = json.dumps(value)
    units = JsonSplitter(max_unit_chars=8)(text)
    assert not any(JsonSplitter(max_unit_chars=8).links(text, units))


@pytest.mark.parametrize("limit", range(25, 80, 5))
def test_where_no_row_fits_with_its_columns_something_else_is_kept(limit: int) -> None:
    text = json.dumps(TABLES["rows first"])
    result = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "Port 7 quay 49", budget=Budget(max_tokens=limit)
    )
    assert result.text
    assert result.kept_tokens <= limit
