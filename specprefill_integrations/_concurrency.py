"""Locks that survive a fork, and threads for work that leaves the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from queue import SimpleQueue
from types import MethodType, TracebackType
from typing import Any, TypeVar
from weakref import WeakMethod, WeakSet

ResultT = TypeVar("ResultT")

# As many as asyncio's own.
_MAX_THREADS = min(32, (os.cpu_count() or 1) + 4)


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


class _DaemonThreads:
    """A few threads that run work and do not keep the interpreter from ending.

    The threads of `concurrent.futures` do: the interpreter waits for them when it ends, and for
    ever if a scorer or counter of the caller hangs.
    """

    def __init__(self) -> None:
        """Start without threads: at first, and in a forked process."""
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0

    def submit(self, work: Callable[[], ResultT]) -> Future[ResultT]:
        """Run work with the context variables of the caller."""
        answer: Future[ResultT] = Future()
        context = copy_context()

        def run() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(context.run(work))
            except BaseException as error:  # noqa: BLE001 - it is passed on to the caller
                answer.set_exception(error)

        self._waiting.put(run)
        if not self._idle.acquire(blocking=False):
            self._add_thread()
        return answer

    def _add_thread(self) -> None:
        with self._lock:
            if self._threads == _MAX_THREADS:
                return
            self._threads += 1
            name = f"specprefill-{self._threads}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._waiting.get()()
            self._idle.release()


async def run_in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run `work` in a thread and wait for it, whatever it raises.

    An asyncio future cannot hold a `StopIteration`, such as one from a mock without answers left:
    its caller would wait for ever. A `CancelledError` that the work raises itself would look as if
    the caller were cancelled. Both become a `RuntimeError`.
    """

    def work_or_fail() -> ResultT:
        try:
            return work()
        except (StopIteration, asyncio.CancelledError, CancelledError) as error:
            msg = f"A scorer or counter raised {type(error).__name__}."
            raise RuntimeError(msg) from error

    return await asyncio.wrap_future(_threads.submit(work_or_fail))


class _LoopThread:
    """An event loop in a thread of its own, for synchronous callers of asynchronous code."""

    def __init__(self) -> None:
        """Start without a thread: at first, and in a forked process."""
        self._lock = threading.Lock()
        self._former: object = getattr(self, "_loop", None)  # alive, as asyncio warns otherwise
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run work with the context variables of the caller, and wait for it."""
        answer = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return answer.result()
        finally:
            answer.cancel()  # if waiting was interrupted

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="specprefill-loop", daemon=True
                ).start()
            return self._loop


def run_on_loop(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run asynchronous work in another thread, and wait for it."""
    return _loop_thread.run(work)


_loop_thread = _LoopThread()
_threads = _DaemonThreads()


_all_locks: WeakSet[ForkSafeLock] = WeakSet()


def _after_fork() -> None:
    for lock in list(_all_locks):
        lock._renew()  # noqa: SLF001 - the module's own class
    _DaemonThreads.__init__(_threads)
    _LoopThread.__init__(_loop_thread)


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
