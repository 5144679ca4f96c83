"""The page: nothing of a text is lost or comes alive, and the shades and marks tell the truth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.heat_map._page import (
    VISIBLE,
    HeatMapDocument,
    HeatMapHeading,
    render_heat_map,
)
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Span

HEADING = HeatMapHeading(
    query="Who?", draft="a draft", scorer="readout", budget="20%", elapsed_seconds=1.5
)
NASTY = [
    "<script>alert('x')</script> & \"quoted\" &amp; </div></mark>",
    "\n\nleading and trailing\n",
    "NUL \x00 escape \x1b[31m bell \x07 delete \x7f next line \x85",
    "carriage\r\nreturn\ralone",
    "lone \udc80 surrogates \ud800",
    "tabs\tand   blanks \u00a0 \u2028 \u202e override",
    "emoji 👩‍👩‍👧 and 漢字、かな。",
    "{{ 7 * 7 }} {% if %} {# #}",
]


@dataclass
class Page(HTMLParser):
    """What a browser would see of a page: the texts, and each cell in them."""

    source: str
    texts: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    cells: list[tuple[str, str, str]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = {name: value or "" for name, value in attrs}
        if given.get("class", "").split(" ")[0] == "text":
            self.texts.append("")
            self._open = ["div"]
        elif self._open:
            self._open.append(tag)
            if tag == "mark":
                self.kept.append("")
            if tag == "i":
                self.cells.append(("", given.get("class", ""), given["title"]))

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        self.texts[-1] += data
        if "mark" in self._open:
            self.kept[-1] += data
        if self._open[-1] == "i":
            text, shade, title = self.cells[-1]
            self.cells[-1] = (text + data, shade, title)


def document(text: str, kept: tuple[Span, ...] = ()) -> HeatMapDocument:
    spans = KeywordScorer().token_spans(text)
    scores = [float(index) for index in range(len(spans))]
    return HeatMapDocument(
        name="a.txt",
        text=text,
        token_scores=list(zip(spans, scores, strict=True)),
        kept=kept,
        original_tokens=len(spans),
        kept_tokens=len(kept),
    )


def shade(cell: tuple[str, str, str]) -> int:
    found = re.search(r"h(\d)", cell[1])
    return int(found[1]) if found else 0


@pytest.mark.parametrize("text", NASTY)
def test_text_of_page_is_the_source(text: str) -> None:
    page = Page(render_heat_map([document(text, (Span(1, 4), Span(6, 9)))], HEADING))
    assert page.texts == [text.translate(VISIBLE)]
    assert page.kept == [text[1:4].translate(VISIBLE), text[6:9].translate(VISIBLE)]


@given(st.text(max_size=60), st.sets(st.integers(0, 60), max_size=6), st.data())
def test_any_text_spans_and_tokens(text: str, edges: set[int], data: st.DataObject) -> None:
    inside = sorted(edge for edge in edges if edge <= len(text))
    kept = tuple(Span(a, b) for a, b in zip(inside[::2], inside[1::2], strict=False))
    starts = sorted(data.draw(st.lists(st.integers(0, max(0, len(text) - 1)), max_size=8)))
    tokens = [(Span(s, min(len(text), s + 3)), float(s % 5)) for s in starts]
    source = replace(document(text, kept), token_scores=tokens)
    page = Page(render_heat_map([source], HEADING))
    assert "".join(page.texts) == text.translate(VISIBLE)
    assert page.kept == [text[s.start : s.end].translate(VISIBLE) for s in kept]


def test_stand_ins_keep_positions() -> None:
    everything = "".join(map(chr, range(0x300))) + "\ud800\udfff"
    assert len(everything.translate(VISIBLE)) == len(everything)
    assert "\x00" not in everything.translate(VISIBLE)
    everything.translate(VISIBLE).encode()


def test_nothing_of_the_input_becomes_markup() -> None:
    evil = "</title><script>alert(1)</script><img src=x onerror=alert(1)>"
    harmless = Page(render_heat_map([document("x " * 9)], HEADING)).tags
    page = render_heat_map(
        [replace(document("x " * 9), name=evil)],
        replace(HEADING, query=evil, draft=evil, scorer=evil, budget=evil),
    )
    assert Page(page).tags == harmless


def test_page_asks_for_nothing_from_outside() -> None:
    page = render_heat_map([document("some words")], HEADING)
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|url\(|@import|https?:""", page)


