"""Where a fact of a program's output is kept, what names its record is kept: generated formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._output._splitting import OutputSplitter
from specprefill_integrations.testing import KeywordScorer

COMPRESSOR = ContextCompressor(KeywordScorer(), on_error="raise")

KEYS = ["Node", "State", "Door", "Room", "Floor", "Owner", "Color", "Height", "Weight"]
FACT = "zircon quartz 7741"


class Record(NamedTuple):
    """One of many alike."""

    number: int
    details: list[str]


Format = Callable[[list[Record]], str]


def blank_lines(blocks: list[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def commit(r: Record) -> str:
    head = f"commit {r.number:040x}\nAuthor: Ann{r.number} <a@b.c>\nDate:   Mon May 4 09:03:00 2026"
    return head + "\n\n" + "\n".join(f"    {line}" for line in r.details)


def lines_of(r: Record, form: str) -> str:
    return "\n".join(
        form.format(n=r.number, i=i, key=KEYS[i], line=line) for i, line in enumerate(r.details)
    )


def sections(title: str, line: str, between: str = "\n") -> Format:
    return lambda records: (
        between.join(f"{title.format(n=r.number)}\n{lines_of(r, line)}" for r in records) + "\n"
    )


# A format, and what names a record in it.
FORMATS: dict[str, tuple[Format, str]] = {
    "linter, indented below a path": (
        sections("/srv/web/src/part_{n}.ts", "  {i}:9  warning  {line}  rule", "\n\n"),
        "part_{n}.ts",
    ),
    "matches below a path": (sections("src/mod_{n}.py", "{i}7:    {line}", "\n\n"), "mod_{n}.py"),
    "a path with a colon": (
        sections("./lib/part_{n}:", "-rw-r--r-- 1 root root {i}7 {line}", "\n\n"),
        "part_{n}",
    ),
    "titles between marks": (sections("=== host-{n} ===", "{line}"), "host-{n}"),
    "titles between dashes": (sections("---- test_{n} stdout ----", "{line}", "\n\n"), "test_{n}"),
    "titles of `head`": (sections("==> log_{n}.txt <==", "{line}", "\n\n"), "log_{n}.txt"),
    "sections in brackets": (sections("[unit-{n}]", "{line}"), "unit-{n}"),
    "underlined titles": (sections("Room {n}\n-------", "{line}", "\n\n"), "Room {n}"),
    "tickets with indented bodies": (sections("TICKET-{n} open", "    {line}"), "TICKET-{n}"),
    "tickets, tabs": (sections("job {n} failed", "\t{line}"), "job {n}"),
    "keys, blank lines between": (
        sections("Name:   pod-{n}", "{key}:   {line}", "\n\n"),
        "pod-{n}",
    ),
    "keys, nothing between": (sections("Name:   pod-{n}", "{key}:   {line}"), "pod-{n}"),
    "words that repeat": (sections("door {n}", "{line}", "\n\n"), "door {n}"),
    "hashes": (sections("0a1b2c{n:04} by Ann", "{line}", "\n\n"), "0a1b2c{n:04}"),
    "a compiler's excerpts": (
        sections("m_{n}.c:4:3: warning: look here", "    {i} | {line}\n      |     ^~~~"),
        "m_{n}.c",
    ),
    "lines with a colon": (sections("Checks of door {n}:", "  {line}"), "door {n}"),
    "trees": (sections("part_{n}", "├── {line}"), "part_{n}"),
    "commits": (lambda rs: blank_lines([commit(r) for r in rs]), "commit {n:040x}"),
    "authors of commits": (lambda rs: blank_lines([commit(r) for r in rs]), "Ann{n} "),
    "search results": (
        lambda rs: blank_lines(
            [
                f"Title: Page\nURL: http://a.org/{r.number}\n"
                + lines_of(r, f"{{key}}: {{line}} {'x ' * 60}")
                for r in rs
            ]
        ),
        "a.org/{n}",
    ),
    "tables with a header": (
        lambda rs: blank_lines(
            [
                f"NAME{r.number}   AGE   STATE\n" + lines_of(r, "row-{i}   3d    {line}   -")
                for r in rs
            ]
        ),
        "NAME{n}",
    ),
    "tables of SQL": (
        lambda rs: blank_lines(
            [f" id | t{r.number}\n----+------\n" + lines_of(r, "  {i} | {line}") for r in rs]
        ),
        "t{n}",
    ),
    "captions above tables": (
        lambda rs: blank_lines(
            [
                f"Tab. {r.number}: doors of a floor\nNo    State\n----  -----\n"
                + lines_of(r, "{i}     {line}")
                for r in rs
            ]
        ),
        "Tab. {n}:",
    ),
    "captions apart from tables": (
        lambda rs: blank_lines(
            [
                f"Table {r.number}. Doors\n\n| No | State |\n+----+-------+\n"
                + lines_of(r, "| {i} | {line} |")
                for r in rs
            ]
        ),
        "Table {n}.",
    ),
}

WORDS = st.lists(
    st.sampled_from(
        [
            "open",
            "shut",
            "lamp",
            "paint",
            "hinge",
            "lock",
            "wood",
            "glass",
            "iron",
            "old",
            "new",
            "red",
        ]
    ),
    min_size=3,
    max_size=8,
).map(" ".join)


@st.composite
def records(draw: st.DrawFn) -> tuple[list[Record], int]:
    """Records, one of which holds the fact, and its number."""
    count = draw(st.integers(6, 14))
    found = [
        Record(number, draw(st.lists(WORDS, min_size=3, max_size=9)))
        for number in range(10, 10 + count)
    ]
    which = draw(st.integers(0, count - 1))
    details = found[which].details
    details[draw(st.integers(0, len(details) - 1))] = f"it is {FACT} here"
    return found, found[which].number


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=4)
@given(drawn=records(), limit=st.integers(130, 200))
def test_a_fact_is_kept_with_the_name_of_its_record(
    name: str, drawn: tuple[list[Record], int], limit: int
) -> None:
    write, named = FORMATS[name]
    found, number = drawn
    text = write(found)
    kept = COMPRESSOR.compress(text, f"Where is {FACT}?", budget=Budget(max_tokens=limit)).text
    if FACT in kept:
        assert named.format(n=number) in kept


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=4)
@given(drawn=records())
def test_output_is_no_prose_and_no_chat(name: str, drawn: tuple[list[Record], int]) -> None:
    if name in {"tickets with indented bodies", "trees"}:
        return  # too few signs in a text without any other
    assert SplitByKind().kind(FORMATS[name][0](drawn[0])) in {"lines", "log"}


@given(drawn=records(), name=st.sampled_from(sorted(FORMATS)))
def test_no_unit_is_a_rule_or_a_caret(drawn: tuple[list[Record], int], name: str) -> None:
    text = FORMATS[name][0](drawn[0])
    for start, end in OutputSplitter()(text):
        assert any(map(str.isalnum, text[start:end]))
