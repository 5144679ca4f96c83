"""A store of originals in an SQLite file: survives restarts, shared by processes."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from specprefill_integrations.errors import OriginalStoreError
from specprefill_integrations.originals._original_store import (
    check_limits,
    pack_text,
    reference_of,
    unpack_text,
)

logger = logging.getLogger(__name__)

# Wait for another writer.
_BUSY_SECONDS = 10.0

# Raise the number in the names when the columns change. `used` is a counter, so that recency does
# not depend on a clock; `packed` comes last, so that the other columns are read without it.
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
    """Keeps originals in a file; the least recently used are dropped first.

    Safe to use from many threads, event loops and processes at once, forked ones included, on a
    local disk. Once `put` has returned a reference, the text survives a killed process. A new file
    is readable by its owner only. A copy, also in another process, uses the same file.

    A damaged text is treated as missing. If the file cannot be read or written, nothing is kept or
    found, and the log says why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 256 * 1024 * 1024,
        max_age_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file.

        Args:
            path: The file; missing folders are created.
            max_bytes: Bytes of all texts together, compressed as stored; the file is slightly
                larger.
            max_age_seconds: Seconds after its latest `put` for which a text is kept; None for no
                limit.
            clock: Returns the time in seconds, the same in all processes.

        Raises:
            OriginalStoreError: A limit is not above 0, or the file cannot be opened as a database.
        """
        check_limits(max_bytes=max_bytes, max_age_seconds=max_age_seconds)
        self.path = Path(path).absolute()
        self.max_bytes = max_bytes
        self.max_age_seconds = max_age_seconds
        self._clock = clock
        # By process: a forked child must neither use nor close its parent's connections.
        self._idle_of: dict[int, deque[sqlite3.Connection]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Never opens an existing file: closing it would drop this process's locks on it.
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
        """Keep a text; see `OriginalStore.put`. A text over `max_bytes`, packed, is not kept."""
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
        """Return the text, or None; see `OriginalStore.get`."""
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
        """Keep a text, in a thread."""
        return await asyncio.to_thread(self.put, text)

    async def aget(self, reference: str) -> str | None:
        """Return the text, or None, in a thread."""
        return await asyncio.to_thread(self.get, reference)

    def close(self) -> None:
        """Close this process's connections; the next call opens a new one."""
        idle = self._idle()
        while idle:
            idle.pop().close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the same file again."""
        reopen = partial(
            type(self),
            max_bytes=self.max_bytes,
            max_age_seconds=self.max_age_seconds,
            clock=self._clock,
        )
        return reopen, (self.path,)

    def _note_use(self, reference: str) -> None:
        """Mark a text as used; if that fails, it is only dropped earlier."""
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
        """Drop expired texts, then the least recently used, within the open transaction."""
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
        """Return the time of `put` at or before which a text is expired."""
        if self.max_age_seconds is None:
            return float("-inf")
        return self._clock() - self.max_age_seconds

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction, with no other writer in between."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for a block.

        Connections are not per thread: agents run tools in short-lived threads.
        """
        idle = self._idle()
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        except BaseException:  # its state is unknown: do not lend it again
            connection.close()
            raise
        idle.append(connection)

    def _idle(self) -> deque[sqlite3.Connection]:
        """Return the unused connections of this process."""
        return self._idle_of.setdefault(os.getpid(), deque())

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # With a write-ahead log readers never wait, and a killed process leaves all of a
            # transaction or nothing. It is on disk by the next checkpoint.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
