"""The file that cases are recorded in: whole lines, whatever happens, for its owner alone."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation import read_cases
from specprefill_integrations.observability import _case_file as case_file
from specprefill_integrations.observability._case_file import CaseFile

WRITES_FOREVER = """
import sys
from specprefill_integrations.observability._case_file import CaseFile
file = CaseFile(sys.argv[1], None)
for number in range(1_000_000):
    file.add({"id": str(number), "text": "x" * 10_000})
    print(number, flush=True)
"""


def case(number: int = 1, text: str = "Ada keeps the light.") -> dict:
    return {
        "id": str(number),
        "task": "t",
        "query": "Who?",
        "documents": [{"text": text}],
        "answers": [],
        "reply": "Ada",
    }


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cases.jsonl"


@contextmanager
def small_disk(limit_bytes: int) -> Iterator[None]:
    """No file may become longer, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_added_is_read_as_cases(path: Path) -> None:
    texts = ["plain", 'quotes " and \\', "lines\n\r\u2028", "Bär 熊 🐻", "lone \ud800"]
    file = CaseFile(path, None)
    for number, text in enumerate(texts):
        assert file.add(case(number, text))
    assert [found.texts for found in read_cases(path)] == [(text,) for text in texts]


@pytest.mark.parametrize("was_open", [False, True])
def test_only_the_owner_reads_it(path: Path, was_open: bool) -> None:  # noqa: FBT001 - a parameter
    if was_open:
        path.touch(mode=0o644)
    CaseFile(path, None).add(case())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_was_moved_away_is_made_anew_and_as_private(path: Path) -> None:
    file = CaseFile(path, None)
    path.rename(path.with_suffix(".old"))
    file.add(case())
    assert ids(path) == ["1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_threads_write_whole_lines(path: Path) -> None:
    file = CaseFile(path, None)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: file.add(case(n, "x" * 20_000)), range(200)))
    assert sorted(map(int, ids(path))) == list(range(200))


async def test_an_event_loop_does_not_wait_for_the_disk(path: Path) -> None:
    file = CaseFile(path, None)
    with blockbuster_ctx():
        for number in range(5):
            file.add(case(number))
    await asyncio.get_running_loop().shutdown_default_executor()
    assert sorted(ids(path)) == list("01234")


async def test_nor_for_a_disk_that_does_not_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CaseFile(path, None)
    writes, goes_on = threading.Event(), threading.Event()

    def stall(*arguments: Any, **options: Any) -> Any:
        writes.set()
        goes_on.wait(30)
        return open(*arguments, **options)  # noqa: PTH123 - what the module calls

    monkeypatch.setattr(case_file, "open", stall, raising=False)
    guard = threading.Timer(20, goes_on.set)  # a loop that waited could not tell
    guard.start()
    assert file.add(case(1))
    assert await asyncio.to_thread(writes.wait, 10)
    assert file.takes_more
    assert file.add(case(2))
    assert file.cases == 2
    waited = goes_on.is_set()
    goes_on.set()
    guard.cancel()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not waited
    assert sorted(ids(path)) == list("12")


async def test_a_loop_that_is_about_to_end_loses_nothing(path: Path) -> None:
    file = CaseFile(path, None)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert file.add(case())
    assert ids(path) == ["1"]


def test_no_more_than_was_said_with_those_of_before(path: Path) -> None:
    first = CaseFile(path, 3)
    assert [first.add(case(n)) for n in range(2)] == [True, True]
    again = CaseFile(path, 3)
    assert again.takes_more
    assert [again.add(case(n)) for n in (2, 3)] == [True, False]
    assert not again.takes_more
    assert ids(path) == ["0", "1", "2"]


def test_many_threads_do_not_pass_the_limit(path: Path) -> None:
    file = CaseFile(path, 20)
    start = threading.Barrier(8)

    def fill(_: int) -> int:
        start.wait()
        return sum(file.add(case()) for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(fill, range(8))) == 20
    assert len(ids(path)) == 20


def test_what_a_kill_left_half_written_is_cut_off(path: Path) -> None:
    CaseFile(path, None).add(case())
    whole = path.read_bytes()
    for kept in (1, 5, 40, len(whole) - 1):
        path.write_bytes(whole + whole[:kept])
        assert CaseFile(path, None).cases == 1
        assert path.read_bytes() == whole


def test_a_kill_costs_at_most_the_last_line(path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - Python itself
        [sys.executable, "-c", WRITES_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        last = [*range(20), *map(int, process.stdout.read().split())][-1]
    CaseFile(path, None)
    found = list(map(int, ids(path)))
    assert found == list(range(len(found)))
    assert len(found) > last


@pytest.mark.parametrize("held", [b"dear diary", b"[1]\n", b'{"run": 1}\n', b"\n", b'{"id": 1}\nx'])
def test_a_file_of_another_kind_is_left_as_it_is(path: Path, held: bytes) -> None:
    path.write_bytes(held)
    path.chmod(0o644)
    with pytest.raises(EvaluationDataError, match="is not a recording of cases"):
        CaseFile(path, None)
    assert path.read_bytes() == held
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_full_disk_ends_the_recording_and_not_the_app(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = CaseFile(path, None)
    file.add(case(0))
    with small_disk(1_000), caplog.at_level(logging.WARNING):
        assert not file.add(case(1, "secret " * 1_000))
        assert not file.add(case(2))
    assert not file.takes_more
    assert ids(path) == ["0"]
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_what_cannot_be_is_said_at_once(path: Path) -> None:
    with pytest.raises(ValueError, match="max_cases must be a whole number of at least 1"):
        CaseFile(path, 0)
    with pytest.raises(FileNotFoundError):
        CaseFile(path / "no folder" / "cases.jsonl", None)
