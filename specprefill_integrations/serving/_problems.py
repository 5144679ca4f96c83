"""Errors of the service as structured answers. They repeat nothing of what the caller sent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from specprefill_integrations.errors import (
    BudgetError,
    DeadlineExceededError,
    EngineBusyError,
    EngineClosedError,
)
from specprefill_integrations.serving._contract import ProblemAnswer, ProblemDetail, ProblemFields

_CODES = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    422: "invalid_request",
}
_OF_ENGINE = (
    (DeadlineExceededError, 504, "deadline_exceeded", "The call took longer than its deadline."),
    (EngineBusyError, 503, "queue_full", "Too many calls are waiting for the draft."),
    (EngineClosedError, 503, "shutting_down", "The service is ending."),
)
_MAX_DETAILS = 20
_MAX_FIELD_CHARS = 80


class Problem(Exception):  # noqa: N818 - an answer, not a failure of the service
    """An error to answer with."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[ProblemDetail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Note what to answer.

        Args:
            status: The HTTP status.
            code: The error for programs.
            message: The error for people.
            details: The wrong fields.
            headers: Further headers.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers

    def answer(self, request_id: str) -> JSONResponse:
        """Return the answer."""
        fields = ProblemFields(
            code=self.code,
            message=self.message,
            request_id=request_id,
            details=list(self.details[:_MAX_DETAILS]),
        )
        content = ProblemAnswer(error=fields).model_dump(mode="json")
        return JSONResponse(content, self.status, dict(self.headers or {}))


def check_limit(what: str, found: int, most: int) -> None:
    """Refuse a request beyond a limit.

    Args:
        what: The quantity that is limited.
        found: Its amount in the request.
        most: The limit.

    Raises:
        Problem: There is more.
    """
    if found > most:
        raise Problem(413, "limit_exceeded", f"{what}: {found} exceeds the limit of {most}.")


def try_later(status: int, code: str, message: str, seconds: float) -> Problem:
    """Return the answer to a request that may succeed later."""
    headers = {"Retry-After": str(math.ceil(seconds))}
    return Problem(status, code, message, headers=headers)


def problem_of(error: Exception, retry_after_seconds: float) -> Problem:
    """Return the answer to a request that failed.

    Args:
        error: The failure.
        retry_after_seconds: Time after which another try may succeed.
    """
    if isinstance(error, Problem):
        return error
    for kind, status, code, message in _OF_ENGINE:
        if isinstance(error, kind):
            return try_later(status, code, message, retry_after_seconds)
    if isinstance(error, BudgetError):
        return Problem(422, "invalid_request", str(error))
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "http_error")
        return Problem(error.status_code, code, str(error.detail), headers=error.headers)
    return Problem(500, "internal_error", "The service failed; its log has the request id.")


def _invalid(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(400, "malformed_request", "The body is not JSON.")
    details = [ProblemDetail(field=_field(one), message=_message(one)) for one in found]
    return Problem(422, "invalid_request", "Some fields are wrong.", details=details)


def _field(one: Mapping[str, Any]) -> str:
    """Write the place of a field; the name of one that is not ours is the caller's own text."""
    loc = one["loc"][:-1] if one["type"] == "extra_forbidden" else one["loc"]
    written = ".".join(map(str, loc[1:] if len(loc) > 1 else loc))
    return written[:_MAX_FIELD_CHARS].encode("ascii", "replace").decode("ascii")


def _message(one: Mapping[str, Any]) -> str:
    return str(one["msg"]).encode("ascii", "replace").decode("ascii")[:200]


def add_handlers(app: FastAPI, retry_after_seconds: float) -> None:
    """Make an application answer its own errors as `Problem`s; others reach `Admission`.

    Args:
        app: The application.
        retry_after_seconds: Time after which another try may succeed.
    """

    async def handle(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error, retry_after_seconds)
        return problem.answer(str(request.scope.get("request_id", "")))

    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle)
