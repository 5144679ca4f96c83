"""The deadline of a call: known to all steps and scorers below it, in threads and tasks too."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from specprefill_integrations.errors import DeadlineExceededError

ResultT = TypeVar("ResultT")

# Extra time to finish what is almost done, as a share of the deadline and in seconds.
_EXTRA_SHARE = 0.1
_MAX_EXTRA_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of a call's time."""

    seconds: float
    """Maximum duration of the call; infinite for no limit."""

    ends_at: float
    """The end, in seconds of `time.monotonic`."""

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return a deadline that begins now.

        Args:
            seconds: Maximum duration; None for no limit. If a deadline that applies already ends
                earlier, that one is returned.
        """
        seconds = math.inf if seconds is None else seconds
        found = cls(seconds, time.monotonic() + seconds)
        return min(found, _current.get() or found, key=lambda one: one.ends_at)

    def extended(self) -> Deadline:
        """Return it with a little more time, to finish a call whose scores are there."""
        return replace(self, ends_at=self.ends_at + self._extra_seconds)

    def seconds_left(self) -> float | None:
        """Return the rest of the time, at least 0; None if there is no limit."""
        left = max(0.0, self.ends_at - time.monotonic())
        return None if math.isinf(left) else left

    def exceeded(self) -> DeadlineExceededError:
        """Return the error of a call that took too long."""
        return DeadlineExceededError(f"The call exceeded its deadline of {self.seconds:g} seconds.")

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply to the block. Nothing may be awaited in it."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    async def wait_for(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Wait for work to which the deadline applies.

        Work gets a little longer than its deadline, to raise the error itself. A thread that still
        runs then is left behind: it ends at its next `check_deadline`.

        Raises:
            DeadlineExceededError: The time is over.
            RuntimeError: The work raised `CancelledError`, although nobody cancelled it.
        """
        if self.seconds_left() is None:
            return await work
        with self.applied():
            task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task], timeout=self.extended().seconds_left())
        finally:
            is_late = not task.done()
            task.cancel()
        if is_late:
            raise self.exceeded()
        if task.cancelled():
            msg = "A scorer cancelled itself."
            raise RuntimeError(msg)
        return task.result()

    @property
    def _extra_seconds(self) -> float:
        return min(_EXTRA_SHARE * self.seconds, _MAX_EXTRA_SECONDS)


def seconds_left() -> float | None:
    """Return the rest of the current call's time, at least 0; None if it has no deadline."""
    current = _current.get()
    return None if current is None else current.seconds_left()


def check_deadline() -> None:
    """Raise an error if the current call took too long.

    Raises:
        DeadlineExceededError: The time is over.
    """
    current = _current.get()
    if current is not None and current.seconds_left() == 0:
        raise current.exceeded()


_current: ContextVar[Deadline | None] = ContextVar("specprefill_deadline", default=None)
