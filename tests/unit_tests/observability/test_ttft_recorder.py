"""Calls under way: what belongs to which, and what is waited for."""

from __future__ import annotations

import threading

import pytest

from specprefill_integrations.observability import TokenUsage, TtftLog
from specprefill_integrations.observability import _ttft_recorder as ttft_recorder
from specprefill_integrations.observability._ttft_recorder import TtftRecorder

USAGE = TokenUsage(input_tokens=100, cached_tokens=40, output_tokens=7)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> TtftRecorder:
    return TtftRecorder(TtftLog(), clock)


def only_record(recorder: TtftRecorder):
    [record] = recorder.log.records
    return record


def test_a_streamed_call(recorder: TtftRecorder, clock: Clock) -> None:
    recorder.call_started("call", "app", "small")
    clock.now = 0.25
    recorder.token_came("call")
    clock.now = 0.5
    recorder.token_came("call")
    clock.now = 2.0
    recorder.call_ended("call", USAGE)
    record = only_record(recorder)
    assert (record.first_token_seconds, record.total_seconds) == (0.25, 2.0)
    assert (record.draft_seconds, record.ttft_seconds) == (0.0, 0.25)
    assert (record.is_streamed, record.is_compressed) == (True, False)
    assert (record.usage, record.prefill_tokens) == (USAGE, 60)
    assert (record.run_id, record.model) == ("call", "small")


def test_an_answer_in_one_piece_has_no_first_token(recorder: TtftRecorder, clock: Clock) -> None:
    recorder.call_started("call", "app")
    clock.now = 2.0
    recorder.call_ended("call", TokenUsage())
    record = only_record(recorder)
    assert (record.first_token_seconds, record.ttft_seconds) == (None, None)
    assert not record.is_streamed
    assert (record.total_seconds, record.prefill_tokens) == (2.0, None)


def test_the_user_waits_for_the_draft_too(recorder: TtftRecorder, clock: Clock) -> None:
    clock.now = 1.0
    recorder.compressed("app", 1.0, 900)
    recorder.call_started("call", "app")
    clock.now = 1.5
    recorder.token_came("call")
    recorder.call_ended("call", USAGE)
    record = only_record(recorder)
    assert (record.draft_seconds, record.first_token_seconds) == (1.0, 0.5)
    assert record.ttft_seconds == 1.5
    assert record.saved_tokens == 900


def test_what_happens_at_the_same_time_is_waited_for_once(
    recorder: TtftRecorder, clock: Clock
) -> None:
    for now, seconds in ((2.0, 2.0), (2.5, 1.0), (2.5, 0.1), (10.0, 1.0)):
        clock.now = now
        recorder.compressed("app", seconds)
    recorder.call_started("call", "app")
    recorder.call_ended("call", USAGE)
    assert only_record(recorder).draft_seconds == pytest.approx(2.5 + 1.0)


def test_a_draft_is_paid_for_once_and_helps_ever_after(
    recorder: TtftRecorder, clock: Clock
) -> None:
    clock.now = 1.0
    recorder.compressed("app", 1.0, 900)
    for call in ("first", "second"):
        recorder.call_started(call, "app")
        recorder.call_ended(call, USAGE)
    first, second = recorder.log.records
    assert (first.draft_seconds, second.draft_seconds) == (1.0, 0.0)
    assert (first.saved_tokens, second.saved_tokens) == (900, 900)
    assert second.is_compressed


def test_runs_of_the_app_have_nothing_to_do_with_each_other(
    recorder: TtftRecorder, clock: Clock
) -> None:
    clock.now = 1.0
    recorder.compressed("one", 1.0, 900)
    recorder.call_started("other call", "other")
    recorder.call_ended("other call", USAGE)
    record = only_record(recorder)
    assert (record.draft_seconds, record.saved_tokens) == (0.0, 0)


def test_a_run_that_ended_is_forgotten(recorder: TtftRecorder) -> None:
    recorder.compressed("app", 1.0, 900)
    recorder.call_started("call", "app")
    recorder.app_run_ended("app")
    recorder.call_started("other call", "app")
    recorder.call_ended("other call", USAGE)
    assert not only_record(recorder).is_compressed


def test_a_stream_may_begin_once_its_run_has_ended(recorder: TtftRecorder, clock: Clock) -> None:
    clock.now = 1.0
    recorder.compressed("app", 1.0, 900)
    recorder.app_run_ended("app")
    assert recorder.awaits_call("app")
    for call in ("first", "second"):
        recorder.call_started(call, "app")
        recorder.call_ended(call, USAGE)
    assert [record.saved_tokens for record in recorder.log.records] == [900, 0]
    assert not recorder.awaits_call("app")


def test_what_fails_is_counted_and_the_next_call_answers_for_the_draft(
    recorder: TtftRecorder, clock: Clock
) -> None:
    clock.now = 1.0
    recorder.compressed("app", 1.0, 900)
    recorder.call_started("fails", "app")
    recorder.call_failed("fails")
    recorder.call_failed("fails")
    recorder.call_started("answers", "app")
    recorder.call_ended("answers", USAGE)
    assert recorder.log.failed_calls == 1
    assert only_record(recorder).draft_seconds == 1.0


def test_what_is_unknown_is_ignored(recorder: TtftRecorder) -> None:
    recorder.token_came("nobody")
    recorder.call_ended("nobody", USAGE)
    recorder.call_failed("nobody")
    recorder.app_run_ended("nobody")
    assert not recorder.is_under_way("nobody")
    assert (recorder.log.records, recorder.log.failed_calls) == ((), 0)


def test_what_never_ends_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ttft_recorder, "_MAX_OPEN", 3)
    recorder = TtftRecorder(TtftLog())
    for number in range(5):
        recorder.call_started(f"call {number}", f"app {number}")
    assert [recorder.is_under_way(f"call {number}") for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_threads_lose_nothing() -> None:
    recorder = TtftRecorder(TtftLog())

    def work(name: int) -> None:
        for number in range(100):
            app = f"{name} {number}"
            recorder.compressed(app, 0.5, 10)
            recorder.call_started(f"call {app}", app)
            recorder.token_came(f"call {app}")
            recorder.call_ended(f"call {app}", USAGE)
            recorder.app_run_ended(app)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = recorder.log.records
    assert len({record.run_id for record in records}) == len(records) == 400
    assert {record.saved_tokens for record in records} == {10}
    assert all(record.draft_seconds == pytest.approx(0.5) for record in records)