def test_shade_follows_rank_and_one_outlier_whitens_nothing() -> None:
    source = document(" ".join(["word"] * 200))
    plain = Page(render_heat_map([source], HEADING)).cells
    *others, (span, _) = source.token_scores
    outlier = Page(
        render_heat_map([replace(source, token_scores=[*others, (span, 1e9)])], HEADING)
    ).cells
    shades = [shade(cell) for cell in plain]
    assert shades == sorted(shades)
    assert shades == [shade(cell) for cell in outlier]
    assert [shades.count(level) for level in range(8)] == [100, 40, 20, 20, 10, 6, 2, 2]
    assert plain[-1][2] == "score 199 · rank 1"
    assert plain[0][2] == "score 0 · rank 200"


def test_equal_scores_share_a_shade_and_claim_no_heat() -> None:
    source = document(" ".join(["word"] * 50))
    same = [(span, 3.0) for span, _ in source.token_scores]
    cells = Page(render_heat_map([replace(source, token_scores=same)], HEADING)).cells
    assert {shade(cell) for cell in cells} == {0}


def test_all_documents_are_shaded_on_one_scale() -> None:
    cold = document(" ".join(["cold"] * 50))
    hot = replace(cold, token_scores=[(span, score + 100) for span, score in cold.token_scores])
    cells = Page(render_heat_map([cold, hot], HEADING)).cells
    assert {shade(cell) for cell in cells[:50]} == {0}
    assert all(shade(cell) for cell in cells[50:])


def test_tokens_of_one_character_share_a_cell_with_the_best_score() -> None:
    pieces = [(Span(0, 1), 1.0), (Span(0, 1), 5.0), (Span(0, 1), 2.0), (Span(1, 3), 0.0)]
    source = replace(document("👩ab"), token_scores=pieces)
    cells = Page(render_heat_map([source], HEADING)).cells
    assert [cell[0] for cell in cells] == ["👩", "ab"]
    assert cells[0][2] == "3 tokens · best score 5 · rank 1"


def test_long_page_stays_small_and_whole() -> None:
    text = "abcdef " * 100_000
    scores = [(Span(at, at + 7), float(at // 700 % 7)) for at in range(0, len(text), 7)]
    source = replace(document(""), text=text, token_scores=scores, kept=(Span(70, 140),))
    page = render_heat_map([source], HEADING)
    assert len(page) < 6_000_000
    assert Page(page).texts == [text]


@pytest.mark.parametrize("documents", [[], [document("")]])
def test_nothing_to_show(documents: list[HeatMapDocument]) -> None:
    assert Page(render_heat_map(documents, HEADING)).texts == []


def test_reason_of_a_whole_text_is_said() -> None:
    page = render_heat_map([replace(document("x"), skipped_because="within_budget")], HEADING)
    assert "within budget" in page


def test_same_input_same_bytes() -> None:
    assert render_heat_map([document("a b")], HEADING) == render_heat_map(
        [document("a b")], HEADING
    )


def test_text_is_readable_on_every_shade_and_shades_are_ordered() -> None:
    page = render_heat_map([], HEADING)
    for theme in page.split("prefers-color-scheme: dark")[0:2]:
        colors = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        ink = _luminance(colors["ink"])
        backgrounds = [colors["card"], *(colors[f"heat{level}"] for level in range(1, 8))]
        contrasts = [_contrast(ink, _luminance(color)) for color in backgrounds]
        assert min(contrasts) >= 4.5
        assert contrasts == sorted(contrasts, reverse=True)
        assert _contrast(_luminance(colors["kept"]), _luminance(colors["card"])) >= 3
        assert _contrast(_luminance(colors["soft"]), _luminance(colors["page"])) >= 4.5


def _luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: float, other: float) -> float:
    dark, light = sorted((one, other))
    return (light + 0.05) / (dark + 0.05)
