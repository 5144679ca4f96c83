"""A store of originals in an SQLite file: survives restarts, shared by processes."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from specprefill_integrations._arguments import check, checked
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.errors import OriginalStoreError
from specprefill_integrations.originals._original_store import (
    KEY_BYTES,
    check_limits,
    pack_text,
    reference_of,
    unpack_text,
)
from specprefill_integrations.pipeline._failures import FailureLog

logger = logging.getLogger(__name__)

# Wait for another writer.
_BUSY_SECONDS = 10.0

# Wait for another writer to note the use of a text.
_NOTE_MS = 200

# Raise the number in the names when the columns change. `used` is a counter, so that recency does
# not depend on a clock; `packed` comes last, so that the other columns are read without it.
#
# Triggers keep the sum of `packed_bytes`, whatever process or version writes: no `put` needs to add
# up all rows. `INSERT OR REPLACE` runs no trigger for the row that it replaces.
_SCHEMA = """
BEGIN IMMEDIATE;
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
CREATE TABLE IF NOT EXISTS specprefill_store_1 (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL,
    packed_bytes INTEGER NOT NULL
);
CREATE TRIGGER IF NOT EXISTS specprefill_originals_1_put
    BEFORE INSERT ON specprefill_originals_1
BEGIN
    UPDATE specprefill_store_1 SET packed_bytes = packed_bytes + NEW.packed_bytes - coalesce(
        (SELECT packed_bytes FROM specprefill_originals_1 WHERE reference = NEW.reference), 0
    );
END;
CREATE TRIGGER IF NOT EXISTS specprefill_originals_1_drop
    AFTER DELETE ON specprefill_originals_1
BEGIN
    UPDATE specprefill_store_1 SET packed_bytes = packed_bytes - OLD.packed_bytes;
END;
INSERT OR IGNORE INTO specprefill_store_1
    SELECT 1, x'{key}', coalesce(sum(packed_bytes), 0) FROM specprefill_originals_1;
COMMIT;
"""

_HAS_KEY = "SELECT 1 FROM sqlite_master WHERE name = 'specprefill_store_1'"
_KEY = "SELECT key FROM specprefill_store_1"
_PACKED = "SELECT packed FROM specprefill_originals_1 WHERE reference = ?"
_NEXT_USE = "(SELECT coalesce(max(used), 0) + 1 FROM specprefill_originals_1)"

_NOT_KEPT = "no original could be kept"
_NOT_READ = "no original could be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A connection to the file, and what does not change while it is open."""

    connection: sqlite3.Connection
    """The connection."""

    key: bytes | None
    """The key of the references; None where the file has no usable one and is only read."""

    file: tuple[int, int] | None
    """The identity of the file."""

    can_write: bool
    """False for a file that can only be read."""


