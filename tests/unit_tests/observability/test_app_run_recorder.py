"""Runs under way: what is told of them, in whatever order, becomes cases or is counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from specprefill_integrations.evaluation import read_cases
from specprefill_integrations.observability import _app_run_recorder as app_run_recorder
from specprefill_integrations.observability._app_run import FoundText
from specprefill_integrations.observability._app_run_recorder import AppRunRecorder
from specprefill_integrations.observability._case_file import CaseFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cases.jsonl"


@pytest.fixture
def recorder(path: Path) -> AppRunRecorder:
    return AppRunRecorder(CaseFile(path, None), task="t", sample=1.0)


def never() -> str:
    pytest.fail("was asked for")


def begin(recorder: AppRunRecorder, run_id: str, text: str = "Ada.") -> None:
    """A run of an app up to its answer, with a chain between it and its retriever."""
    assert not recorder.began(run_id, None, lambda: f"question of {run_id}")
    assert recorder.began(f"{run_id}/chain", run_id, never)
    assert recorder.began(f"{run_id}/chain/find", f"{run_id}/chain", never)
    recorder.source_began(f"{run_id}/chain/find", f"question of {run_id}")
    recorder.source_ended(f"{run_id}/chain/find", lambda: [FoundText(f"{text} {run_id}")])
    recorder.ended(f"{run_id}/chain/find", never)


def end(recorder: AppRunRecorder, run_id: str) -> None:
    recorder.ended(f"{run_id}/chain", never)
    recorder.ended(run_id, lambda: f"reply of {run_id}")


def nothing_is_held(recorder: AppRunRecorder) -> bool:
    """True if a run fits where there is room for that alone, and for no text."""
    before = recorder.counts.get("abandoned", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_run_recorder, "_MAX_OPEN_RUNS", 1)
        patch.setattr(app_run_recorder, "_MAX_OPEN_CHARS", 0)
        for number in range(30):  # more than one, since a recorder may leave some out
            recorder.began(f"probe {number}", None, lambda: None)
            recorder.failed(f"probe {number}")
    assert recorder.counts["failed"] > 0
    return recorder.counts.get("abandoned", 0) == before


def test_what_is_held_is_seen(recorder) -> None:
    begin(recorder, "a")
    assert not nothing_is_held(recorder)


def test_many_runs_at_once_do_not_mix(recorder, path) -> None:
    def run(number: int) -> None:
        begin(recorder, str(number))
        end(recorder, str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(200)))
    cases = read_cases(path)
    assert {case.id for case in cases} == set(map(str, range(200)))
    for case in cases:
        assert case.query == f"question of {case.id}"
        assert case.texts == (f"Ada. {case.id}",)
        assert case.reply == f"reply of {case.id}"
    assert recorder.counts == {"recorded": 200}
    assert nothing_is_held(recorder)


def test_runs_within_each_other_in_any_order(recorder, path) -> None:
    for run_id in "ab":
        begin(recorder, run_id)
    for run_id in "ab":
        end(recorder, run_id)
    assert [case.reply for case in read_cases(path)] == ["reply of a", "reply of b"]


def test_what_fails_is_counted_and_left_out(recorder, path) -> None:
    begin(recorder, "a")
    recorder.failed("a/chain")
    recorder.failed("a")
    recorder.began("b", None, lambda: "q")
    recorder.ended("b", lambda: "a")
    assert recorder.counts == {"failed": 1, "no_documents": 1}
    assert path.read_bytes() == b""
    assert nothing_is_held(recorder)


def test_a_part_that_fails_is_not_the_run(recorder, path) -> None:
    begin(recorder, "a")
    recorder.began("a/more", "a", never)
    recorder.source_began("a/more", "more")
    recorder.source_ended("a/more", tuple)
    recorder.failed("a/more")
    end(recorder, "a")
    assert [case.texts for case in read_cases(path)] == [("Ada. a",)]


def test_a_call_that_failed_is_not_waited_for(recorder, path) -> None:
    begin(recorder, "a")
    for call, said in (("1", None), ("2", "Ada.")):
        recorder.began(call, "a", never)
        recorder.call_began(call)
        recorder.call_ended(call, said)
        recorder.failed(call)
    end(recorder, "a")
    assert len(read_cases(path)) == 1


def test_a_run_that_ends_in_the_middle_of_its_answer(recorder, path) -> None:
    begin(recorder, "a")
    recorder.began("call", "a", never)
    recorder.call_began("call")
    end(recorder, "a")
    assert recorder.counts == {"abandoned": 1}
    assert path.read_bytes() == b""


def test_the_last_text_of_a_model_serves_where_the_app_does_not_say(recorder, path) -> None:
    begin(recorder, "a")
    for call, said in (("1", "I will look."), ("2", "Ada keeps it."), ("3", " ")):
        recorder.began(call, "a", never)
        recorder.call_began(call)
        recorder.call_ended(call, said)
        recorder.ended(call, never)
    recorder.ended("a", lambda: None)
    assert [case.reply for case in read_cases(path)] == ["Ada keeps it."]


class TestStreams:
    def test_an_answer_that_is_read_later(self, recorder, path) -> None:
        begin(recorder, "a")
        recorder.ended_with_promise("a")
        assert recorder.counts == {}
        recorder.began("call", None, lambda: None)
        recorder.call_began("call", "a")
        recorder.call_ended("call", "Ada.")
        recorder.ended("call", lambda: None)
        assert [case.reply for case in read_cases(path)] == ["Ada."]
        assert recorder.counts == {"recorded": 1, "no_documents": 1}

    def test_what_prepared_it_is_not_it(self, recorder, path) -> None:
        begin(recorder, "a")
        recorder.call_began("a")
        recorder.call_ended("a", "a better question")
        recorder.ended_with_promise("a")
        recorder.began("other", None, lambda: None)
        recorder.call_began("other", "b")
        recorder.call_ended("other", "an answer to something else")
        assert recorder.counts == {}
        recorder.call_began("call", "a")
        recorder.call_ended("call", "Ada.")
        assert [case.reply for case in read_cases(path)] == ["Ada."]

    @pytest.mark.parametrize("read_first", [False, True])
    def test_it_may_be_read_before_the_run_is_over(self, recorder, path, read_first) -> None:
        begin(recorder, "a")
        recorder.began("a/stream", "a", never)
        if read_first:
            recorder.answered("a/stream", "Ada.")
        recorder.ended_with_promise("a")
        if not read_first:
            recorder.answered("a/stream", "Ada.")
        assert [case.reply for case in read_cases(path)] == ["Ada."]

    def test_what_reads_it_may_begin_after_the_run_is_over(self, recorder, path) -> None:
        begin(recorder, "a")
        recorder.ended("a/chain", never)
        recorder.ended_with_promise("a")
        assert recorder.began("a/stream", "a", never)
        recorder.answered("a/stream", "Ada.")
        recorder.ended("a/stream", never)
        assert [case.reply for case in read_cases(path)] == ["Ada."]
        assert recorder.counts == {"recorded": 1}
        assert nothing_is_held(recorder)


class TestLimits:
    def test_a_share_of_the_runs(self, path) -> None:
        recorder = AppRunRecorder(CaseFile(path, None), task="t", sample=0.25)
        for number in range(400):
            begin(recorder, str(number))
            end(recorder, str(number))
        counts = recorder.counts
        assert counts["recorded"] + counts["not_sampled"] == 400
        assert 70 <= counts["recorded"] <= 130
        assert len(read_cases(path)) == counts["recorded"]
        assert nothing_is_held(recorder)

    def test_a_full_file_ends_the_recording(self, path) -> None:
        recorder = AppRunRecorder(CaseFile(path, 2), task="t", sample=1.0)
        for number in range(5):
            begin(recorder, str(number))
            end(recorder, str(number))
        assert recorder.counts == {"recorded": 2, "no_room": 3}

    def test_runs_that_never_end_are_given_up(self, recorder, monkeypatch) -> None:
        monkeypatch.setattr(app_run_recorder, "_MAX_OPEN_RUNS", 10)
        for number in range(25):
            begin(recorder, str(number))
        assert recorder.counts == {"abandoned": 15}
        end(recorder, "0")  # it comes too late
        end(recorder, "24")
        assert recorder.counts == {"abandoned": 15, "recorded": 1}

    def test_no_more_text_is_held_than_was_said(self, recorder, monkeypatch) -> None:
        monkeypatch.setattr(app_run_recorder, "_MAX_OPEN_CHARS", 1_000)
        for number in range(25):  # three at a time have room
            begin(recorder, str(number), "x" * 300)
            assert recorder.counts.get("abandoned", 0) == max(0, number - 2)
        begin(recorder, "long", "x" * 2_000)
        assert recorder.counts == {"abandoned": 26}
        assert nothing_is_held(recorder)

    @pytest.mark.parametrize("sample", [0, -1, 1.1, float("nan")])
    def test_a_share_that_means_nothing(self, path, sample) -> None:
        with pytest.raises(ValueError, match="sample must be a number in"):
            AppRunRecorder(CaseFile(path, None), task="t", sample=sample)


def test_what_it_was_not_told_of_is_no_error(recorder) -> None:
    recorder.source_began("x", "q")
    recorder.source_ended("x", never)
    recorder.call_ended("x", "text")
    recorder.answered("x", "text")
    recorder.ended("x", never)
    recorder.ended_with_promise("x")
    recorder.failed("x")
    assert recorder.counts == {}
    assert nothing_is_held(recorder)
