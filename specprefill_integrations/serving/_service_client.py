"""Calls of a service over HTTP: pooled connections, deadlines, retries, a circuit breaker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import httpx
from pydantic import BaseModel, ValidationError

from specprefill_integrations._concurrency import ForkSafeLock, run_in_thread, run_on_loop
from specprefill_integrations._deadline import Deadline
from specprefill_integrations._telemetry import trace_headers
from specprefill_integrations._visible import visible
from specprefill_integrations.errors import (
    DeadlineExceededError,
    EngineBusyError,
    ScoringServiceError,
)
from specprefill_integrations.serving._circuit_breaker import CircuitBreaker
from specprefill_integrations.serving._contract import DEADLINE_HEADER, ProblemAnswer

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_CONNECT_SECONDS = 5.0
_FIRST_WAIT_SECONDS = 0.1
_MAX_WAIT_SECONDS = 60.0
_MAX_MESSAGE_CHARS = 200

_OK = 200
_FAILED = 500
_UNAVAILABLE = 503
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_LATE_OR_BUSY = (DeadlineExceededError, EngineBusyError)
_BUSY = frozenset({"overloaded", "queue_full", "too_many_calls"})


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, to be tried once or more."""

    path: str
    body: bytes | None
    deadline: Deadline

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the next try.

        Raises:
            DeadlineExceededError: There is no time for one.
        """
        left = self.deadline.seconds_left()
        if left == 0:
            raise self.deadline.exceeded()
        headers = trace_headers()
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if left is not None:
            headers[DEADLINE_HEADER] = f"{left:.3f}"
        return headers

    @property
    def timeout(self) -> httpx.Timeout:
        """The time limits of the next try."""
        left = self.deadline.seconds_left()
        connect = _CONNECT_SECONDS if left is None else min(left, _CONNECT_SECONDS)
        return httpx.Timeout(left, connect=connect)


Reply = httpx.Response | httpx.RequestError


class ServiceClient:
    """Calls a service.

    All its calls are free of effects, so that each may be tried again: after a lost connection, and
    where the service, or a proxy before it, asks for it (429, 502, 503, 504).
    """

    def __init__(
        self, url: str, *, api_key: str | None, max_retries: int, max_connections: int
    ) -> None:
        """Connect at the first call.

        Args:
            url: The service.
            api_key: The key.
            max_retries: Further tries of a call.
            max_connections: Connections at once, and of each event loop.
        """
        self._url = url
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._max_retries = max_retries
        self._limits = httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections
        )
        self._breaker = CircuitBreaker()
        self._lock = ForkSafeLock()
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            WeakKeyDictionary()
        )

    def call(
        self,
        path: str,
        request: BaseModel | None,
        answer: type[AnswerT],
        deadline_seconds: float | None,
    ) -> AnswerT:
        """Make a call.

        Args:
            path: The path.
            request: The request; None for a GET.
            answer: The type of the answer.
            deadline_seconds: Maximum duration, retries included; None for no limit.

        Raises:
            DeadlineExceededError: It took too long.
            EngineBusyError: The service has too much to do.
            ScoringServiceError: The service cannot be reached, refused the call, or answered
                something else.
        """
        # Not by `httpx.Client`: its time limits hold for each read, not for an answer.
        return run_on_loop(self.acall(path, request, answer, deadline_seconds))

    async def acall(
        self,
        path: str,
        request: BaseModel | None,
        answer: type[AnswerT],
        deadline_seconds: float | None,
    ) -> AnswerT:
        """Make a call without blocking the event loop; see `call`."""
        deadline = Deadline.after(deadline_seconds)
        return await deadline.wait_for(self._acall(path, request, answer, deadline))

    async def _acall(
        self, path: str, request: BaseModel | None, answer: type[AnswerT], deadline: Deadline
    ) -> AnswerT:
        call = _Call(path, await run_in_thread(lambda: _written(request)), deadline)
        for retry in range(self._max_retries + 1):
            self._check_breaker()
            reply = await self._try(call)
            wait = self._wait(reply, retry, deadline)
            if wait is None:
                return _parsed(reply, answer)
            await asyncio.sleep(wait)
        raise _error_of(reply, deadline)

    async def _try(self, call: _Call) -> Reply:
        headers, timeout = call.headers, call.timeout
        try:
            return await self._opened().request(
                call.method, call.path, content=call.body, headers=headers, timeout=timeout
            )
        except httpx.RequestError as error:
            return error

    def _check_breaker(self) -> None:
        if not self._breaker.admits():
            msg = "The scoring service failed several times in a row; it is tried again later."
            raise ScoringServiceError(msg)

    def _wait(self, reply: Reply, retry: int, deadline: Deadline) -> float | None:
        """Return the seconds to wait before another try; None for a reply that is an answer.

        Raises:
            Exception: There is no other try; see `call`.
        """
        status = reply.status_code if isinstance(reply, httpx.Response) else None
        self._breaker.note(succeeded=not _has_failed(reply))
        if status == _OK:
            return None
        may_help = status is None or status in _TRY_AGAIN
        wait = _retry_after(reply)
        if wait is None:
            wait = _FIRST_WAIT_SECONDS * 2**retry * random.uniform(0.5, 1.5)  # noqa: S311
        left = deadline.seconds_left()
        if not may_help or retry == self._max_retries or (left is not None and wait >= left):
            raise _error_of(reply, deadline)
        return wait

    def _opened(self) -> httpx.AsyncClient:
        """Return the client of this event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients[loop] = httpx.AsyncClient(
                    base_url=self._url, headers=self._headers, limits=self._limits
                )
            return self._clients[loop]

    def close(self) -> None:
        """Close the connections of synchronous calls."""
        if self._clients:
            run_on_loop(self.aclose())

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        with self._lock:
            client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


