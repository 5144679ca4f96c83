"""Records in notations close to JSON are kept whole or with their own keys only."""

from __future__ import annotations

import ast
import dataclasses
import json
import pprint
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.testing import KeywordScorer

Record = dict[str, Any]


@dataclasses.dataclass
class Row:
    """Any record with these keys, for its `repr`."""

    id: str
    name: Any
    note: Any


class Model:
    """A record whose `str` has no brackets, as pydantic writes it."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __str__(self) -> str:
        return " ".join(f"{key}={value!r}" for key, value in self.record.items())

    def __repr__(self) -> str:
        return f"Model({', '.join(f'{key}={value!r}' for key, value in self.record.items())})"


def commented(records: Sequence[Record]) -> str:
    rows = [f"  // row {n}\n  {json.dumps(row)}, // end" for n, row in enumerate(records)]
    return "\n".join(("/* all */ [", *rows, "]"))


def trailing(records: Sequence[Record]) -> str:
    return re.sub(r"(?<![,\[{])\n *[\]}]", lambda m: "," + m[0], json.dumps(records, indent=1))


def with_a_bad_line(records: Sequence[Record]) -> str:
    rows = [*map(json.dumps, records)]
    return "\n".join((*rows[:-1], rows[-1][:-3], rows[-1]))


def single_quoted(records: Sequence[Record]) -> str:
    return json.dumps(records).replace("\\'", "").replace('"', "'")


def arrows(records: Sequence[Record]) -> str:
    rows = [", ".join(f"{json.dumps(k)}=>{json.dumps(v)}" for k, v in r.items()) for r in records]
    return f"[{', '.join(f'{{{row}}}' for row in rows)}]"


def angled(records: Sequence[Record]) -> str:
    rows = (" ".join(f"{key}={value!r}" for key, value in record.items()) for record in records)
    return f"[{', '.join(f'<Row {row}>' for row in rows)}]"


def inspected(records: Sequence[Record]) -> str:
    rows = (", ".join(f"{key}: {json.dumps(v)}" for key, v in r.items()) for r in records)
    return f"[{', '.join(f'#<Row {row}>' for row in rows)}]"


FORMS: dict[str, Callable[[Sequence[Record]], str]] = {
    "preface": lambda records: f"Found {len(records)} rows:\n{json.dumps(records)}",
    "preface on the line": lambda records: f"Result: {json.dumps(records)}",
    "preface, indented": lambda records: f"The rows:\n\n{json.dumps(records, indent=2)}\n",
    "fence": lambda records: f"```json\n{json.dumps(records)}\n```",
    "preface and fence": lambda records: f"These:\n\n```\n{json.dumps(records, indent=1)}\n```\n",
    "repr": repr,
    "pprint": pprint.pformat,
    "repr of dataclasses": lambda records: repr([Row(**record) for record in records]),
    "repr of models": lambda records: repr([*map(Model, records)]),
    "models": lambda records: "\n".join(str(Model(record)) for record in records),
    "repr lines": lambda records: "\n".join(map(repr, records)),
    "repr of a tuple in a dict": lambda records: repr({"rows": tuple(records), "count": 3}),
    "JSONP": lambda records: f"callback({json.dumps({'items': records})});",
    "assignment": lambda records: f"const rows = {json.dumps(records, indent=1)};\n",
    "one after the other": lambda records: "".join(map(json.dumps, records)),
    "one below the other": lambda records: "\n".join(json.dumps(r, indent=2) for r in records),
    "labels": lambda records: "\n\n".join(
        f"Result {n}:\n{json.dumps(record)}" for n, record in enumerate(records)
    ),
    "events": lambda records: "\n\n".join(f"data: {json.dumps(record)}" for record in records),
    "cut off": lambda records: json.dumps([*records, *records[:1]])[:-4],
    "comments": commented,
    "trailing commas": trailing,
    "bad line": with_a_bad_line,
    "single quotes": single_quoted,
    "arrows": arrows,
    "angle brackets": angled,
    "angle brackets, colons": inspected,
    "no number": lambda records: json.dumps([{**r, "x": float("nan")} for r in records]),
    "in a string": lambda records: json.dumps({"text": f"Found:\n{json.dumps(records)}"}),
    "repr in a string": lambda records: json.dumps({"result": repr(records)}),
}
WORDS = st.lists(
    st.sampled_from(
        ["ferry", "noon, and", "(pier)", "a [b", "it's", "x: y", "{z}", "end.", "-", "=>"]
    ),
    max_size=40,
).map(" ".join)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records whose values are unlike those of any other record or key."""
    count = draw(st.integers(3, 12))
    return [
        {
            "id": f"r{n}id",
            "name": draw(st.sampled_from([f"r{n}name", f"r{n}name of it", n])),
            "note": f"r{n}note {draw(WORDS)}",
        }
        for n in range(count)
    ]


def owners(written: str) -> list[tuple[str, str]]:
    """The record and key by which each value that is named after its own stands."""
    return re.findall(r"r(\d+)(id|name|note)\b", written)


