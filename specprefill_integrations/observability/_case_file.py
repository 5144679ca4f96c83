"""A file of evaluation cases that grows while an app runs.

Append-only, readable by its owner alone. Knows nothing about the content of cases, except that
secrets in their texts are masked.
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

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations._visible import visible
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.observability._masking import masked_texts

logger = logging.getLogger(__name__)

_START = b'{"id":'
_OWNER_ONLY = 0o600


class CaseFile:
    """Appends cases from many threads and event loops of one process.

    Each line is handed to the operating system at once: a killed process loses at most the line it
    was writing. With a running event loop, a thread writes and the loop is not blocked. A failed
    write, such as on a full disk, ends the recording, not the app.

    A deep copy is the same object. It cannot be pickled, since a process needs a file for itself.
    """

    @checked
    def __init__(
        self, path: str | Path, max_cases: PositiveInt | None, *, start: bytes = _START
    ) -> None:
        """Create the file or continue one; an incomplete last line is cut off.

        Args:
            path: The file, written by this process only.
            max_cases: Maximum number of cases, those already in the file included; None for no
                limit.
            start: The beginning of each line, by which the file is known.

        Raises:
            EvaluationDataError: The file has other content.
            OSError: The file cannot be created or written.
            ValueError: `max_cases` is below 1.
        """
        self.path = Path(path)
        self._max_cases = max_cases
        self._start = start
        self._lock = ForkSafeLock()  # held briefly, never during disk access
        self._disk_lock = ForkSafeLock()
        self._has_failed = False
        self._cases = self._count_cases()

    @property
    def cases(self) -> int:
        """Number of cases in the file, those being written included."""
        with self._lock:
            return self._cases

    @property
    def takes_more(self) -> bool:
        """True if the limit is not reached and no write has failed."""
        with self._lock:
            return self._takes_more()

    def add(self, case: Mapping[str, Any]) -> bool:
        """Append a case.

        Returns:
            False if the file takes no more; True if the case is written or about to be.
        """
        with self._lock:
            if not self._takes_more():
                return False
            self._cases += 1
        try:
            asyncio.get_running_loop().run_in_executor(None, self._append, case)
        except RuntimeError:  # no loop, or one that is shutting down: nothing to block
            return self._append(case)
        return True

    def _takes_more(self) -> bool:
        return not self._has_failed and (self._max_cases is None or self._cases < self._max_cases)

    def _append(self, case: Mapping[str, Any]) -> bool:
        line = f"{json.dumps(masked_texts(case))}\n".encode("ascii")
        try:
            with self._disk_lock:
                self._write(line)
        except OSError as error:
            with self._lock:
                self._has_failed = True
                self._cases -= 1
            logger.warning("Recording of cases stopped: %s", visible(str(error.strerror)))
            return False
        return True

    def _write(self, line: bytes) -> None:
        """Write the whole line or nothing: a partial line would make the file unreadable."""
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

    def _count_cases(self) -> int:
        """Create the file if missing, count its cases and cut off an incomplete last line."""
        self._opened().close()
        cases = whole_bytes = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.startswith(self._start[: len(line)]):
                    what = "is not a recording of cases, or of shadow mode; it was not changed."
                    msg = f"{str(self.path)!r} {what}"
                    raise EvaluationDataError(msg)
                if line.endswith(b"\n"):
                    cases += 1
                    whole_bytes += len(line)
        os.truncate(self.path, whole_bytes)
        self.path.chmod(_OWNER_ONLY)
        return cases

    def _opened(self) -> FileIO:
        return open(self.path, "ab", buffering=0, opener=_open_for_owner)

    def __deepcopy__(self, memo: dict[int, Any]) -> CaseFile:
        """Return the same object: a file has one writer."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        msg = "A CaseFile cannot be pickled: give every process a file of its own."
        raise TypeError(msg)


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_ONLY)
