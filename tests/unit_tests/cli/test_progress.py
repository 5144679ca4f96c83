"""Progress outside a terminal is lines of text, and none at all if it must be quiet."""

from __future__ import annotations

import re
import threading

import pytest

from specprefill_integrations.cli import _progress
from specprefill_integrations.cli._progress import progress_bar, working

LINE = re.compile(r"reading \[1\]: [123] of 3, (-:--:--|0:00:\d\d) left")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "LINE_SECONDS", 0.0)


class TestSteps:
    def test_steps_are_lines(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress_bar(quiet=False) as progress:
            task = progress.add_task("reading [1]", total=3)
            for _ in range(3):
                progress.advance(task)
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(":")[1].split()[0] for line in lines] == ["1", "2", "3"]
        assert all(map(LINE.fullmatch, lines))

    def test_the_items_of_a_list_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress_bar(quiet=False) as progress:
            assert list(progress.track("abc", description="reading [1]")) == list("abc")
        assert len(capsys.readouterr().err.splitlines()) == 3

    def test_some_time_lies_between_two_lines(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_progress, "LINE_SECONDS", 1000.0)
        with progress_bar(quiet=False) as progress:
            list(progress.track("abc"))
        assert capsys.readouterr().err == ""

    def test_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress_bar(quiet=True) as progress:
            list(progress.track("abc"))
        assert capsys.readouterr().err == ""


class TestWorking:
    def test_what_takes_long_is_said_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        with working("loading [a] draft", quiet=False, patience=0.0) as change:
            self.wait_for_timers()
            change("scoring\x1b")
            self.wait_for_timers()
        assert capsys.readouterr().err == "loading [a] draft ...\nscoring\ufffd ...\n"

    def test_what_is_quick_is_not(self, capsys: pytest.CaptureFixture[str]) -> None:
        with working("loading", quiet=False, patience=1000.0):
            pass
        self.wait_for_timers()
        assert capsys.readouterr().err == ""

    def test_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        with working("loading", quiet=True, patience=0.0) as change:
            change("scoring")
            self.wait_for_timers()
        assert capsys.readouterr().err == ""

    def wait_for_timers(self) -> None:
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()
