"""Words that question and text share, in any script."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.scoring._lexical import lexical_coverage


def coverage(query, text, *stretches):
    edges = [(text.index(part), text.index(part) + len(part)) for part in stretches]
    [found] = lexical_coverage(query, [text], [np.array(edges).reshape(-1, 2)])
    return found.tolist()


TEXT = "The heron fished at dawn. A publisher in Leeds printed it. The heron slept."


def test_a_rare_word_weighs_more_than_a_common_one():
    # One cell of text a sentence and some more, so that rarity can be told.
    text = " ".join(["The heron fished at dawn. " * 8] * 4 + ["Leeds printed it."])
    common, rare = coverage("heron Leeds", text, "The heron fished at dawn.", "Leeds printed it.")
    assert 0 < common < rare < 1


def test_all_words_are_all_of_it_and_none_is_nothing():
    assert coverage("heron", TEXT, "The heron slept.") == [1.0]
    assert coverage("heron", TEXT, "A publisher in Leeds printed it.") == [0.0]
    assert coverage("unicorn", TEXT, TEXT) == [0.0]
    assert coverage("", TEXT, TEXT) == [0.0]


def test_words_that_begin_alike_are_one_and_case_does_not_matter():
    assert coverage("Who PUBLISHED it?", TEXT, "A publisher in Leeds") == [1.0]


def test_names_are_told_apart_by_all_of_them():
    text = "def read_line(file): ...\ndef read_all(file): ...\nread the manual at line 7\n"
    wanted, other, words = coverage("the limit of read_line", text, *text.splitlines())
    assert wanted == 1.0
    assert 0 < other < words < 1
    assert coverage("order 7712345", "order 7712346", "7712346") == [0.0]


def test_stop_words_say_nothing_unless_there_is_nothing_else():
    assert coverage("what is the heron", TEXT, "The heron") == [1.0]
    assert coverage("the", TEXT, "The heron") == [1.0]


@pytest.mark.parametrize(
    ("query", "text", "inside"),
    [
        ("猫は何を食べる", "昨日は雨だった。猫は魚を食べる。", "猫は魚を食べる。"),
        ("где кошка", "Шёл дождь. Кошка спит.", "Кошка спит."),
        ("d742d6d8-bb74", "x: 1\nd742d6d8-bb74: 2\ny: 3", "d742d6d8-bb74: 2"),
    ],
)
def test_scripts_and_keys(query, text, inside):
    before = text[: text.index(inside)]
    without, within = coverage(query, text, before, inside)
    assert without < within


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), max_size=5).map(
    lambda found: np.array(found, dtype=np.int64).reshape(-1, 2)
)


@given(st.text(max_size=20), st.lists(st.tuples(st.text(max_size=60), ranges), max_size=3))
def test_shares_are_shares_and_more_text_never_holds_less(query, asked):
    texts = [text for text, _ in asked]
    narrow = lexical_coverage(query, texts, [found for _, found in asked])
    wide = lexical_coverage(query, texts, [found + np.array([0, 5]) for _, found in asked])
    for (_, found), less, more in zip(asked, narrow, wide, strict=True):
        assert less.shape == (len(found),)
        assert ((less >= 0) & (less <= 1 + 1e-9) & (less <= more + 1e-9)).all()
