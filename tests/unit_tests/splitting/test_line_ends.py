"""Only line feeds and carriage returns end the lines of file formats."""

import json
from collections.abc import Callable, Sequence

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.splitting import (
    CodeSplitter,
    DiffSplitter,
    JsonSplitter,
    LineSplitter,
    LogSplitter,
    SettingsSplitter,
    SplitByKind,
    TableSplitter,
)
from specprefill_integrations.splitting._lines import source_lines
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Span

NO_LINE_ENDS = ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
IN_JSON = ["\x85", "\u2028", "\u2029"]  # the others are escaped in a JSON string


@pytest.mark.parametrize("odd", IN_JSON)
class TestJsonLines:
    def records(self, odd: str) -> list[dict[str, object]]:
        return [{"id": number, "text": f"one{odd}two"} for number in range(40)]

    def text(self, odd: str) -> str:
        return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in self.records(odd))

    def test_records_stay_whole(self, odd: str) -> None:
        text = self.text(odd)
        assert SplitByKind().kind(text) == "jsonl"
        assert [json.loads(text[a:b]) for a, b in JsonSplitter()(text)] == self.records(odd)

    def test_what_is_kept_is_json_lines(self, odd: str) -> None:
        compressor = ContextCompressor(KeywordScorer(), on_error="raise")
        kept = compressor.compress(self.text(odd), "one two?", budget=Budget(keep_fraction=0.4))
        records = [json.loads(line) for line in kept.text.split("\n")]
        assert [r for r in records if "id" in r] != []
        assert all(r in self.records(odd) for r in records if "id" in r)


@pytest.mark.parametrize("odd", NO_LINE_ENDS)
class TestLines:
    def parts(self, splitter: Callable[[str], Sequence[Span]], text: str) -> list[str]:
        return [text[a:b] for a, b in splitter(text)]

    def test_a_row_of_a_table(self, odd: str) -> None:
        rows = ["id,name,note", f"1,a{odd}b,x", f'2,"c{odd}d",y', "3,e,z"]
        assert self.parts(TableSplitter(), "\n".join(rows)) == rows

    def test_an_entry_of_a_log(self, odd: str) -> None:
        entries = [f"2024-05-01 12:00:0{n} INFO page {n}{odd}2024-05-01 12:00" for n in range(5)]
        assert self.parts(LogSplitter(), "\n".join(entries)) == entries

    def test_a_line_of_output(self, odd: str) -> None:
        lines = [f"page {n}{odd}of 5" for n in range(5)]
        assert self.parts(LineSplitter(), "\r\n".join(lines)) == lines

    def test_a_hunk(self, odd: str) -> None:
        hunks = [f"@@ -{n} +{n} @@\n-old{odd}line\n+new{odd}+line" for n in range(1, 4)]
        assert self.parts(DiffSplitter(), "--- a\n+++ b\n" + "\n".join(hunks))[1:] == hunks

    def test_an_entry_of_a_settings_file(self, odd: str) -> None:
        entries = [f"name{n}: 'x{odd}name: y'" for n in range(5)]
        splitter = SettingsSplitter(form="yaml", max_unit_chars=30)
        assert self.parts(splitter, "\n".join(entries)) == entries

    def test_a_line_of_code(self, odd: str) -> None:
        lines = [f"first{n}  # comment{odd}second" for n in range(5)]
        splitter = CodeSplitter(language="zig", max_unit_chars=40)
        assert self.parts(splitter, "\n\n".join(lines)) == lines


def test_a_hunk_goes_on_after_a_carriage_return_within_a_line() -> None:
    hunks = ["@@ -1 +1,2 @@\n-50%\r100%\n+progress\n+bar", "@@ -9 +9 @@\n-x\n+y"]
    text = "--- a\n+++ b\n" + "\n".join(hunks)
    assert [text[a:b] for a, b in DiffSplitter()(text)][1:] == hunks


def test_a_hunk_of_more_lines_than_a_number_may_have_digits() -> None:
    text = "--- a\n+++ b\n@@ -1," + "9" * 5_000 + " +1 @@\n-x\n+y\n"
    assert [text[a:b] for a, b in DiffSplitter(max_unit_chars=10_000)(text)]


def test_carriage_returns_end_lines_unless_they_are_said_not_to() -> None:
    text = "a\rb\r\nc\u2028d\n"
    assert [text[a:b] for a, b in source_lines(text)] == ["a\r", "b\r\n", "c\u2028d\n"]
    lines = source_lines(text, ends_at_returns=False)
    assert [text[a:b] for a, b in lines] == ["a\rb\r\n", "c\u2028d\n"]
