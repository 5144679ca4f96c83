"""Windows hold every token once, in order, evenly, and are cut where a reader would cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.scoring.windows import Piece, plan_windows


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
