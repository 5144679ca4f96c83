"""Limits of an A/B measurement: input tokens, retries, failures."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from specprefill_integrations._arguments import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    checked,
)
from specprefill_integrations.errors import MissingDependencyError

if TYPE_CHECKING:
    from tenacity import Retrying

StopReason = Literal["max_input_tokens", "target_fails"]
"""Reason for an early end of a measurement."""

_TRANSIENT_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_LONGEST_WAIT_SECONDS = 60.0


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class AbLimits:
    """Limits of one measurement."""

    concurrency: PositiveInt = 1
    """Cases at a time; the variants of one case are asked one after the other."""

    retries: NonNegativeInt = 2
    """Retries of a call that failed for a transient reason."""

    max_input_tokens: PositiveInt | None = None
    """A case is not started if it would exceed this many input tokens, earlier runs of the log
    included. Estimated with the line-up's token counter; corrected by the model's own count."""

    max_failures: PositiveInt = 10
    """Failed calls in a row that end the measurement."""

    first_wait_seconds: NonNegativeFloat = 1.0
    """Longest wait before the first retry; doubles with each further one, up to a minute."""

    def retrying(self, may_spend: Callable[[], bool]) -> Retrying:
        """The retry policy of one call.

        Args:
            may_spend: Called before each retry; False ends the call.

        Raises:
            MissingDependencyError: The extra `evaluate` is not installed.
        """
        try:
            import tenacity  # noqa: PLC0415 - in an extra
        except ModuleNotFoundError as error:
            if error.name != "tenacity":
                raise
            raise MissingDependencyError(error.name, "evaluate") from error
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_transient),
            stop=lambda state: state.attempt_number > self.retries or not may_spend(),
            wait=lambda state: wait_seconds(self.first_wait_seconds, state.attempt_number),
            reraise=True,
        )


class InputTokenGuard:
    """Thread-safe count of sent tokens, with a limit."""

    def __init__(self, limit: int | None, spent: int) -> None:
        """Start with the tokens of earlier runs."""
        self._limit = limit
        self._spent = spent
        self._lock = threading.Lock()

    @property
    def spent(self) -> int:
        """Tokens sent or reserved."""
        return self._spent

    def reserve(self, tokens: int) -> bool:
        """Reserve tokens; False, without reserving any, if that exceeds the limit."""
        with self._lock:
            if self._limit is not None and self._spent + tokens > self._limit:
                return False
            self._spent += tokens
            return True

    def correct(self, reserved: int, sent: int) -> None:
        """Replace reserved tokens by sent ones."""
        with self._lock:
            self._spent += sent - reserved


class StopSwitch:
    """Thread-safe signal that a measurement ends, and why."""

    def __init__(self, max_failures: int) -> None:
        """Stop at this many failures in a row."""
        self.reason: StopReason | None = None
        self._max_failures = max_failures
        self._failures = 0
        self._lock = threading.Lock()

    def stop(self, reason: StopReason) -> None:
        """Stop; the first reason stays."""
        with self._lock:
            self.reason = self.reason or reason

    def note(self, *, failed: bool) -> None:
        """Count a call of the model."""
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= self._max_failures:
                self.reason = self.reason or "target_fails"


def is_transient(error: BaseException) -> bool:
    """True if the same call may succeed later.

    False if the server refused the call itself (most statuses from 400 to 499), or if the call
    never reached a server.
    """
    if not isinstance(error, Exception) or isinstance(
        error, ValueError | TypeError | AttributeError | ImportError
    ):
        return False
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return True
    refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return not refused or status in _TRANSIENT_STATUS


def wait_seconds(first: float, failures: int) -> float:
    """The wait before the next try, with jitter.

    Args:
        first: Longest wait after the first failure.
        failures: Failures so far, at least one.
    """
    longest = min(_LONGEST_WAIT_SECONDS, first * (1 << (failures - 1)))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