def stands_by_its_key(written: str, start: int, key: str) -> bool:
    before = written[:start].rstrip("\\\"' ")
    return re.search(rf"\b{key}[\\\"' ]*(?::|=>?)$", before) is not None


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data(), rows=records(), most=st.integers(20, 400))
def test_a_kept_value_stands_beside_its_own_key(
    form: str, data: st.DataObject, rows: list[Record], most: int
) -> None:
    text = FORMS[form](rows)
    splitter = JsonSplitter(max_unit_chars=most, max_text_chars=max(60, most))
    found = splitter.split(text)
    assert splitter.render(text, found.units) == text
    index = data.draw(st.sampled_from(range(len(found.units))))
    links = splitter.links(text, found.units, found.parsed)
    chosen = sorted({index, *links[index]})
    written = splitter.render(text, [found.units[i] for i in chosen])
    for unit in (found.units[i] for i in chosen):
        assert text[unit.start : unit.end] in written
    for match in re.finditer(r"r\d+(id|name|note)\b", written):
        assert stands_by_its_key(written, match.start(), match[1])
    kept = owners(written)
    named = {record for record, key in kept if key in {"id", "name"}}
    assert {record for record, key in kept if key == "note"} <= named
    assert [record for record, _ in kept] == sorted((r for r, _ in kept), key=int)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", [0.1, 0.2, 0.4])
def test_the_record_that_is_asked_for_is_kept_with_its_name(form: str, keep: float) -> None:
    rows = [{"id": f"r{n}id", "name": f"Item {n}", "note": f"hall {n % 7}"} for n in range(60)]
    rows[17]["note"] = "The Borkum array degrades by 0.43 percent a year."
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        FORMS[form](rows),
        "How fast does the Borkum array degrade?",
        budget=Budget(keep_fraction=keep),
    )
    before, _, after = found.text.partition("0.43 percent")
    assert after
    assert re.findall(r"r(\d+)id", before)[-1] == "17"
    assert "omitted" in found.text


def test_of_the_output_of_repr_a_literal_is_left() -> None:
    rows = [{"id": n, "tags": ("a", n), "x": None} for n in range(90)]
    found = ContextCompressor(KeywordScorer()).compress(
        repr(rows), "id 17", budget=Budget(keep_fraction=0.1)
    )
    kept = ast.literal_eval(found.text)
    assert rows[17] in kept
    assert sum(row.get("omitted", 1) for row in kept) == len(rows)


def test_json_with_a_preface_stays_json_below_it() -> None:
    rows = [{"id": n, "name": f"Item {n}"} for n in range(90)]
    found = ContextCompressor(KeywordScorer()).compress(
        f"Found 90 rows:\n{json.dumps(rows)}", "Item 17", budget=Budget(keep_fraction=0.1)
    )
    preface, _, body = found.text.partition("\n")
    assert preface == "Found 90 rows:"
    assert rows[17] in json.loads(body)


def test_a_fence_stays_closed() -> None:
    text = FORMS["fence"]([{"id": n, "name": f"Item {n}"} for n in range(90)])
    found = ContextCompressor(KeywordScorer()).compress(
        text, "Item 17", budget=Budget(keep_fraction=0.1)
    )
    assert found.text.startswith("```json\n[")
    assert found.text.endswith("]\n```")


def test_a_long_preface_is_sentences() -> None:
    preface = " ".join(f"The search took {n + 300} seconds on a busy day." for n in range(20))
    rows = [{"id": n, "name": f"Item {n}"} for n in range(200)]
    found = ContextCompressor(KeywordScorer()).compress(
        f"{preface}\n{json.dumps(rows)}", "Item 17", budget=Budget(keep_fraction=0.1)
    )
    assert '"Item 17"' in found.text
    assert "seconds" not in found.text
    assert found.text.startswith("[...]\n[")


@pytest.mark.parametrize(
    "text",
    [
        "["
        + ", ".join(f"Row(id=r{n}id, note=The ferry, at {n}, is late)" for n in range(60))
        + "]",
        "[\n"
        + "".join(
            f"  {{\n    id: 'r{n}id',\n    tags: [Array],\n    note: 'It is late at {n}'\n  }},\n"
            for n in range(60)
        )
        + "  ... 40 more items\n]",
        "\n".join(f'Row {{ id: r{n}id, note: Some("It is late at {n}") }}' for n in range(60)),
        "{'rows': ["
        + ", ".join(f"{{'id': 'r{n}id', 'at': date(2024, 1, {n}), 'x': nan}}" for n in range(60))
        + "]}",
        "for(;;);"
        + json.dumps([{"id": f"r{n}id", "note": f"It is late at {n}"} for n in range(60)]),
        json.dumps([{"id": f"r{n}id", "note": f"late at {n}"} for n in range(60)])
        + "\n\n60 rows in set (0.01 sec)\n",
    ],
    ids=["no quotes", "Node.js", "Rust", "calls", "prefix", "below"],
)
def test_records_of_other_languages(text: str) -> None:
    assert SplitByKind().kind(text) == "json"
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "What is at 17?", budget=Budget(keep_fraction=0.1)
    )
    _, _, after = found.text.partition("r17id")
    assert re.search(r"\b17\b", after.partition("r1")[0])
    assert "omitted" in found.text


