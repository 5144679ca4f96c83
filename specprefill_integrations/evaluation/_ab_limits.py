"""How far an A/B measurement may go: what it may send, what it tries again, when it gives up."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

StopReason = Literal["max_input_tokens", "target_fails"]
"""Why a measurement ended before its cases did."""

_PASSING_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AbLimits:
    """The limits of one measurement."""

    concurrency: int = 1
    """Cases that are asked about at a time; the arms of one case follow each other."""

    retries: int = 2
    """How often a call that failed for a passing reason is tried again."""

    max_input_tokens: int | None = None
    """No case is begun with which more than these would be sent, earlier runs of the same log
    included. What is to be sent is counted by the compressors; what was sent, by the model where
    it says so."""

    max_failures: int = 10
    """Calls that fail one after the other before all ends."""

    first_wait_seconds: float = 1.0
    """Before a call is tried again; about twice as long each further time."""


class InputTokenGuard:
    """Counts the tokens that are sent; many threads may ask."""

    def __init__(self, limit: int | None, spent: int) -> None:
        """Begin with what was spent already."""
        self._limit = limit
        self._spent = spent
        self._lock = threading.Lock()

    @property
    def spent(self) -> int:
        """Tokens that were sent, or are set aside to be."""
        return self._spent

    def reserve(self, tokens: int) -> bool:
        """Set tokens aside; False, and nothing is, where they would be too many."""
        with self._lock:
            if self._limit is not None and self._spent + tokens > self._limit:
                return False
            self._spent += tokens
            return True

    def correct(self, reserved: int, sent: int) -> None:
        """Replace what was set aside by what was sent."""
        with self._lock:
            self._spent += sent - reserved


class StopSwitch:
    """Says once, to all threads, that a measurement ends, and why."""

    def __init__(self, max_failures: int) -> None:
        """Allow fewer than so many failures in a row."""
        self.reason: StopReason | None = None
        self._max_failures = max_failures
        self._failures = 0
        self._lock = threading.Lock()

    def stop(self, reason: StopReason) -> None:
        """End it; the first reason stays."""
        with self._lock:
            self.reason = self.reason or reason

    def note(self, *, failed: bool) -> None:
        """Count a call of the model."""
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= self._max_failures:
                self.reason = self.reason or "target_fails"


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later.

    Not where the server refused it for what it is (a status from 400 to 499, but for a few), nor
    where it never got as far as a server.
    """
    if isinstance(error, ValueError | TypeError | AttributeError | ImportError):
        return False
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return True
    refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return not refused or status in _PASSING_STATUS


def wait_seconds(first: float, failures: int) -> float:
    """How long to wait before the next try, not the same for all threads.

    Args:
        first: About how long after the first failure.
        failures: How often it failed already, at least once.
    """
    longest = min(_LONGEST_WAIT_SECONDS, first * (1 << (failures - 1)))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
