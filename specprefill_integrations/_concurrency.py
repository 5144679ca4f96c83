"""Locks that survive a fork, and work that leaves the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

ResultT = TypeVar("ResultT")


class ForkSafeLock:
    """A reentrant lock for `with` that is usable in a forked process.

    A fork copies every lock in its current state but only the forking thread, so a plain lock held
    by any other thread would never be released in the child.

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


async def run_in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run `work` in a thread and wait for it, whatever it raises.

    An asyncio future cannot hold a `StopIteration`, such as one from a mock without answers left:
    its caller would wait for ever. It becomes a `RuntimeError`, as in any coroutine.
    """

    def work_or_fail() -> ResultT:
        try:
            return work()
        except StopIteration as error:
            msg = "A scorer or counter raised StopIteration."
            raise RuntimeError(msg) from error

    return await asyncio.to_thread(work_or_fail)


_all_locks: WeakSet[ForkSafeLock] = WeakSet()


def _after_fork() -> None:
    for lock in list(_all_locks):
        lock._renew()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