def test_a_log_in_a_string_is_split_into_entries() -> None:
    lines = [f"2026-11-28 10:00:{n:02} INFO pump-{n}: the valve is open" for n in range(60)]
    lines[17] = "2026-11-28 10:00:17 INFO pump-17: the Borkum valve broke after 43 days"
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        json.dumps({"stdout": "\n".join(lines), "exitCode": 0}),
        "When did the Borkum valve break?",
        budget=Budget(keep_fraction=0.1),
    )
    kept = json.loads(found.text)["stdout"].split("\n")
    assert lines[17] in kept
    assert set(kept) <= {*lines, "[...]"}


def test_bytes_are_split_at_their_lines() -> None:
    text = repr(
        "\n".join(f"2026-11-28 10:00:{n:02} INFO door {n} is open" for n in range(60)).encode()
    )
    units = SplitByKind()(text)
    assert len(units) == 60
    assert units[0].start == 0
    assert units[-1].end == len(text)
    assert all(text[start - 2 : start] == r"\n" for start, _ in units[1:])


@pytest.mark.parametrize(
    "text",
    [
        "def main(a):\n    print('x', [1, 2])\n    return {'a': a}\n" * 9,
        'int main() {\n  printf("%d", f(1));\n  return 0;\n}\n' * 9,
        "a { color: red; margin: 0 }\nb > c { color: blue; }\n" * 9,
        "The ferry (at noon) leaves [see below], and nobody came {again}. " * 9,
        '# Guide\n\nRead this, then run it:\n\n```json\n{"a": 1}\n```\n\nIt does all, too.\n',
        "2026-11-28 10:00:01 INFO {'id': 1, 'name': 'a'}\n" * 9,
        '[section]\nkey = "value"\nlist = ["a"]\n' * 9,
        "print('a')\nprint('b')\n" * 9,
        "[link](https://a.example) and [another](https://b.example)\n" * 9,
        "KEY='value'\nOTHER='x'\n" * 9,
        "INSERT INTO t VALUES (1, 'a');\nINSERT INTO t VALUES (2, 'b');\n" * 9,
    ],
)
def test_code_prose_and_logs_are_not_json(text: str) -> None:
    assert SplitByKind().kind(text) != "json"


def php_array(rows: Sequence[Record]) -> str:
    """The output of `print_r`."""
    items = "".join(
        f"    [{n}] => Array\n        (\n"
        + "".join(f"            [{key}] => {value}\n" for key, value in row.items())
        + "        )\n\n"
        for n, row in enumerate(rows)
    )
    return f"Array\n(\n{items})\n"


def php_dump(rows: Sequence[Record]) -> str:
    """The output of `var_dump`."""
    items = "".join(
        f"  [{n}]=>\n  array({len(row)}) {{\n"
        + "".join(
            f'    ["{key}"]=>\n    string({len(value)}) "{value}"\n' for key, value in row.items()
        )
        + "  }\n"
        for n, row in enumerate(rows)
    )
    return f"array({len(rows)}) {{\n{items}}}\n"


def go_struct(row: Record) -> str:
    return f"{{{' '.join(f'{key.title()}:{value}' for key, value in row.items())}}}"


DUMPS: dict[str, Callable[[Sequence[Record]], str]] = {
    "Go": lambda rows: f"[{' '.join(map(go_struct, rows))}]",
    "Go lines": lambda rows: "\n".join(map(go_struct, rows)),
    "Go pointers": lambda rows: "\n".join(f"&{go_struct(row)}" for row in rows),
    "Go map": lambda rows: f"map[{' '.join(f'k{n}:{go_struct(r)}' for n, r in enumerate(rows))}]",
    "print_r": php_array,
    "var_dump": php_dump,
}


@pytest.mark.parametrize("keep", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("form", DUMPS)
def test_a_printed_record_is_kept_with_its_name(form: str, keep: float) -> None:
    rows = [{"id": f"r{n}id", "name": f"Item {n}", "note": f"hall {n % 7}"} for n in range(40)]
    rows[17]["note"] = "borkum array 0.43 percent"
    text = DUMPS[form](rows)
    assert SplitByKind().kind(text) in {"json", "jsonl", "lines"}
    found = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "Which percent has the borkum array?", budget=Budget(keep_fraction=keep)
    )
    before, fact, _ = found.text.partition("0.43 percent")
    assert fact
    assert re.findall(r"r(\d+)id", before)[-1:] == ["17"]


@pytest.mark.parametrize("most", [20, 40, 80])
def test_a_value_of_a_dump_is_kept_with_the_line_of_its_key(most: int) -> None:
    text = php_dump([{"id": f"r{n}", "note": f"hall {n}"} for n in range(9)])
    splitter = SplitByKind().for_text(text).splitter
    assert splitter is not None
    found = splitter.with_max_unit_chars(most).split(text)
    links = found.splitter.links(text, found.units, found.parsed)
    for part, needs in zip(found.parts, links, strict=True):
        if "hall " in part:
            assert '["note"]=>' in part or any('["note"]=>' in found.parts[i] for i in needs)
