"""A log of results as JSON lines that survives a killed process.

The first line holds the setup of the run; each further line is a record.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.observability._masking import masked_texts

_SETUP = "run"


class RunLog:
    """An open log. Many threads may append."""

    def __init__(
        self, file: BinaryIO, path: Path, setup: Mapping[str, Any], records: list[dict[str, Any]]
    ) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.path = path
        """The file."""
        self.setup = setup
        """Setup that all records share."""
        self.records = records
        """Records of earlier runs, in their order."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record, secrets in its texts masked; it is on the disk when this returns."""
        line = f"{json.dumps(masked_texts(record))}\n".encode("ascii")
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())


@checked
@contextmanager
def open_run_log(path: Path | str, setup: Mapping[str, Any]) -> Iterator[RunLog]:
    """Start a log, or continue one with the same setup.

    An incomplete last line, left by a killed process, is dropped.

    Args:
        path: The file; its folder must exist.
        setup: Whatever results depend on, as plain JSON values.

    Raises:
        EvaluationDataError: The file is no such log, or has another setup.
    """
    path = Path(path)
    with path.open("a+b") as file:
        file.seek(0)
        held = file.read()
        whole = held[: held.rfind(b"\n") + 1]
        lines = _parsed(path, whole)
        if lines:
            _check_setup(path, lines[0], setup)
        elif not _starts_a_log(held):
            raise _no_log(path)
        file.truncate(len(whole))
        log = RunLog(file, path, setup, lines[1:])
        if not lines:
            log.append({_SETUP: dict(setup)})
        yield log


def setup_digest(setup: Mapping[str, Any]) -> str:
    """A short hash of a setup."""
    text = json.dumps(setup, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _starts_a_log(held: bytes) -> bool:
    """True for an empty file and for an incomplete first line of a log."""
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


def _check_setup(path: Path, first: Mapping[str, Any], setup: Mapping[str, Any]) -> None:
    then, now = first[_SETUP], json.loads(json.dumps(setup))
    if then == now:
        return
    changed = [
        f"{name}: {then.get(name)!r:.200} then, {now.get(name)!r:.200} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    msg = "\n".join([f"{str(path)!r} was written with a different setup:", *changed])
    raise EvaluationDataError(msg)


def _no_log(path: Path) -> EvaluationDataError:
    msg = f"{str(path)!r} is not a log of `evaluate ab`; the file was not changed."
    return EvaluationDataError(msg)
