"""Locks that are usable in a forked process, whichever thread of the parent held them.

A fork copies every lock in its current state but only the forking thread, so a lock held by any
other thread would never be released in the child.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Any
from weakref import WeakSet


class ForkSafeLock:
    """A reentrant lock for `with`.

    A copy, deep copy or unpickled lock is a new, open one: a lock guards one object.

    The guarded data must stay valid wherever a fork may interrupt a change: a cache, a counter, an
    entry written in one step.
    """

    def __init__(self) -> None:
        """Create an open lock."""
        self._lock = threading.RLock()
        _all_locks.add(self)

    def __enter__(self) -> None:
        """Acquire the lock."""
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the lock."""
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        """Recreate the lock open."""
        return type(self), ()

    def _renew(self) -> None:
        if self._lock.acquire(blocking=False):  # open, or held by the thread that forked
            self._lock.release()
        else:
            self._lock = threading.RLock()


_all_locks: WeakSet[ForkSafeLock] = WeakSet()


def _after_fork() -> None:
    for lock in list(_all_locks):
        lock._renew()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
