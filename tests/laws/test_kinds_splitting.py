"""Laws of cutting structured text, over documents of every kind, whole and damaged."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.splitting._chat import ChatSplitter
from specprefill_integrations.splitting._code._sql import SqlSplitter
from specprefill_integrations.splitting._detection import guess_kind
from specprefill_integrations.splitting._diffs import DiffSplitter
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.splitting._lines import (
    LineSplitter,
    source_lines,
    split_at_lines,
    without_blank_ends,
)
from specprefill_integrations.splitting._mail import MailSplitter
from specprefill_integrations.splitting._markdown import MarkdownSplitter
from specprefill_integrations.splitting._markup import MarkupSplitter
from specprefill_integrations.splitting._outline import OutlineSplitter
from specprefill_integrations.splitting._output._logs import LogSplitter
from specprefill_integrations.splitting._subtitles import SubtitleSplitter
from specprefill_integrations.splitting._tables import TableSplitter
from specprefill_integrations.splitting._xml_text import XmlSplitter
from specprefill_integrations.types import Span
from tests.laws.kinds import LINES, documents
from tests.laws.texts import assert_units, clusters, spans_in, texts, torn_clusters

SPLITTERS: dict[str, type[OutlineSplitter]] = {
    "log": LogSplitter,
    "chat": ChatSplitter,
    "diff": DiffSplitter,
    "table": TableSplitter,
    "markdown": MarkdownSplitter,
    "html": HtmlSplitter,
    "xml": XmlSplitter,
    "markup": MarkupSplitter,
    "sql": SqlSplitter,
    "play": ChatSplitter,
    "mail": MailSplitter,
    "subtitles": SubtitleSplitter,
}
kinds = pytest.mark.parametrize("kind", SPLITTERS)
limits = st.one_of(st.integers(1, 60), st.just(600))


def splitter_of(kind: str, most: int) -> OutlineSplitter:
    """The kind's splitter, every limit of which is `most`."""
    if kind == "markdown":
        code = LineSplitter(max_unit_chars=most) if most % 2 else None
        return MarkdownSplitter(
            max_unit_chars=most, max_item_chars=most, max_code_chars=most, code=code
        )
    return SPLITTERS[kind](max_unit_chars=most)


def assert_links(links: list[tuple[int, ...]], count: int) -> None:
    """They lead upwards, ascend, and hold all that those above need."""
    assert len(links) == count
    for index, above in enumerate(links):
        assert list(above) == sorted(set(above))
        assert all(0 <= i < index for i in above)
        assert all(set(links[i]) <= set(above) for i in above)


@kinds
@given(data=st.data(), most=limits)
def test_units_and_links_of_a_document(kind: str, data: st.DataObject, most: int) -> None:
    text = data.draw(documents(kind))
    splitter = splitter_of(kind, most)
    units = splitter(text)
    assert_units(text, units)
    assert torn_clusters(text, units) == []
    assert_links(splitter.links(text, units), len(units))
    for a, b in units:
        assert b - a <= most or len(clusters(text[a:b])) == 1


@kinds
@given(data=st.data())
def test_units_and_links_of_other_kinds_and_of_none(kind: str, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from(sorted(LINES)))
    text = data.draw(st.one_of(texts, documents(other)))
    splitter = SPLITTERS[kind]()
    units = splitter(text)
    assert_units(text, units)
    assert torn_clusters(text, units) == []
    assert_links(splitter.links(text, units), len(units))


@kinds
@given(data=st.data())
def test_units_that_were_cut_otherwise_are_linked_too(kind: str, data: st.DataObject) -> None:
    text = data.draw(documents(kind))
    units = data.draw(spans_in(text))
    assert_links(SPLITTERS[kind]().links(text, units), len(units))


@kinds
@pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n\t\u2028", "\ufeff", "x"])
def test_next_to_nothing(kind: str, text: str) -> None:
    splitter = SPLITTERS[kind]()
    units = splitter(text)
    assert [text[a:b] for a, b in units] == [text.strip()] * bool(text.strip())
    assert splitter.links(text, units) == [()] * len(units)


@kinds
def test_a_unit_has_at_least_one_character(kind: str) -> None:
    expected = "max_unit_chars must be a whole number of at least 1; got 0"
    with pytest.raises(ValueError, match=expected):
        SPLITTERS[kind](max_unit_chars=0)


