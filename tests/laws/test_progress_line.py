"""What takes more than two seconds says so on stderr where somebody looks, and nowhere else."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specprefill_integrations import Budget, ContextCompressor, Span, _progress_line, cli
from specprefill_integrations._progress_line import (
    counted,
    no_progress_line,
    progress_line,
    shown_instead,
)
from specprefill_integrations.evaluation import measure_limits
from specprefill_integrations.evaluation._limits import limit_cases
from specprefill_integrations.scoring._draft_location import GgufModel
from specprefill_integrations.scoring._gguf_cache import converted_folder
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import tiny_tokenizer

TEXT = "The cat sat on the mat. " * 20
BUDGET = Budget(keep_fraction=0.3)


class Screen(io.StringIO):
    """A stderr that is a terminal or not."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    @property
    def shown(self) -> str:
        """What is left on the screen, whatever was overwritten."""
        return self.getvalue().rpartition("\r")[2]


@dataclass(frozen=True)
class Slow(KeywordScorer):
    """Takes three seconds of a clock that stands still otherwise."""

    clock: Clock
    seconds: float = 3.0

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        self.clock.pass_by(self.seconds)
        return KeywordScorer().score_spans(query, texts, spans)


@dataclass
class Clock:
    """Time as the lines see it: it passes where the test says so."""

    now: float = 0.0
    ends: dict[threading.Thread, float] = field(default_factory=dict)
    moved: threading.Condition = field(default_factory=threading.Condition)

    def time(self) -> float:
        return self.now

    def wait(self, is_over: threading.Event, seconds: float) -> bool:
        """Wait as `is_over.wait(seconds)` does."""
        with self.moved:
            ends = self.ends[threading.current_thread()] = self.now + seconds
            self.moved.notify_all()
            while self.now < ends and not is_over.is_set():
                self.moved.wait(0.01)
        return is_over.is_set()

    def all_wait(self) -> bool:
        threads = [line._thread for line in _progress_line._shown]
        return all(self.ends.get(thread, 0) > self.now for thread in threads)

    def pass_by(self, seconds: float) -> None:
        """Let time pass in steps, each of which all lines have noticed before the next."""
        for step in range(1 + int(seconds * 2)):
            with self.moved:
                self.now += 0.5 * (step > 0)
                self.moved.notify_all()
                assert self.moved.wait_for(self.all_wait, 20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(_progress_line, "monotonic", found.time)
    monkeypatch.setattr(_progress_line, "_wait", found.wait)
    monkeypatch.delenv("SPECPREFILL_PROGRESS", raising=False)
    return found


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    found = Screen()
    its_sys = SimpleNamespace(stderr=found, modules=sys.modules)
    monkeypatch.setattr(_progress_line, "sys", its_sys)
    return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def compress(clock: Clock, seconds: float) -> None:
    ContextCompressor(Slow(clock, seconds)).compress(TEXT, "cat?", budget=BUDGET)


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_slow_draft_shows_a_line_in_a_terminal(clock: Clock, screen: Screen) -> None:
    compress(clock, 3.0)
    assert f"Compressing a text of {len(TEXT)} characters ... 2 s" in screen.getvalue()
    assert screen.shown == ""


def test_a_fast_one_shows_none(clock: Clock, screen: Screen) -> None:
    compress(clock, 1.5)
    assert screen.getvalue() == ""


def test_none_where_nobody_looks(clock: Clock, screen: Screen) -> None:
    screen.is_terminal = False
    compress(clock, 3.0)
    assert screen.getvalue() == ""


@pytest.mark.usefixtures("kernel")
def test_a_notebook_shows_one_also_for_calls_that_are_awaited(clock: Clock, screen: Screen) -> None:
    screen.is_terminal = False
    compressor = ContextCompressor(Slow(clock))
    compressor.compress(TEXT, "cat?", budget=BUDGET)
    asyncio.run(compressor.acompress(TEXT, "cat?", budget=BUDGET))
    assert screen.getvalue().count("... 2 s") == 2


def test_a_service_in_a_terminal_shows_none(clock: Clock, screen: Screen) -> None:
    compressor = ContextCompressor(Slow(clock))
    asyncio.run(compressor.acompress(TEXT, "cat?", budget=BUDGET))
    in_a_thread(lambda: compressor.compress(TEXT, "cat?", budget=BUDGET))
    assert screen.getvalue() == ""


def test_the_switch_turns_it_off(
    clock: Clock, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECPREFILL_PROGRESS", "0")
    compress(clock, 3.0)
    assert screen.getvalue() == ""


def test_a_command_shows_its_own(
    clock: Clock, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = SimpleNamespace(app=lambda **_: compress(clock, 3.0))
    monkeypatch.setattr(cli, "import_module", lambda _: module)
    context: Any = SimpleNamespace(info_name="compress", args=[], command_path="specprefill")
    cli._forward(context)
    assert screen.getvalue() == ""


def test_an_evaluation_counts_its_cases_in_one_line(clock: Clock, screen: Screen) -> None:
    cases = limit_cases(1)[:3]
    measure_limits(ContextCompressor(Slow(clock)), cases, [0.3])
    shown = screen.getvalue()
    assert "Measuring: 1 of 3 ... " in shown
    assert "Compressing" not in shown


def test_a_failure_ends_the_line(clock: Clock, screen: Screen) -> None:
    with (  # noqa: PT012 - the line is inside
        pytest.raises(ValueError, match="two") as caught,
        counted([1, 2], "Counting") as each,
    ):
        for one in each:
            if one > 1:
                raise ValueError("two")  # noqa: EM101
    clock.pass_by(5.0)
    assert caught.value.__traceback__ is not None
    assert screen.getvalue() == ""


def test_a_conversion_takes_the_line_or_logs(
    clock: Clock,
    screen: Screen,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path))

    def load(path: Path) -> Any:
        clock.pass_by(3.0)
        model = SimpleNamespace(save_pretrained=lambda folder: None)
        return model, tiny_tokenizer()

    with progress_line("Compressing"):
        gguf = GgufModel("one.gguf", "one", tmp_path / "one.gguf")
        in_a_thread(lambda: converted_folder(gguf, load))  # the engine's
        clock.pass_by(1.0)
    assert "Converting the draft model one.gguf, once ... 2 s" in screen.getvalue()
    assert screen.getvalue().count("Compressing ... ") > 0
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING):
        converted_folder(GgufModel("two.gguf", "two", tmp_path / "two.gguf"), load)
    assert "Converting the draft model two.gguf" in caplog.text


def test_progress_of_others_hides_it(clock: Clock, screen: Screen) -> None:
    with progress_line("Compressing"):
        clock.pass_by(2.0)
        with shown_instead(None) as is_shown:
            assert is_shown
            clock.pass_by(1.0)
            assert screen.shown == ""
            before = screen.getvalue()
            clock.pass_by(3.0)
            assert screen.getvalue() == before
    with no_progress_line(), progress_line("Compressing"), shown_instead("x") as is_shown:
        assert not is_shown


@pytest.fixture(autouse=True)
def _no_line_is_left() -> Iterator[None]:
    yield
    assert _progress_line._shown == []
    assert _progress_line._hidden == 0


@pytest.mark.parametrize("stream", [SimpleNamespace(write=print, flush=print), io.StringIO()])
def test_whatever_stands_in_place_of_stderr_nothing_fails(monkeypatch, stream) -> None:
    if isinstance(stream, io.StringIO):
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    assert compressor.compress(TEXT, "cat", budget=BUDGET).text
