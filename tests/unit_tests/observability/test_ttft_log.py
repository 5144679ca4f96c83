"""Many calls in a few numbers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.observability import Percentiles, TokenUsage, TtftLog, TtftRecord
from specprefill_integrations.observability._ttft_summary import percentiles_of


def record(first: float | None = 0.5, **others) -> TtftRecord:
    about = {"run_id": "a", "started": 0.0, "total_seconds": 2.0}
    return TtftRecord(**{**about, "first_token_seconds": first, **others})


USAGE = TokenUsage(input_tokens=1000, cached_tokens=400, output_tokens=20)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_the_least_values_that_enough_are_no_longer_than(values) -> None:
    found = percentiles_of(values)
    assert found is not None
    for percent, value in zip((50, 90, 99), found, strict=True):
        needed = math.ceil(percent * len(values) / 100)
        assert sum(one <= value for one in values) >= needed
        assert sum(one < value for one in values) < needed
        assert value in values


def test_percentiles_of_a_hundred_and_of_none() -> None:
    assert percentiles_of(range(100, 0, -1)) == Percentiles(50, 90, 99)
    assert percentiles_of([]) is None


def test_calls_with_and_without_compression_are_told_apart() -> None:
    log = TtftLog()
    log.add(record(0.25, draft_seconds=0.5, saved_tokens=10, usage=USAGE))
    log.add(record(None, draft_seconds=0.125))
    log.add(record(4.0, usage=USAGE))
    compressed, others = log.summary(compressed=True), log.summary(compressed=False)
    assert (compressed.calls, compressed.streamed_calls, others.calls) == (2, 1, 1)
    assert compressed.ttft_seconds == Percentiles(0.75, 0.75, 0.75)
    assert compressed.first_token_seconds == Percentiles(0.25, 0.25, 0.25)
    assert compressed.draft_seconds == Percentiles(0.125, 0.5, 0.5)
    assert (compressed.input_tokens, compressed.cached_tokens) == (1000, 400)
    assert (compressed.output_tokens, compressed.calls_without_usage) == (20, 1)
    assert others.ttft_seconds == Percentiles(4.0, 4.0, 4.0)


def test_the_report_says_what_was_measured() -> None:
    log = TtftLog()
    assert log.report() == "no answered calls yet\ncalls that failed: 0"
    log.add(record(0.25, draft_seconds=0.5, usage=USAGE))
    log.add(record(None, draft_seconds=0.5))
    alone = log.report()
    assert "without" not in alone
    assert "different calls" not in alone
    log.add(record(None))
    log.add_failure()
    lines = {line[:24].strip(): line[24:].split("  ") for line in log.report().splitlines()}
    cells = {name: [cell.strip() for cell in row if cell.strip()] for name, row in lines.items()}
    assert cells["seconds: p50 / p90 / p99"] == ["with compression", "without"]
    assert cells["time to first token"] == ["0.750 / 0.750 / 0.750", "-"]
    assert cells["streamed"] == ["1", "0"]
    assert cells["prompt tokens"] == ["1,000 (1 calls unknown)", "-"]
    assert "calls that failed: 1" in log.report()
    assert "different calls" in log.report()


def test_json_holds_everything() -> None:
    log = TtftLog()
    log.add(record(0.25, draft_seconds=0.5, usage=USAGE))
    found = json.loads(json.dumps(log.as_json_object()))
    assert found["with_compression"]["ttft_seconds"] == {"p50": 0.75, "p90": 0.75, "p99": 0.75}
    assert found["without_compression"]["ttft_seconds"] is None
    [told] = found["records"]
    assert told["ttft_seconds"] == 0.75
    assert (told["input_tokens"], told["cached_tokens"], told["output_tokens"]) == (1000, 400, 20)
    assert found["failed_calls"] == 0


def test_the_oldest_are_forgotten() -> None:
    log = TtftLog(max_records=2)
    for name in "abc":
        log.add(record(run_id=name))
    assert [one.run_id for one in log.records] == ["b", "c"]
    with pytest.raises(ValueError, match="max_records"):
        TtftLog(max_records=0)
