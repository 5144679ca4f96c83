"""Failures that pass texts through unchanged: their skip reasons, and how they are logged."""

from __future__ import annotations

import logging
import traceback
from functools import partial
from typing import Any

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations._visible import visible
from specprefill_integrations.errors import (
    BudgetError,
    DeadlineExceededError,
    DraftModelDamagedError,
    DraftModelNotFoundError,
    DraftModelUnsupportedError,
    EngineBusyError,
    ReadoutProfileError,
    ScoringServiceError,
    TokenCounterError,
)
from specprefill_integrations.types import SkipReason

_DRAFT_UNAVAILABLE = (
    DraftModelDamagedError,
    DraftModelNotFoundError,
    DraftModelUnsupportedError,
    ReadoutProfileError,
)

# Errors of the draft and missing packages name their cure themselves.
_CURES: dict[str, str] = {
    "counter_failed": "Check count_tokens=.",
    "deadline_exceeded": "Allow more with deadline_seconds=, or compress less at a time.",
}

_QUIET = "Further ones are logged as DEBUG."
_MAX_ERROR_CHARS = 400


def reason_of(error: Exception, otherwise: SkipReason) -> SkipReason:
    """Return the skip reason of an error.

    Args:
        error: The error.
        otherwise: The reason if its type tells none.
    """
    if isinstance(error, DeadlineExceededError):
        return "deadline_exceeded"
    if isinstance(error, EngineBusyError):
        return "queue_full"
    if isinstance(error, ScoringServiceError):
        return "service_unavailable"
    if isinstance(error, TokenCounterError):
        return "counter_failed"
    if isinstance(error, BudgetError):
        return "not_calibrated"
    return "draft_unavailable" if isinstance(error, _DRAFT_UNAVAILABLE) else otherwise


class FailureLog:
    """Logs failures: the first of each kind as a warning, the others and tracebacks as DEBUG.

    A kind is a skip reason and a type of error. A copy or an unpickled log starts anew.
    """

    def __init__(self, *, types_only: bool = False) -> None:
        """Start without failures.

        Args:
            types_only: Log an error's type and places in code, not its message, which may quote a
                text.
        """
        self._types_only = types_only
        self._warned: set[tuple[str, type[Exception]]] = set()
        self._lock = ForkSafeLock()

    def add(self, logger: logging.Logger, what: str, reason: str, error: Exception) -> None:
        """Log a failure in one line.

        Args:
            logger: The logger of the module that caught the error.
            what: What happened to the texts.
            reason: Their skip reason, or another short name of the failure.
            error: The error.
        """
        kind = (reason, type(error))
        with self._lock:
            is_first = kind not in self._warned
            self._warned.add(kind)
        described = type(error).__name__ if self._types_only else _described(error)
        line = f"{visible(what)}: {reason} ({described})."
        if is_first:
            cure = _CURES.get(reason)
            advice = f"{cure} {_QUIET}" if cure else _QUIET
            logger.warning("%s %s", line, advice)
        if self._types_only:
            logger.debug("%s\n%s", line, places_of(error))
        else:
            logger.debug("%s", line, exc_info=error)

    def __reduce__(self) -> tuple[Any, ...]:
        """Start anew in a copy."""
        return partial(FailureLog, types_only=self._types_only), ()


def places_of(error: Exception) -> str:
    """Return the traceback of an error without its message, which may quote a text."""
    return "".join(traceback.format_tb(error.__traceback__))


def _described(error: Exception) -> str:
    """Return type and message of an error as one line without control characters."""
    message = visible(" ".join(str(error).split()).removesuffix("."), _MAX_ERROR_CHARS)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
