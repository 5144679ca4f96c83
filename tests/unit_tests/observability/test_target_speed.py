"""How fast a model reads, by its own calls."""

from __future__ import annotations

import pytest

from specprefill_integrations.observability import TokenUsage, TtftRecord, target_tokens_per_second


def call(tokens: int | None, first: float | None, cached: int = 0) -> TtftRecord:
    return TtftRecord(
        run_id="a",
        started=0.0,
        total_seconds=9.0,
        first_token_seconds=first,
        usage=TokenUsage(input_tokens=tokens, cached_tokens=cached),
    )


def calls(*tokens: int, per_second: float = 2000) -> list[TtftRecord]:
    """A network of 0.3 seconds, and a model that reads so fast."""
    return [call(read + 500, 0.3 + read / per_second, cached=500) for read in tokens]


SPREAD = range(1000, 9000, 1000)


def test_neither_the_network_nor_the_cache_counts() -> None:
    assert target_tokens_per_second(calls(*SPREAD)) == pytest.approx(2000)


def test_what_says_nothing_is_left_out() -> None:
    silent = [call(None, 5.0), call(100_000, None)]
    assert target_tokens_per_second([*calls(*SPREAD), *silent]) == pytest.approx(2000)


@pytest.mark.parametrize(
    "records",
    [
        [],
        calls(*SPREAD)[1:],
        calls(*range(1000, 1800, 100)),
        [call(tokens, 1.0) for tokens in SPREAD],
        [call(tokens, 10 - tokens / 1000) for tokens in SPREAD],
    ],
    ids=["none", "too_few", "too_alike", "as_fast", "faster"],
)
def test_where_calls_show_nothing_there_is_no_answer(records) -> None:
    assert target_tokens_per_second(records) is None
