"""A run log survives whatever ends a run, and mixes nothing up."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._run_log import open_run_log, setup_digest

SETUP = {"model": "tiny", "variants": ("full", "readout@0.2")}
RECORDS = [{"case": "1", "reply": "é\n"}, {"case": "2", "reply": "\ud800"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def write(path: Path, records: list[dict[str, str]]) -> None:
    with open_run_log(path, SETUP) as log:
        for record in records:
            log.append(record)


def read(path: Path) -> list[dict[str, str]]:
    with open_run_log(path, SETUP) as log:
        return log.records


def test_what_was_appended_is_there_again(path: Path) -> None:
    write(path, RECORDS[:1])
    write(path, RECORDS[1:])
    assert read(path) == RECORDS
    assert len(path.read_bytes().splitlines()) == 3


def test_a_record_is_in_the_file_before_the_next(path: Path) -> None:
    with open_run_log(path, SETUP) as log:
        log.append(RECORDS[0])
        assert json.loads(path.read_bytes().splitlines()[-1]) == RECORDS[0]


def test_wherever_writing_was_cut_off_whole_lines_remain(path: Path) -> None:
    write(path, RECORDS)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        complete = max(0, whole[:length].count(b"\n") - 1)
        assert read(path) == RECORDS[:complete]
        write(path, RECORDS[complete:])
        assert path.read_bytes() == whole


def test_another_setup_is_refused_and_says_why(path: Path) -> None:
    write(path, RECORDS)
    before = path.read_bytes()
    with (
        pytest.raises(EvaluationDataError, match="model: 'tiny' then, 'huge' now"),
        open_run_log(path, {**SETUP, "model": "huge"}),
    ):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"notes", b"notes\n", b"[1]\n", b'{"id": 1}\n', b'{"run": {}}\n[1]\n', b"\xff\n"]
)
def test_any_other_file_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(
        EvaluationDataError, match=r"not a log of `evaluate ab`|with a different setup"
    ):
        read(path)
    assert path.read_bytes() == content


def test_threads_share_it(path: Path) -> None:
    with open_run_log(path, SETUP) as log:
        threads = [
            threading.Thread(target=lambda n=n: [log.append({"n": n, "i": i}) for i in range(5)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = sorted((record["n"], record["i"]) for record in read(path))
    assert found == [(n, i) for n in range(4) for i in range(5)]


def test_the_digest_is_of_what_is_said_not_how() -> None:
    assert setup_digest({"a": 1, "b": [2]}) == setup_digest({"b": (2,), "a": 1})
    assert setup_digest({"a": 1}) != setup_digest({"a": 2})
