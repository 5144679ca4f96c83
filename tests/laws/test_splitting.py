"""Laws of cutting text into units."""

from __future__ import annotations

from itertools import pairwise

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st
from sentence_splitter import SentenceSplitter

from specprefill_integrations.splitting._finer import (
    cut_after,
    split_oversized,
    split_words,
    trimmed,
)
from specprefill_integrations.splitting._prose import _MAY_HOLD_TWO, _NUMBERING, ProseSplitter
from specprefill_integrations.types import Span
from tests.laws.texts import (
    assert_units,
    clusters,
    single_spaced,
    spans_in,
    texts,
    torn_clusters,
)

LIBRARY = SentenceSplitter("en")
MARKS = "aB1.?!…\"'()[]%-”»¿"
WORDS = (
    "and",
    "Queue",
    "No.",
    "Mr.",
    "U.S.",
    "e.g.",
    "12",
    "ʰ",
    "ªB",
    "ends.",
    "Why?",
    '".',
    "(",
    ")",
)
max_chars = st.one_of(st.integers(1, 40), st.just(600))


def whole(text: str) -> Span:
    return trimmed(text, Span(0, len(text)))


class TestProseSplitter:
    @given(texts, max_chars)
    def test_units_are_disjoint_and_cover_all_but_white_space(self, text: str, most: int) -> None:
        assert_units(text, ProseSplitter(max_unit_chars=most)(text))

    @given(texts, max_chars)
    def test_no_unit_has_white_space_at_its_ends(self, text: str, most: int) -> None:
        units = [text[a:b] for a, b in ProseSplitter(max_unit_chars=most)(text)]
        assert units == [unit.strip() for unit in units]

    @given(texts, max_chars)
    def test_a_long_unit_is_one_cluster(self, text: str, most: int) -> None:
        units = [text[a:b] for a, b in ProseSplitter(max_unit_chars=most)(text)]
        assert all(len(unit) <= most or len(clusters(unit)) == 1 for unit in units)

    @given(texts, max_chars)
    def test_no_cluster_is_torn(self, text: str, most: int) -> None:
        assert torn_clusters(text, ProseSplitter(max_unit_chars=most)(text)) == []

    @given(texts)
    def test_same_text_same_units(self, text: str) -> None:
        assert ProseSplitter()(text) == ProseSplitter()("".join(list(text)))

    @given(single_spaced)
    def test_where_the_shortcut_says_one_sentence_the_rules_do_too(self, text: str) -> None:
        if not _MAY_HOLD_TWO.match(text):
            assert LIBRARY.split(text) == [text]

    @given(single_spaced.filter(lambda text: not set(text) & set("。?؟।։።")))
    def test_equals_the_rules_on_one_line(self, text: str) -> None:
        spans = ProseSplitter(max_unit_chars=10_000)(text)
        expected = LIBRARY.split(text)
        if _NUMBERING.fullmatch(expected[0]):
            expected[:2] = [" ".join(expected[:2])]
        assert [text[a:b] for a, b in spans] == expected

    @given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(MARKS, min_size=1)), min_size=1))
    def test_equals_the_rules_where_they_do_not_see_most_words(self, words: list[str]) -> None:
        text = " ".join(["then", *words, "plain", "words", *words, "end"])
        spans = ProseSplitter(max_unit_chars=10_000)(text)
        assert [text[a:b] for a, b in spans] == LIBRARY.split(text)

    @given(st.lists(st.text("aB.?!\"'()", min_size=1, max_size=150), min_size=1, max_size=6))
    def test_equals_the_rules_with_long_words_in_it(self, words: list[str]) -> None:
        text = " ".join(f"a{word}{'z' * 40}{word[:20]}" for word in words)
        spans = ProseSplitter(max_unit_chars=10_000)(text)
        assert [text[a:b] for a, b in spans] == LIBRARY.split(text)


class TestFinerPieces:
    @given(texts, max_chars)
    @example("ab\x1c\x1dcd", 3)
    def test_oversized(self, text: str, most: int) -> None:
        pieces = split_oversized(text, whole(text), most) if text.strip() else []
        assert_units(text, pieces)
        assert torn_clusters(text, pieces) == []
        for a, b in pieces:
            assert text[a:b] == text[a:b].strip()
            assert b - a <= most or len(clusters(text[a:b])) == 1

    @given(texts, max_chars)
    def test_oversized_pieces_are_not_needlessly_small(self, text: str, most: int) -> None:
        pieces = split_oversized(text, whole(text), most)
        assert all(b.end - a.start > most for a, b in pairwise(pieces))

    def test_oversized_pieces_may_be_just_as_long_as_allowed(self) -> None:
        text = "aa bb cc dd"
        assert [text[a:b] for a, b in split_oversized(text, whole(text), 5)] == ["aa bb", "cc dd"]

    @given(st.data(), texts)
    def test_words(self, data: st.DataObject, text: str) -> None:
        for span in data.draw(spans_in(text)):
            words = text[span.start : span.end].split()
            if len(words) > 1:
                assert [text[a:b] for a, b in split_words(text, span)] == words

    @given(texts.map(lambda text: "".join(text.split())))
    def test_one_word_is_cut_into_clusters(self, text: str) -> None:
        assert split_words(text, Span(0, len(text))) == clusters(text)

    @given(texts, st.sampled_from([r"\n", r"\s+", r"a", r"[.。]\s*", r"^"]))
    def test_cut_after(self, text: str, pattern: str) -> None:
        boundary = regex.compile(pattern)
        pieces = cut_after(text, Span(0, len(text)), boundary)
        assert_units(text, pieces)
        ends = {m.end() for m in boundary.finditer(text)}
        for left, right in pairwise(pieces):
            assert any(left.end <= end <= right.start for end in ends)
        for a, b in pieces:
            assert not any(a < end < b for end in ends)

    @given(st.data(), texts)
    def test_trimmed(self, data: st.DataObject, text: str) -> None:
        for span in data.draw(spans_in(text)):
            a, b = trimmed(text, span)
            assert span.start <= a <= b <= span.end
            assert text[a:b] == text[span.start : span.end].strip()


# Each was quadratic once, or looks as if it could be: at this size that is minutes to hours.
GIANTS = {
    "one word": "a" * 300_000,
    "dots": "." * 300_000,
    "dotted words": "a." * 150_000,
    "dots and spaces": ("." * 4_000 + " A") * 75,
    "closed dots": (".)" * 2_000 + " A ") * 75,
    "brackets": ")" * 150_000 + "." + ")" * 150_000,
    "flags": "🇩🇪" * 150_000,
    "families": "👩‍👩‍👧‍👦" * 40_000,
    "one cluster": "e" + "\u0301" * 300_000,
    "one conjunct": "क्" * 150_000,
    "accented commas": ",\u0301" * 150_000,
    "digits after a break": "\n" + "1" * 300_000,
    "blank lines": "\n " * 150_000 + "x",
    "CJK": "我们今天讨论。" * 40_000,
    "short words": "a b " * 75_000,
    "short lines": "a\n" * 100_000,
}


@pytest.mark.parametrize("name", GIANTS)
def test_giant_texts_are_split_like_any_other(name: str) -> None:
    text = GIANTS[name]
    units = ProseSplitter()(text)
    assert_units(text, units)
