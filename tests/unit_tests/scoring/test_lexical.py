"""Words that question and text share, in any script."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specprefill_integrations.scoring._lexical import (
    _WORD,
    LEXICAL_FEATURES,
    _word_edges,
    lexical_features,
)
from tests.laws.texts import texts


def features(query, texts, units):
    """The features of parts of texts by name; their neighborhoods are the whole texts."""
    own = [
        np.array([(text.index(part), text.index(part) + len(part)) for part in parts])
        for text, parts in zip(texts, units, strict=True)
    ]
    around = [
        np.tile([0, len(text)], (len(edges), 1)) for text, edges in zip(texts, own, strict=True)
    ]
    found = lexical_features(query, texts, own, around)
    return dict(zip(LEXICAL_FEATURES, found.T.tolist(), strict=True))


def coverage(query, text, *stretches):
    return features(query, [text], [stretches])["coverage"]


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
    own = [found for _, found in asked]
    found = lexical_features(query, texts, own, [edges + np.array([0, 5]) for edges in own])
    assert found.shape == (sum(map(len, own)), len(LEXICAL_FEATURES))
    assert np.isfinite(found).all()
    less, more, bm25, _, text, title, first = found.T
    for share in (less, more, text, title, first):
        assert ((share >= 0) & (share <= 1 + 1e-9)).all()
    assert (less <= more + 1e-9).all()
    assert ((bm25 > 0) == (less > 0)).all()


UNITS = st.lists(st.text("ab -", min_size=1, max_size=9).map(str.strip).filter(bool), min_size=1)


@given(st.lists(st.sampled_from("abcd"), max_size=3), st.lists(UNITS, min_size=1, max_size=4))
def test_bm25_is_its_formula(query, texts):
    """Against the formula of Lucene, with every unit a document of its own."""
    joined = ["\n".join(units) for units in texts]
    ends = [np.cumsum([len(unit) + 1 for unit in units]) - 1 for units in texts]
    own = [
        np.stack([end - [len(unit) for unit in units], end], axis=1)
        for units, end in zip(texts, ends, strict=True)
    ]
    found = lexical_features(" ".join(query), joined, own, own)[:, 2]
    units = [re.findall(r"\w+", unit) for parts in texts for unit in parts]
    mean = max(1, sum(map(len, units)) / len(units))
    # "a" is a stop word, which counts if there is nothing else.
    wanted = {word for word in query if word != "a"} or set(query)
    for words, score in zip(units, found, strict=True):
        expected = 0.0
        for word in wanted:
            holding = sum(word in other for other in units)
            rarity = math.log(1 + (len(units) - holding + 0.5) / (holding + 0.5))
            count = words.count(word)
            expected += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / mean))
        assert math.expm1(score) == pytest.approx(expected, abs=1e-9)


def test_the_text_and_the_title_of_a_unit_tell_of_it():
    texts = ["Grey heron\n\nIt fishes now.", "Red fox\n\nIt hunts now.", "Owl\n\nIt hunts now."]
    units = [["Grey heron", "It fishes"], ["Red fox", "It hunts"], ["Owl", "It hunts"]]
    found = features("When hunts the fox?", texts, units)
    heron, _, fox, hunts, owl, _ = found["text_coverage"]
    assert heron == 0 < owl < fox == hunts == 1
    assert found["title_coverage"][:2] == found["title_coverage"][4:] == [0, 0]
    assert found["title_coverage"][2] == found["title_coverage"][3] == found["coverage"][2] > 0
    assert found["is_title"] == [1, 0, 1, 0, 1, 0]
    assert features("fox", texts[1:2], units[1:2])["text_coverage"] == [0, 0]


@pytest.mark.parametrize("below", ["\n\nIt sleeps.", "\r\n\r\nIt sleeps.", " \n \n\n\nIt sleeps."])
@pytest.mark.parametrize("title", ["Owl", "# Owl", "\n  Dr. Owl", "フクロウ", "Where owls " * 9])
def test_a_short_line_with_a_blank_one_below_is_a_title(title, below):
    parts = [*title.split(" "), "It sleeps."] if title == "\n  Dr. Owl" else [title, "It sleeps."]
    assert features("", [title + below], [parts])["is_title"] == [*[1] * (len(parts) - 1), 0]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("The ferry leaves at noon. It is slow.", "The ferry leaves at noon."),
        ("The ferry leaves at noon.\n\nBring a coat.", "The ferry leaves at noon."),
        ("フェリーは正午に出ます。\n\n上着を。", "フェリーは正午に出ます。"),
        ("ferry: noon\nbus: one\n\ntrain: two", "ferry: noon"),
        ('{"ferry": "noon"}\n{"bus": "one"}\n', '{"ferry": "noon"}'),
        ("The ferry leaves " * 10 + "\n\nBring a coat.", "The ferry leaves"),
        ("Owl", "Owl"),
        ("\n\n", "\n"),
    ],
)
def test_the_first_part_of_other_texts_is_no_title(text, first):
    edges = np.array([(0, len(first)), (len(first), len(first) + 9)])
    found = lexical_features("ferry owl", [text], [edges], [edges])
    assert not found[:, [LEXICAL_FEATURES.index(n) for n in ("is_title", "title_coverage")]].any()


def test_bm25_is_also_told_relative_to_all_units():
    found = features(
        "hunts", ["It hunts. It hunts. It waits. It sleeps."], [["hunts", "waits", "sleeps"]]
    )
    relative = np.array(found["bm25_standardized"])
    assert relative.mean() == pytest.approx(0)
    assert relative.std() == pytest.approx(1)
    assert relative.argmax() == 0
    same = features("unicorn", ["It hunts. It waits."], [["hunts", "waits"]])
    assert same["bm25_standardized"] == [0, 0]


@given(texts)
@example("read_all 日本語とka\u0301 ๑ก 😀a1\x1cb²")
def test_the_edges_of_words_are_those_of_the_expression(text: str) -> None:
    starts, ends = _word_edges(text)
    assert [*zip(starts, ends, strict=True)] == [match.span() for match in _WORD.finditer(text)]
