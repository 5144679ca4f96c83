"""Windows hold every token once, in order, evenly, and are cut where a reader would cut.

Batches hold every window once, and not much padding.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.scoring._windows import Piece, plan_batches, plan_windows


@st.composite
def documents(draw):
    lengths = draw(st.lists(st.integers(0, 300), max_size=12))
    breaks = [
        sorted(draw(st.sets(st.integers(0, length), max_size=20)) if length else set())
        for length in lengths
    ]
    return lengths, breaks


@given(documents(), st.integers(1, 200))
def test_every_token_stands_in_one_window_in_order(docs, window_tokens):
    lengths, breaks = docs
    windows = plan_windows(lengths, breaks, window_tokens)
    seen = [
        (piece.document, token)
        for window in windows
        for piece in window
        for token in range(piece.start, piece.end)
    ]
    assert seen == [(d, t) for d, length in enumerate(lengths) for t in range(length)]


@given(documents(), st.integers(1, 200))
def test_no_window_is_longer_than_allowed_and_none_is_empty(docs, window_tokens):
    for window in plan_windows(*docs, window_tokens):
        assert 0 < sum(piece.end - piece.start for piece in window) <= window_tokens


@given(st.integers(500, 5000), st.integers(100, 400))
def test_windows_of_one_long_text_are_even(length, window_tokens):
    every_fifth = list(range(0, length, 5))
    windows = plan_windows([length], [every_fifth], window_tokens)
    sizes = [window[0].end - window[0].start for window in windows]
    assert max(sizes) - min(sizes) <= 0.4 * window_tokens
    assert all(window[0].start in every_fifth for window in windows)


@given(documents(), st.integers(1, 200), st.integers(1, 300))
def test_a_large_document_has_the_same_windows_in_any_company(docs, window_tokens, alone_tokens):
    lengths, breaks = docs
    windows = plan_windows(lengths, breaks, window_tokens, alone_tokens)
    seen = [
        (piece.document, token)
        for window in windows
        for piece in window
        for token in range(piece.start, piece.end)
    ]
    assert seen == [(d, t) for d, length in enumerate(lengths) for t in range(length)]
    for number, length in enumerate(lengths):
        own = [window for window in windows if any(one.document == number for one in window)]
        if length >= alone_tokens:
            alone = plan_windows([length], [breaks[number]], window_tokens)
            assert [tuple(replace(one, document=0) for one in window) for window in own] == alone


def test_small_documents_still_share_windows_between_large_ones():
    windows = plan_windows([40, 40, 200, 40, 40], [[0]] * 5, 100, 150)
    assert [[piece.document for piece in window] for window in windows] == [
        [0, 1],
        [2],
        [2],
        [3, 4],
    ]


def test_short_documents_are_not_cut():
    windows = plan_windows([40] * 10, [[0, 10, 20, 30]] * 10, 100)
    assert all(piece.start == 0 and piece.end == 40 for window in windows for piece in window)


def test_a_text_that_fits_is_one_window():
    assert plan_windows([60, 40], [[0], [0]], 100) == [(Piece(0, 0, 60), Piece(1, 0, 40))]


def test_a_unit_larger_than_a_window_is_cut_anyway():
    windows = plan_windows([250], [[0]], 100)
    assert [window[0].end - window[0].start for window in windows] == [100, 100, 50]


def test_nothing_gives_no_window():
    assert plan_windows([], [], 10) == []
    assert plan_windows([0, 0], [[], []], 10) == []


WINDOWS = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 60)), max_size=30)


@given(WINDOWS, st.integers(1, 2000))
def test_every_window_stands_in_one_batch(windows, batch_tokens):
    batches = plan_batches(*(zip(*windows, strict=True) if windows else ([], [])), batch_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(windows)))
    assert all(batches)


@given(WINDOWS, st.integers(1, 2000))
def test_batches_hold_no_more_than_they_may_padding_included(windows, batch_tokens):
    lengths, questions = zip(*windows, strict=True) if windows else ((), ())
    for batch in plan_batches(lengths, questions, batch_tokens):
        asked = [questions[index] for index in batch]
        if len(batch) > 1:
            assert max(lengths[index] for index in batch) * len(batch) <= batch_tokens
            assert max(asked) * len(batch) <= batch_tokens
            assert max(asked) * len(batch) - sum(asked) <= batch_tokens / 8


def test_windows_of_a_length_are_read_together():
    assert plan_batches([100, 20, 100, 20, 90], [9] * 5, 200) == [[0, 2], [4, 1], [3]]


def test_a_long_question_is_not_padded_to():
    assert plan_batches([100] * 4, [10, 10, 500, 10], 1000) == [[2], [0, 1, 3]]