def _written(request: BaseModel | None) -> bytes | None:
    """Write a request.

    Raises:
        ScoringServiceError: JSON cannot hold it: a text has a lone surrogate.
    """
    try:
        return None if request is None else request.model_dump_json().encode()
    except ValueError as error:  # of pydantic, or of UTF-8; its message quotes the text
        msg = "The request cannot be written as JSON."
        raise ScoringServiceError(msg) from error


def _parsed(reply: Reply, answer: type[AnswerT]) -> AnswerT:
    """Return an answer.

    Raises:
        ScoringServiceError: It is something else.
    """
    assert isinstance(reply, httpx.Response)
    try:
        return answer.model_validate_json(reply.content)
    except ValidationError as error:
        msg = f"The scoring service did not answer with a {answer.__name__}."
        raise ScoringServiceError(msg) from error


def _retry_after(reply: Reply) -> float | None:
    """Return the seconds after which a service wants to be asked again; None if it says nothing."""
    if not isinstance(reply, httpx.Response):
        return None
    written = reply.headers.get("Retry-After", "")
    if not (written.isascii() and written.isdecimal()):
        return None
    return min(float(written), _MAX_WAIT_SECONDS)


def _has_failed(reply: Reply) -> bool:
    """Return True for a service that is broken or away, not for one that has too much to do."""
    if not isinstance(reply, httpx.Response):
        return True
    if reply.status_code == _UNAVAILABLE and "Retry-After" in reply.headers:
        return False
    return reply.status_code >= _FAILED and not isinstance(_problem_of(reply), _LATE_OR_BUSY)


def _error_of(reply: Reply, deadline: Deadline) -> Exception:
    """Return the error of a call that failed."""
    if isinstance(reply, httpx.RequestError):
        if isinstance(reply, httpx.TimeoutException) and deadline.seconds_left() == 0:
            return deadline.exceeded()
        return ScoringServiceError(f"No answer from the scoring service: {_named(reply)}")
    return _problem_of(reply)


def _problem_of(reply: httpx.Response) -> Exception:
    """Return the error that a service answered."""
    try:
        problem = ProblemAnswer.model_validate_json(reply.content).error
    except ValidationError:
        return ScoringServiceError(f"The scoring service answered {reply.status_code}.")
    said = f"{reply.status_code} {problem.code}: {problem.message} ({problem.request_id})"
    said = visible(said, _MAX_MESSAGE_CHARS)
    if problem.code == "deadline_exceeded":
        return DeadlineExceededError(f"The scoring service answered {said}")
    if problem.code in _BUSY:
        return EngineBusyError(f"The scoring service answered {said}")
    return ScoringServiceError(f"The scoring service answered {said}")


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {visible(str(error), _MAX_MESSAGE_CHARS)}"
