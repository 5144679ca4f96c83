"""Which splitter a text gets."""

from __future__ import annotations

import json

import pytest

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._code._splitting import CodeSplitter
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.testing import KeywordScorer

RECORDS = json.dumps([{"id": n, "name": f"door {n}", "open": n % 2 == 0} for n in range(40)])
PAGE = "The ferry leaves at noon. Rain is common in autumn. " * 4


def test_what_is_told_is_not_doubted() -> None:
    assert SplitByKind().kind(PAGE, TextHint(kind="log", name="a.md")) == "log"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("page.html", PAGE, "prose"),
        ("page.html", f"<p>{PAGE}</p>", "html"),
        ("data.json", PAGE, "prose"),
        ("data.json", RECORDS, "json"),
        ("table.csv", PAGE.replace(",", ""), "prose"),
        ("table.csv", "a,b\n1,2\n3,4\n", "csv"),
        ("paper.pdf", PAGE, "prose"),
        ("notes.md", PAGE, "markdown"),
        ("shop.toml", "[shop]\nname = 1\n", "toml"),
        (None, RECORDS, "json"),
    ],
)
def test_a_name_is_doubted_where_the_text_looks_like_nothing_of_the_sort(
    name: str | None, text: str, kind: str
) -> None:
    assert SplitByKind().kind(text, TextHint(name=name)) == kind


def test_code_is_read_in_the_language_of_its_name() -> None:
    splitter = SplitByKind().splitter("x = 1\n", "code", "src/shop.rb")
    assert splitter == CodeSplitter(language="ruby")


def test_splitters_of_ones_own() -> None:
    silent = JsonSplitter(omitted_key=None)
    compressor = ContextCompressor(
        KeywordScorer(), splitter=SplitByKind(splitters={"json": silent}), on_error="raise"
    )
    kept = compressor.compress(RECORDS, "door 7", budget=Budget(keep_fraction=0.3))
    assert "omitted" not in kept.text
    assert all("open" in record or "id" in record for record in json.loads(kept.text))


def test_what_is_told_to_be_json_and_is_none_is_lines() -> None:
    assert SplitByKind().splitter("a: 1, b", "json") == LineSplitter()


def test_json_may_pass_through() -> None:
    compressor = ContextCompressor(
        KeywordScorer(), splitter=SplitByKind(json="pass_through"), on_error="raise"
    )
    budget = Budget(max_tokens=20)
    whole, page = compressor.compress_documents([RECORDS, PAGE], "ferry", budget=budget)
    assert (whole.text, whole.skipped_because) == (RECORDS, "kind_excluded")
    assert page.skipped_because is None
    assert page.kept_tokens <= 20
    assert compressor.skip_counts == {"kind_excluded": 1}


def test_json_that_is_nested_beyond_measure_stays_json() -> None:
    deep = "[" * 300 + "1" + "]" * 300
    text = json.dumps({"a": "x " * 50, "b": 1})[:-1] + f', "deep": {deep}}}'
    result = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "b", budget=Budget(max_tokens=40)
    )
    assert json.loads(result.text)["b"] == 1


def test_as_a_splitter_it_cuts_by_looks() -> None:
    assert len(SplitByKind()(RECORDS)) > 30
    assert SplitByKind(json="pass_through")(RECORDS) == [(0, len(RECORDS))]


class TestHints:
    def test_names_and_mime_types_of_loaders(self) -> None:
        hint = hint_from_metadata({"source": "docs/a.md", "page": 3, "mime_type": "text/markdown"})
        assert hint == TextHint(name="docs/a.md", mime_type="text/markdown")
        hint = hint_from_metadata({"file_name": "b.py", "file_path": "/x/c.txt", "source": None})
        assert hint == TextHint(name="b.py")

    def test_nothing_known(self) -> None:
        assert hint_from_metadata({"source": 3, "title": "a.py", "path": " "}) == TextHint()

    def test_as_many_hints_as_texts(self) -> None:
        with pytest.raises(ValueError, match="2 for 1"):
            ContextCompressor(KeywordScorer()).compress_documents(
                ["a"], budget=Budget(max_tokens=1), hints=[None, None]
            )
