"""What a long run has found so far, in a file that survives being killed.

JSON lines: the first says how the run is set up, each further one is a record. Knows nothing about
what the records say.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from specprefill_integrations.errors import EvaluationDataError

_SETUP = "run"


class RunLog:
    """An open log: what it held, and a place for more. Many threads may append."""

    def __init__(self, file: BinaryIO, records: list[dict[str, Any]]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.records = records
        """What an earlier run left there, in its order."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is on the disk when this returns."""
        line = f"{json.dumps(record)}\n".encode("ascii")
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())


@contextmanager
def open_run_log(
    path: Path, setup: Mapping[str, Any], *, outdated: Collection[str] = ()
) -> Iterator[RunLog]:
    """Start a log, or go on with one that was started with the same setup.

    A last line without an end was being written when a run was killed, and is dropped.

    Args:
        path: The file; it need not exist, its folder must.
        setup: What must be the same for records to be comparable, as plain values for JSON.
        outdated: Names that older logs state in their setup and that need not be the same.

    Raises:
        EvaluationDataError: The file is no such log, or one of another setup.
    """
    with path.open("a+b") as file:
        file.seek(0)
        held = file.read()
        whole = held[: held.rfind(b"\n") + 1]
        lines = _parsed(path, whole)
        if lines:
            _check_setup(path, lines[0], setup, outdated)
        elif not _starts_a_log(held):
            raise _no_log(path)
        file.truncate(len(whole))
        log = RunLog(file, lines[1:])
        if not lines:
            log.append({_SETUP: dict(setup)})
        yield log


def setup_digest(setup: Mapping[str, Any]) -> str:
    """A short name of a setup: the same for the same, another for another."""
    text = json.dumps(setup, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _starts_a_log(held: bytes) -> bool:
    """Whether this is nothing, or the first line of a log as far as it was written."""
    start = f'{{"{_SETUP}": '.encode()
    return start.startswith(held[: len(start)])


def _parsed(path: Path, data: bytes) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in data.splitlines()]
    except ValueError as error:
        raise _no_log(path) from error
    if not all(isinstance(line, dict) for line in lines) or (lines and _SETUP not in lines[0]):
        raise _no_log(path)
    return lines


def _check_setup(
    path: Path, first: Mapping[str, Any], setup: Mapping[str, Any], outdated: Collection[str]
) -> None:
    then = {name: value for name, value in first[_SETUP].items() if name not in outdated}
    now = json.loads(json.dumps(setup))
    if then == now:
        return
    changed = [
        f"{name}: {then.get(name)!r:.200} then, {now.get(name)!r:.200} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    msg = "\n".join([f"{str(path)!r} is the log of a run that was set up otherwise.", *changed])
    raise EvaluationDataError(msg)


def _no_log(path: Path) -> EvaluationDataError:
    return EvaluationDataError(f"{str(path)!r} is no log of a run, and is left as it is.")
