"""Locks that survive a fork, and work that leaves the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import Any, TypeVar
from weakref import WeakMethod, WeakSet

ResultT = TypeVar("ResultT")


class ForkSafeLock:
    """A reentrant lock for `with` that is usable in a forked process.

    A fork copies every lock in its current state but only the forking thread, so a plain lock held
    by any other thread would never be released in the child.

    A copy, deep copy or unpickled lock is a new, open one: a lock guards one object.

    A fork may interrupt a change of the guarded data. Either each change is one step, such as an
    entry of a dictionary, or `reset` makes the data new.
    """

    def __init__(self, reset: Callable[[], None] | None = None) -> None:
        """Create an open lock.

        Args:
            reset: A method that replaces the guarded data by new, empty data. It is called in a
                process that was forked while another thread held the lock.
        """
        self._lock = threading.RLock()
        self._reset = None if reset is None else _reference(reset)
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
        return type(self), () if self._reset is None else (self._reset(),)

    def _renew(self) -> None:
        if self._lock.acquire(blocking=False):  # open, or held by the thread that forked
            self._lock.release()
            return
        self._lock = threading.RLock()
        reset = None if self._reset is None else self._reset()
        if reset is not None:
            reset()


def _reference(function: Callable[[], None]) -> Callable[[], Callable[[], None] | None]:
    """Refer to a method without keeping its object alive; to a function, strongly."""
    if isinstance(function, MethodType):
        return WeakMethod(function)
    return lambda: function


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