class SqliteOriginals:
    """Keeps originals in a file; the least recently used are dropped first.

    Safe to use from many threads, event loops and processes at once, forked ones included, on a
    local disk. Once `put` has returned a reference, the text survives a killed process. A new file
    is readable by its owner only. A copy, also in another process, uses the same file.

    References are made with a random key in the file. Files of earlier versions get one; references
    that they gave stay valid.

    A damaged text is treated as missing. If the file cannot be read or written, nothing is kept or
    found, and the log says why. A file that can only be read is a store to which nothing is added.
    """

    @checked
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
        self._idle_of: dict[int, deque[_Opened]] = {}
        self._failures = FailureLog()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection():
                pass
        except (OSError, ValueError, sqlite3.Error) as error:
            msg = f"{str(self.path)!r} cannot be opened as a store of originals: {error}"
            raise OriginalStoreError(msg) from error

    def __getstate__(self) -> dict[str, object]:
        """Leave the open connections out of copies and pickles."""
        return {**self.__dict__, "_idle_of": {}}

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. A text over `max_bytes`, packed, is not kept."""
        packed = pack_text(check("text", text, str))
        if len(packed) > self.max_bytes:
            return None
        try:
            with self._transaction() as opened:
                return self._put(opened, text, packed)
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
            self._note(_NOT_KEPT, error)
            return None

    def get(self, reference: str) -> str | None:
        """Return the text, or None; see `OriginalStore.get`."""
        check("reference", reference, str)
        try:
            with self._connection() as opened:
                row = opened.connection.execute(
                    f"{_PACKED} AND put_at > ?", (reference, self._oldest())
                ).fetchone()
            text = None if row is None else unpack_text(row[0], reference, opened.key or b"")
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
            self._note(_NOT_READ, error)
            return None
        if text is not None:
            self._note_use(reference)
        return text

    def reference_of(self, text: str) -> str | None:
        """Return the reference of a text; None if the file cannot be written."""
        check("text", text, str)
        try:
            with self._connection() as opened:
                key = opened.key if opened.can_write else None
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
            self._note(_NOT_KEPT, error)
            return None
        return None if key is None else reference_of(text, key)

    async def areference_of(self, text: str) -> str | None:
        """Return the reference of a text, in a thread."""
        return await run_in_thread(lambda: self.reference_of(text))

    async def aput(self, text: str) -> str | None:
        """Keep a text, in a thread."""
        return await run_in_thread(lambda: self.put(text))

    async def aget(self, reference: str) -> str | None:
        """Return the text, or None, in a thread."""
        return await run_in_thread(lambda: self.get(reference))

    def close(self) -> None:
        """Close this process's connections; the next call opens a new one."""
        idle = self._idle()
        while idle:
            idle.pop().connection.close()

    def __del__(self) -> None:
        """Close what was not closed: from Python 3.13 on, an open connection warns."""
        if "_idle_of" in self.__dict__:  # none if the arguments were refused
            self.close()

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
            with self._connection() as opened:
                if opened.can_write:
                    # The caller for a text does not wait until another writer is done.
                    opened.connection.execute(f"PRAGMA busy_timeout = {_NOTE_MS}")
                    opened.connection.execute(
                        f"UPDATE specprefill_originals_1 SET used = {_NEXT_USE} "  # noqa: S608
                        "WHERE reference = ?",
                        (reference,),
                    )
                    opened.connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")
        except Exception:  # the text was found all the same
            logger.debug("The use of an original was not noted.", exc_info=True)

    def _note(self, failure: str, error: Exception) -> None:
        self._failures.add(logger, f"Store {self.path}", failure, error)

    def _put(self, opened: _Opened, text: str, packed: bytes) -> str:
        """Keep a text within the open transaction, and read it back: the file may be damaged."""
        if opened.key is None:
            msg = "its key is damaged"
            raise sqlite3.DatabaseError(msg)
        reference = reference_of(text, opened.key)
        opened.connection.execute(
            "INSERT OR REPLACE INTO specprefill_originals_1 "  # noqa: S608 - a constant
            f"VALUES (?, ?, {_NEXT_USE}, ?, ?)",
            (reference, self._clock(), len(packed), packed),
        )
        self._make_room(opened.connection)
        if opened.connection.execute(_PACKED, (reference,)).fetchone() != (packed,):
            msg = "it does not return what was put"
            raise sqlite3.DatabaseError(msg)
        return reference

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Drop expired texts, then the least recently used, within the open transaction."""
        connection.execute(
            "DELETE FROM specprefill_originals_1 WHERE put_at <= ?", (self._oldest(),)
        )
        [(total,)] = connection.execute("SELECT packed_bytes FROM specprefill_store_1")
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
    def _transaction(self) -> Iterator[_Opened]:
        """Run a block as one transaction, with no other writer in between."""
        with self._connection() as opened:
            opened.connection.execute("BEGIN IMMEDIATE")
            with opened.connection:
                yield opened

    @contextmanager
    def _connection(self) -> Iterator[_Opened]:
        """Lend a connection for a block.

        Connections are not per thread: agents run tools in short-lived threads.
        """
        opened = self._taken() or self._open()
        try:
            yield opened
        except BaseException:  # its state is unknown: do not lend it again
            opened.connection.close()
            raise
        if opened.can_write:
            self._idle().append(opened)
        else:  # the next call may be able to write
            opened.connection.close()

    def _taken(self) -> _Opened | None:
        """Take an unused connection to the file that is there now; it may have been replaced."""
        idle, file = self._idle(), _identity(self.path)
        while idle:
            try:
                opened = idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if opened.file == file:
                return opened
            opened.connection.close()
        return None

    def _idle(self) -> deque[_Opened]:
        """Return the unused connections of this process."""
        return self._idle_of.setdefault(os.getpid(), deque())

    def _open(self) -> _Opened:
        """Open the file, for reading only if it cannot be written."""
        # Never opens an existing file: closing it would drop this process's locks on it.
        if not self.path.exists():
            self.path.touch(mode=0o600)
        if not os.access(self.path, os.W_OK):
            return self._open_to_read()
        try:
            return self._open_to_write()
        except sqlite3.OperationalError as error:
            try:
                return self._open_to_read()
            except sqlite3.Error:
                raise error from None

    def _open_to_write(self) -> _Opened:
        connection = _connect(str(self.path))
        try:
            # With a write-ahead log readers never wait, and a killed process leaves all of a
            # transaction or nothing. It is on disk by the next checkpoint.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if not connection.execute(_HAS_KEY).fetchone():
                connection.executescript(_SCHEMA.format(key=secrets.token_hex(KEY_BYTES)))
            return _opened(connection, self.path, can_write=True)
        except BaseException:
            connection.close()
            raise

    def _open_to_read(self) -> _Opened:
        # Reading with a log may create files, which a folder that is only read does not allow.
        log = self.path.with_name(f"{self.path.name}-wal")
        mode = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
        connection = _connect(f"{self.path.as_uri()}?{mode}")
        try:
            return _opened(connection, self.path, can_write=False)
        except BaseException:
            connection.close()
            raise


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=address.startswith("file:"),
    )


def _opened(connection: sqlite3.Connection, path: Path, *, can_write: bool) -> _Opened:
    """Read the key of a file's references."""
    has_key = connection.execute(_HAS_KEY).fetchone()
    [key] = connection.execute(_KEY).fetchone() or [None] if has_key else [None]
    is_valid = isinstance(key, bytes) and len(key) == KEY_BYTES
    return _Opened(
        connection=connection,
        key=key if is_valid else None,
        file=_identity(path),
        can_write=can_write,
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and number; None if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
