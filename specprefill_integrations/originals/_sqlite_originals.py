"""Originals in a file of SQLite: they survive a restart and are shared by processes."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from specprefill_integrations.errors import OriginalStoreError
from specprefill_integrations.originals._original_store import (
    check_limits,
    pack_text,
    reference_of,
    unpack_text,
)

logger = logging.getLogger(__name__)

# How long one waits for another who writes.
_BUSY_SECONDS = 10.0

# Raise the number in the names when the columns change. `used` counts up, so that no clock decides
# what was used last; `packed` comes last, so that the rest is read without it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS specprefill_originals_1 (
    reference TEXT PRIMARY KEY,
    put_at REAL NOT NULL,
    used INTEGER NOT NULL,
    packed_bytes INTEGER NOT NULL,
    packed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS specprefill_originals_1_used
    ON specprefill_originals_1 (used, packed_bytes);
CREATE INDEX IF NOT EXISTS specprefill_originals_1_put_at
    ON specprefill_originals_1 (put_at);
"""

_NEXT_USE = "(SELECT coalesce(max(used), 0) + 1 FROM specprefill_originals_1)"


class SqliteOriginals:
    """Keeps originals in a file; where room runs out, the longest unused go first.

    Safe to use from many threads, event loops and processes at once, forked ones included, on a
    local disk: what `put` has returned a reference for outlives a process that is killed. A new
    file can be read by its owner alone.

    A text that is damaged in the file is treated as missing. Where the file cannot be read or
    written, nothing is kept or found, and the log says why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 256 * 1024 * 1024,
        max_age_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, or make it.

        Args:
            path: The file; its folder is made too.
            max_bytes: Bytes of all texts together, compressed as they are stored; the file itself
                is a little larger.
            max_age_seconds: How long after it was last put a text is given back; None is for as
                long as there is room.
            clock: Tells the time in seconds, the same to all processes.

        Raises:
            OriginalStoreError: A limit is not above 0, or the file cannot be opened as a database.
        """
        check_limits(max_bytes=max_bytes, max_age_seconds=max_age_seconds)
        self.path = Path(path).absolute()
        self.max_bytes = max_bytes
        self.max_age_seconds = max_age_seconds
        self._clock = clock
        # By process: a forked child must neither use nor close what its parent opened.
        self._idle_of: dict[int, deque[sqlite3.Connection]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Does not open a file that is there: closing it would drop the locks of this process.
            self.path.touch(mode=0o600)
            with self._transaction():
                pass
        except (OSError, sqlite3.Error) as error:
            msg = f"{str(self.path)!r} cannot be opened as a store of originals: {error}"
            raise OriginalStoreError(msg) from error

    def __getstate__(self) -> dict[str, object]:
        """Leave the open connections out of copies and pickles."""
        return {**self.__dict__, "_idle_of": {}}

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. One of more than `max_bytes`, packed, is not."""
        packed = pack_text(text)
        if len(packed) > self.max_bytes:
            return None
        reference = reference_of(text)
        try:
            with self._transaction() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO specprefill_originals_1 "  # noqa: S608 - a constant
                    f"VALUES (?, ?, {_NEXT_USE}, ?, ?)",
                    (reference, self._clock(), len(packed), packed),
                )
                self._make_room(connection)
        except sqlite3.Error:
            logger.warning("No original could be kept in %s.", self.path, exc_info=True)
            return None
        return reference

    def get(self, reference: str) -> str | None:
        """The text, or None; see `OriginalStore.get`."""
        try:
            with self._connection() as connection:
                row = connection.execute(
                    "SELECT packed FROM specprefill_originals_1 WHERE reference = ? AND put_at > ?",
                    (reference, self._oldest()),
                ).fetchone()
        except sqlite3.Error:
            logger.warning("No original could be read from %s.", self.path, exc_info=True)
            return None
        if row is None:
            return None
        self._note_use(reference)
        return unpack_text(row[0], reference)

    async def aput(self, text: str) -> str | None:
        """`put`, in a thread."""
        return await asyncio.to_thread(self.put, text)

    async def aget(self, reference: str) -> str | None:
        """`get`, in a thread."""
        return await asyncio.to_thread(self.get, reference)

    def close(self) -> None:
        """Close the file as far as this process has it open; the next call opens it again."""
        idle = self._idle()
        while idle:
            idle.pop().close()

    def _note_use(self, reference: str) -> None:
        """Count a text as used just now; where that fails it only goes earlier than it might."""
        try:
            with self._connection() as connection:
                connection.execute(
                    f"UPDATE specprefill_originals_1 SET used = {_NEXT_USE} "  # noqa: S608
                    "WHERE reference = ?",
                    (reference,),
                )
        except sqlite3.Error:
            logger.debug("The use of %s was not noted.", reference, exc_info=True)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Drop what is too old, then the longest unused, in the transaction that is open."""
        connection.execute(
            "DELETE FROM specprefill_originals_1 WHERE put_at <= ?", (self._oldest(),)
        )
        [(total,)] = connection.execute("SELECT sum(packed_bytes) FROM specprefill_originals_1")
        while total > self.max_bytes:
            [(used, packed_bytes)] = connection.execute(
                "SELECT used, packed_bytes FROM specprefill_originals_1 ORDER BY used LIMIT 1"
            )
            connection.execute("DELETE FROM specprefill_originals_1 WHERE used = ?", (used,))
            total -= packed_bytes

    def _oldest(self) -> float:
        """When a text may have been put at the latest to be too old now."""
        if self.max_age_seconds is None:
            return float("-inf")
        return self._clock() - self.max_age_seconds

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, with no other writer in between."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile.

        Not one a thread: agents run their tools in threads that do not live long.
        """
        idle = self._idle()
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        except BaseException:  # whatever state it is in, the next one gets a new one
            connection.close()
            raise
        idle.append(connection)

    def _idle(self) -> deque[sqlite3.Connection]:
        """The connections of this process that nobody uses now."""
        return self._idle_of.setdefault(os.getpid(), deque())

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # With a log written ahead nobody who reads waits, and a killed process leaves either
            # all of a transaction or nothing. It is on the disk by the next checkpoint.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
