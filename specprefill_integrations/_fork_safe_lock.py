"""Locks that a forked process finds open, whichever other thread held them in its parent.

A fork copies every lock as it stands, but only the thread that forks: what another thread held
would be held for ever.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet


class ForkSafeLock:
    """A lock for `with`, which the thread that holds it may take again.

    What it protects must make sense wherever a fork may cut a change short: a cache, a count, an
    entry that is written in one step.
    """

    def __init__(self) -> None:
        """Open."""
        self._lock = threading.RLock()
        _all_locks.add(self)

    def __reduce__(self) -> tuple[type[ForkSafeLock], tuple[()]]:
        """Copies and pickles are new, open locks."""
        return ForkSafeLock, ()

    def __enter__(self) -> None:
        """Wait until it is open, and hold it."""
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self._lock.release()

    def _renew(self) -> None:
        if self._lock.acquire(blocking=False):  # open, or held by the thread that goes on here
            self._lock.release()
        else:
            self._lock = threading.RLock()


_all_locks: WeakSet[ForkSafeLock] = WeakSet()


def _after_fork() -> None:
    for lock in list(_all_locks):
        lock._renew()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
