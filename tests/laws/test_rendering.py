"""Laws of writing what is kept."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.splitting._rendering import (
    LINE_GAPS,
    PUBLISHED_CODE_GAPS,
    GapStyle,
    merge_adjacent,
    render_kept,
)
from specprefill_integrations.types import Span
from tests.laws.texts import spans_in, texts, words_in

MARKER = "\ue000"  # for private use: in no text of ours

styles = st.builds(GapStyle, marker=st.just(MARKER), mark_ends=st.booleans())


class Kept:
    """A text without the marker, and spans of it that hold more than white space."""

    def __init__(self, data: st.DataObject) -> None:
        self.text = data.draw(texts).replace(MARKER, "")
        drawn = data.draw(st.one_of(spans_in(self.text), words_in(self.text)))
        spans = [s for s in drawn if self.text[s.start : s.end].strip()]
        self.spans = spans
        self.merged = merge_adjacent(self.text, spans)
        edges = [0, *(edge for span in self.merged for edge in span), len(self.text)]
        self.missing = [self.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


class TestMergeAdjacent:
    @given(st.data())
    def test_joins_what_only_white_space_divides(self, data: st.DataObject) -> None:
        kept = Kept(data)
        for left, right in pairwise(kept.merged):
            assert kept.text[left.end : right.start].strip()

    @given(st.data())
    def test_adds_white_space_and_nothing_else(self, data: st.DataObject) -> None:
        kept = Kept(data)
        before = "".join(kept.text[a:b] for a, b in kept.spans)
        after = "".join(kept.text[a:b] for a, b in kept.merged)
        assert "".join(before.split()) == "".join(after.split())
        assert all(any(m.start <= a and b <= m.end for m in kept.merged) for a, b in kept.spans)


class TestRenderKept:
    @given(st.data(), styles)
    def test_kept_text_stands_verbatim_and_in_order_between_the_markers(
        self, data: st.DataObject, gaps: GapStyle
    ) -> None:
        kept = Kept(data)
        pieces = [kept.text[a:b] for a, b in kept.merged]
        expected = ""
        for number, gap in enumerate(kept.missing):
            first, last = number == 0, number == len(pieces)
            if gap.strip() and (gaps.mark_ends or not (first or last)):
                blank = "\n" if "\n" in gap else " "
                expected += MARKER if first else f"{blank}{MARKER}"
                expected += "" if last else blank
            expected += pieces[number] if number < len(pieces) else ""
        assert render_kept(kept.text, kept.merged, gaps) == (expected if pieces else "")

    @given(st.data())
    def test_there_is_a_marker_at_each_gap_and_only_there(self, data: st.DataObject) -> None:
        kept = Kept(data)
        rendered = render_kept(kept.text, kept.merged, GapStyle(marker=MARKER))
        gaps = sum(bool(gap.strip()) for gap in kept.missing)
        assert rendered.count(MARKER) == (gaps if kept.spans else 0)

    @given(texts, styles)
    def test_all_of_it_kept_is_the_original(self, text: str, gaps: GapStyle) -> None:
        assert render_kept(text, [Span(0, len(text))] if text else [], gaps) == text

    @given(texts, styles)
    def test_white_space_left_out_at_the_ends_is_no_gap(self, text: str, gaps: GapStyle) -> None:
        start = len(text) - len(text.lstrip())
        kept = [Span(start, start + len(text.strip()))] if text.strip() else []
        assert render_kept(text, kept, gaps) == text.strip()

    @given(texts, styles)
    def test_nothing_kept_is_nothing(self, text: str, gaps: GapStyle) -> None:
        assert render_kept(text, [], gaps) == ""

    def test_a_gap_with_a_line_break_stands_on_a_line_of_its_own(self) -> None:
        text = "one\ntwo\nthree four five"
        kept = [Span(0, 3), Span(8, 13), Span(19, 23)]
        assert render_kept(text, kept, GapStyle()) == "one\n[...]\nthree [...] five"
        code = "a()\nb()\nc()\n"
        assert render_kept(code, [Span(0, 3), Span(8, 11)], PUBLISHED_CODE_GAPS) == (
            "a()\n// omitted\nc()"
        )

    def test_the_ends_are_marked_where_wanted(self) -> None:
        assert render_kept("a b c", [Span(2, 3)], GapStyle()) == "[...] b [...]"
        assert render_kept("a\nb\nc", [Span(2, 3)], GapStyle()) == "[...]\nb\n[...]"
        assert render_kept("a b c", [Span(2, 3)], GapStyle(mark_ends=False)) == "b"


class TestLineGaps:
    def test_says_how_many_lines_are_missing(self) -> None:
        text = "a\nb\n\nc\nd\ne"
        assert render_kept(text, [Span(2, 3), Span(9, 10)], LINE_GAPS) == (
            "[... 1 line omitted ...]\nb\n[... 2 lines omitted ...]\ne"
        )

    @pytest.mark.parametrize("line_end", ["\n", "\r\n", " \t\n"])
    def test_blank_lines_do_not_count_however_they_end(self, line_end: str) -> None:
        text = line_end.join(["a", "", "b", "", "c", "", "d"])
        kept = [Span(0, 1), Span(len(text) - 1, len(text))]
        assert "[... 2 lines omitted ...]" in render_kept(text, kept, LINE_GAPS)

    @given(st.data())
    def test_without_a_marker_only_white_space_stands_between(self, data: st.DataObject) -> None:
        kept = Kept(data)
        written = render_kept(kept.text, kept.merged, GapStyle(marker=""))
        pieces = "".join(kept.text[a:b] for a, b in kept.merged)
        assert "".join(written.split()) == "".join(pieces.split())
