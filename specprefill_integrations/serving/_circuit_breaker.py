"""A circuit breaker: stops calls of a service that keeps failing, and tries it again later."""

from __future__ import annotations

import time
from collections.abc import Callable

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, checked
from specprefill_integrations._concurrency import ForkSafeLock


class CircuitBreaker:
    """Counts failures in a row. Safe to use from many threads.

    After too many it is open: calls are refused at once. Later one call at a time is let through:
    its success closes the breaker, its failure doubles the time until the next.
    """

    @checked
    def __init__(
        self,
        *,
        max_failures: PositiveInt = 5,
        open_seconds: PositiveFloat = 1.0,
        max_open_seconds: PositiveFloat = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start closed.

        Args:
            max_failures: Failures in a row that open it.
            open_seconds: Time after which the first call is let through.
            max_open_seconds: Maximum time between such calls.
            clock: Returns the time in seconds.
        """
        self._max_failures = max_failures
        self._first_open_seconds = open_seconds
        self._max_open_seconds = max_open_seconds
        self._clock = clock
        self._lock = ForkSafeLock()
        self._failures = 0
        self._open_seconds = open_seconds
        self._next_try = 0.0
        self._is_trying = False

    def admits(self) -> bool:
        """Return True if a call may be made now; its outcome must be noted."""
        with self._lock:
            if self._failures < self._max_failures:
                return True
            if self._clock() < self._next_try:
                return False
            # If the outcome of this call is never noted, another one is let through later.
            self._next_try = self._clock() + self._open_seconds
            self._is_trying = True
            return True

    def note(self, *, succeeded: bool) -> None:
        """Note the outcome of a call."""
        with self._lock:
            if succeeded:
                self._failures = 0
                self._open_seconds = self._first_open_seconds
            else:
                self._failures += 1
                if self._is_trying:
                    self._open_seconds = min(2 * self._open_seconds, self._max_open_seconds)
                self._next_try = self._clock() + self._open_seconds
            self._is_trying = False
