"""What all compressors of a measurement have in common, and plain truncation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.evaluation._baselines import Truncation
from specprefill_integrations.evaluation._case_compressor import (
    SpanCompressor,
    clocked,
    count_texts,
    token_limit,
)
from specprefill_integrations.testing import KeywordScorer
from tests.laws.texts import texts
from tests.unit_tests.conftest import RecordingScorer

COUNT = KeywordScorer().count_tokens
TEXTS = ["Ada keeps it. The ferry leaves at noon.", "Rain fell. Nobody slept."]
FRACTIONS = st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0])


class TestSpanCompressor:
    def test_keeps_what_the_compressor_keeps_and_is_told_all_of_its_time(self) -> None:
        compressor = ContextCompressor(RecordingScorer(seconds=0.02))
        measured = SpanCompressor(compressor)
        for keep in (0.3, 0.5):
            results = compressor.compress_documents(
                TEXTS, "Who keeps it?", budget=Budget(keep_fraction=keep, min_tokens=0)
            )
            kept = measured.compress(TEXTS, "Who keeps it?", keep)
            assert kept.texts == tuple(result.text for result in results)
            assert 0 < kept.reading_seconds <= kept.seconds

    def test_a_case_is_read_once(self) -> None:
        scorer = RecordingScorer()
        measured = SpanCompressor(ContextCompressor(scorer))
        first, second = (measured.compress(TEXTS, "Ada?", keep) for keep in (0.3, 0.5))
        assert len(scorer.calls) == 1
        assert first.reading_seconds == pytest.approx(second.reading_seconds)

    def test_what_needs_no_reading_takes_none(self) -> None:
        measured = SpanCompressor(ContextCompressor(RecordingScorer(seconds=0.02)))
        measured.compress(TEXTS, "Ada?", 0.3)
        assert measured.compress(TEXTS, "Ada?", 1.0).reading_seconds == 0

    def test_failures_are_raised(self) -> None:
        scorer = RecordingScorer(error=RuntimeError("no draft today"))
        with pytest.raises(RuntimeError, match="no draft today"):
            SpanCompressor(ContextCompressor(scorer)).compress(TEXTS, "Ada?", 0.3)


class TestTruncation:
    @given(st.lists(texts, max_size=4), FRACTIONS)
    def test_the_start_within_the_budget(self, found: list[str], keep: float) -> None:
        kept = Truncation(COUNT).compress(found, "?", keep).texts
        assert len(kept) == len(found)
        assert "".join(found).startswith("".join(kept))
        assert count_texts(COUNT, kept) <= token_limit(COUNT, found, keep)

    def test_no_more_than_needed_is_cut(self) -> None:
        kept = Truncation(COUNT).compress(TEXTS, None, 0.5).texts
        assert kept == ("Ada keeps it. The ferry leaves at ", "")
        assert Truncation(COUNT).compress(TEXTS, None, 1.0).texts == tuple(TEXTS)

    def test_where_a_longer_start_costs_less(self) -> None:
        costs = {0: 0, 1: 1, 2: 3, 3: 2, 4: 5}
        count = lambda some: [costs[len(text)] for text in some]  # noqa: E731
        assert Truncation(count).compress(["abcd"], None, 0.2).texts == ("a",)
        assert Truncation(count).compress(["abcd"], None, 0.4).texts[0] in {"a", "abc"}


def test_lone_surrogates_are_counted_and_the_clock_runs() -> None:
    assert count_texts(COUNT, ["a \ud800", ""]) == 2
    kept = clocked(lambda: ["a"])
    assert kept.texts == ("a",)
    assert (kept.seconds >= 0, kept.reading_seconds) == (True, None)
