"""A file of evaluation cases that grows while an app runs.

Only ever appended to, readable by its owner alone. Knows nothing about what the cases say.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.errors import EvaluationDataError

logger = logging.getLogger(__name__)

_START = b'{"id":'
_OWNER_ONLY = 0o600


class CaseFile:
    """Takes cases from many threads and event loops of one process.

    Every line is handed to the system as soon as it is made: a process that is killed loses the
    one that it was writing. Where there is an event loop, a thread writes, and the loop goes on. A
    file that cannot be written any more, as on a full disk, ends the recording and not the app.
    """

    def __init__(self, path: str | Path, max_cases: int | None) -> None:
        """Make the file, or go on with one; what a killed process left half written is cut off.

        Args:
            path: The file. Another process needs another one.
            max_cases: It takes no more than so many, earlier ones included; None for no limit.

        Raises:
            EvaluationDataError: The file holds something else.
            OSError: It cannot be made or written.
            ValueError: `max_cases` is not a number above 0.
        """
        if max_cases is not None and max_cases < 1:
            msg = f"max_cases must be at least 1; got {max_cases!r}."
            raise ValueError(msg)
        self.path = Path(path)
        self._max_cases = max_cases
        self._lock = ForkSafeLock()  # held for moments, never while the disk works
        self._disk_lock = ForkSafeLock()
        self._has_failed = False
        self._cases = self._go_on()

    @property
    def cases(self) -> int:
        """How many cases it holds, those on their way to the disk included."""
        with self._lock:
            return self._cases

    @property
    def takes_more(self) -> bool:
        """Whether there is room, and the disk takes it."""
        with self._lock:
            return self._takes_more()

    def add(self, case: Mapping[str, Any]) -> bool:
        """Append a case; return whether the file takes it, as far as that is known by now."""
        with self._lock:
            if not self._takes_more():
                return False
            self._cases += 1
        try:
            asyncio.get_running_loop().run_in_executor(None, self._append, case)
        except RuntimeError:  # there is no loop, or it is about to end: nothing else waits
            return self._append(case)
        return True

    def _takes_more(self) -> bool:
        return not self._has_failed and (self._max_cases is None or self._cases < self._max_cases)

    def _append(self, case: Mapping[str, Any]) -> bool:
        line = f"{json.dumps(case)}\n".encode("ascii")
        try:
            with self._disk_lock:
                self._write(line)
        except OSError as error:
            with self._lock:
                self._has_failed = True
                self._cases -= 1
            logger.warning("recording of cases ends: %s", error.strerror)
            return False
        return True

    def _write(self, line: bytes) -> None:
        """Write a line or nothing: a half one would make the file unreadable."""
        with self._opened() as file:
            end = file.seek(0, os.SEEK_END)
            try:
                written = file.write(line)
                if written != len(line):
                    msg = "no room for a whole line"
                    raise OSError(None, msg)  # noqa: TRY301 - like the system's own
            except OSError:
                file.truncate(end)
                raise

    def _go_on(self) -> int:
        """Make the file if there is none; count its cases, and cut off half a line at its end."""
        self._opened().close()
        cases = whole_bytes = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.startswith(_START[: len(line)]):
                    msg = f"{str(self.path)!r} is no recording of cases, and is left as it is."
                    raise EvaluationDataError(msg)
                if line.endswith(b"\n"):
                    cases += 1
                    whole_bytes += len(line)
        os.truncate(self.path, whole_bytes)
        self.path.chmod(_OWNER_ONLY)
        return cases

    def _opened(self) -> FileIO:
        return open(self.path, "ab", buffering=0, opener=_open_for_owner)


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_ONLY)