class TestGuessing:
    @given(st.sampled_from(sorted(LINES)).flatmap(documents) | texts)
    def test_it_is_always_some_kind(self, text: str) -> None:
        assert guess_kind(text) == guess_kind(text, "no-name", "application/octet-stream")

    @given(texts)
    def test_a_name_wins(self, text: str) -> None:
        assert guess_kind(text, "a/b.CSV", "text/html") == "csv"
        assert guess_kind(text, "b", "text/html; charset=utf-8") == "html"


class TestLines:
    @given(texts)
    def test_source_lines_are_those_of_a_file(self, text: str) -> None:
        lines = [text[a:b] for a, b in source_lines(text)]
        assert "".join(lines) == text
        assert lines == list(io.StringIO(text, newline=""))

    @given(texts)
    def test_without_blank_ends(self, text: str) -> None:
        start, end = without_blank_ends(text, Span(0, len(text)))
        kept = text[start:end]
        assert kept.strip() == text.strip()
        assert kept == kept.rstrip()
        assert not kept or start == 0 or text[start - 1] in "\r\n"
        assert not {"\r", "\n"} & set(kept[: len(kept) - len(kept.lstrip())])

    @given(texts, limits)
    def test_split_at_lines(self, text: str, most: int) -> None:
        pieces = split_at_lines(text, Span(0, len(text)), most)
        assert_units(text, pieces)
        assert torn_clusters(text, pieces) == []
        assert all(b - a <= most or len(clusters(text[a:b])) == 1 for a, b in pieces)


# Each could make a search start again and again.
GIANTS = {
    "log": ["a" * 200_000, "12:00:00 " * 20_000, "  at x\n" * 20_000, "goroutine 1 [x]\n" * 10_000],
    "chat": [
        "A: " * 60_000,
        "[12:00" * 30_000,
        "A: b\n" * 30_000,
        "-- " * 60_000,
        "1:00 " * 40_000,
    ],
    "diff": ["@@ -1 +1 @@\n" * 10_000, "--- a\n" * 30_000, "--- a\n+++ b\n" * 15_000],
    "table": [
        '"a,b\n' * 8_000,
        '"' * 200_000,
        "a,b\n" * 20_000,
        "|-" * 100_000,
        " " * 99_000 + "-",
    ],
    "markdown": ["> " * 50_000, "- " * 50_000, "[a" * 50_000, "---\na\n" * 9_000, "```\n" * 20_001],
    "xml": [
        *("<a " * 60_000, '<a "' * 50_000, "<!--" * 50_000, "<a>" * 60_000, "<a>x" * 50_000),
        *(
            "</a>" * 50_000,
            "<a><b>" * 20_000 + "</a>" * 20_000,
            "<![CDATA[" * 30_000,
            "<!a [" * 30_000,
        ),
    ],
    "mail": [
        *(
            "From: a\n" * 30_000,
            "From: a\nTo: b\n\n" * 10_000,
            "> " * 60_000,
            "From a 1:00\n" * 20_000,
        ),
        *("a\n>b\n" * 30_000, "--b\n" * 40_000, "\n" * 90_000, "From: a\n\n" * 20_000),
    ],
    "subtitles": ["00:00:01,000 --> 00:00:02,000\n" * 9_000, "0:" * 90_000, "1\n" * 90_000],
    "markup": [
        *(
            "a\n=\n" * 30_000,
            "- a\n" * 30_000,
            ".. a\n" * 30_000,
            ".TP\n" * 30_000,
            "----\n" * 30_001,
        ),
        *(
            "\\begin{table}\n" * 9_000,
            "[a]\n" * 30_000,
            "a:\n" * 30_000,
            "@a{\n" * 30_000,
            "a\n" * 60_000,
        ),
    ],
    "sql": [
        *(
            "(" * 90_000,
            "'a" * 50_000,
            "(1,2)," * 20_000,
            ";" * 90_000,
            "/*" * 50_000,
            "$a$" * 30_000,
        ),
        *(
            "INSERT INTO t VALUES " * 9_000,
            "COPY t FROM stdin;\n" * 9_000,
            "CREATE TABLE t (a);\n" * 9_000,
        ),
    ],
    "play": ["ANN\na\n\n" * 9_000, "A " * 60_000, "ACT I\n" * 20_000, "A. b\n\n" * 20_000],
    "html": ["<a " * 60_000, '<a "' * 50_000, "<!--" * 50_000, "<p>" * 60_000, "<tr>" * 50_000],
}


@kinds
def test_giant_texts_are_split_like_any_other(kind: str) -> None:
    for text in GIANTS[kind]:
        units = SPLITTERS[kind]()(text)
        assert_units(text, units)
