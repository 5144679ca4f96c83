"""Admission of calls before their bodies are parsed, and what is counted and logged of them.

An ASGI middleware: it knows the caller by its key, refuses what exceeds a limit, reads the body
within its time, applies the caller's deadline, and ends the call of a caller who is gone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pydantic_core
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from specprefill_integrations._deadline import Deadline
from specprefill_integrations._telemetry import caller_of, within
from specprefill_integrations.pipeline._failures import places_of
from specprefill_integrations.serving._api_keys import ApiKeys
from specprefill_integrations.serving._contract import DEADLINE_HEADER, REQUEST_ID_HEADER
from specprefill_integrations.serving._limits import ServiceLimits
from specprefill_integrations.serving._problems import Problem, check_limit, problem_of, try_later
from specprefill_integrations.serving._service_metrics import ServiceMetrics

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
"""Paths that need no key and read no body."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_JSON = re.compile(r"application/(?:json|[\w.-]{1,60}\+json)\s*(?:;|$)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
_CLIENT_GONE = 499  # as nginx logs it; nobody receives it


@dataclass(slots=True)
class _Exchange:
    """A call and the status of its answer."""

    scope: Scope
    send_on: Send
    request_id: str
    started: float = field(default_factory=time.perf_counter)
    status: int = 0
    body_bytes: int = 0

    async def send(self, message: Message) -> None:
        """Send a message of the answer, with the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID_HEADER] = self.request_id
        await self.send_on(message)

    @property
    def route(self) -> str:
        """The path of the route, also of a call that never reached it; not the caller's text."""
        found = self.scope.get("route") or next(
            (
                route
                for route in self.scope["app"].routes
                if route.matches(self.scope)[0] is not Match.NONE
            ),
            None,
        )
        return str(getattr(found, "path", "unmatched"))


class Admission:
    """Admits calls to an application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_keys: ApiKeys | None,
        limits: ServiceLimits,
        metrics: ServiceMetrics,
    ) -> None:
        """Wrap an application.

        Args:
            app: The application.
            api_keys: The keys of callers; None admits everybody, as one tenant.
            limits: The limits.
            metrics: Counts calls.
        """
        self._app = app
        self._api_keys = api_keys
        self._limits = limits
        self._metrics = metrics
        self._running: Counter[str] = Counter()
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope["request_id"] = request_id
        exchange = _Exchange(scope, send, request_id)
        try:
            await self._handle(exchange, headers, receive)
        except Exception as error:
            if exchange.status:
                raise
            await self._refuse(exchange, error, receive)
        finally:
            self._note(exchange)

    async def _handle(self, exchange: _Exchange, headers: Headers, receive: Receive) -> None:
        if _path(exchange.scope) in OPEN_PATHS:
            await self._app(exchange.scope, receive, exchange.send)
            return
        tenant = self._tenant(headers)
        exchange.scope["tenant"] = tenant
        with self._counted(tenant):
            deadline = self._deadline(headers)
            try:
                body = await self._body(exchange, headers, receive)
                await self._run(exchange, body, deadline, receive)
            finally:
                self._bytes -= exchange.body_bytes

    async def _refuse(self, exchange: _Exchange, error: Exception, receive: Receive) -> None:
        problem = problem_of(error, self._limits.retry_after_seconds)
        if problem.code == "internal_error":
            # Not the message: it may quote a text.
            logger.error("%s failed: %s", exchange.request_id, type(error).__name__)
            logger.debug("%s failed\n%s", exchange.request_id, places_of(error))
        await problem.answer(exchange.request_id)(exchange.scope, receive, exchange.send)

    def _note(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        status = exchange.status or _CLIENT_GONE
        method = exchange.scope["method"]
        logger.info(
            "%s %s %s %d in %.0f ms",
            exchange.request_id,
            method if method.isalpha() else "?",
            exchange.route,
            status,
            1000 * seconds,
        )
        self._metrics.add_call(exchange.route, status, seconds)

    def _tenant(self, headers: Headers) -> str:
        if self._api_keys is None:
            return ""
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            key = headers.get("X-API-Key", "")
        tenant = self._api_keys.tenant_of(key.strip())
        if tenant is None:
            raise Problem(
                401,
                "unauthorized",
                "A valid key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return tenant

    @contextmanager
    def _counted(self, tenant: str) -> Iterator[None]:
        """Count a call while it runs.

        Raises:
            Problem: Too many run.
        """
        seconds = self._limits.retry_after_seconds
        if self._running.total() >= self._limits.max_calls:
            raise try_later(503, "overloaded", "Too many calls at once.", seconds)
        if self._running[tenant] >= self._limits.max_calls_per_tenant:
            raise try_later(429, "too_many_calls", "Too many calls at once by this key.", seconds)
        self._running[tenant] += 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]

    def _deadline(self, headers: Headers) -> Deadline:
        most = self._limits.deadline_seconds
        given = headers.get(DEADLINE_HEADER)
        if given is None:
            return Deadline.after(most)
        try:
            seconds = float(given)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            msg = f"{DEADLINE_HEADER} must be a number of seconds above 0."
            raise Problem(400, "malformed_request", msg)
        return Deadline.after(min(seconds, most))

    async def _body(self, exchange: _Exchange, headers: Headers, receive: Receive) -> bytes:
        """Read the body."""
        if exchange.scope["method"] == "POST" and not _JSON.match(headers.get("Content-Type", "")):
            raise Problem(415, "unsupported_media_type", "The Content-Type is application/json.")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem(415, "unsupported_media_type", "Compressed bodies are not read.")
        length = headers.get("Content-Length", "")
        if _LENGTH.fullmatch(length):
            check_limit("Bytes of the body", int(length), self._limits.max_body_bytes)
        try:
            reading = self._read(exchange, receive)
            body = await asyncio.wait_for(reading, self._limits.body_seconds)
        except asyncio.TimeoutError:
            raise Problem(408, "body_too_slow", "The body took too long to arrive.") from None
        _check_json(body)
        return body

    async def _read(self, exchange: _Exchange, receive: Receive) -> bytes:
        parts: list[bytes] = []
        most = self._limits.max_body_bytes
        most_of_all = max(most, self._limits.max_bytes_in_flight)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "malformed_request", "The body ended early.")
            part = message.get("body", b"")
            exchange.body_bytes += len(part)
            self._bytes += len(part)
            check_limit("Bytes of the body", exchange.body_bytes, most)
            if self._bytes > most_of_all:
                seconds = self._limits.retry_after_seconds
                raise try_later(503, "overloaded", "Too many bytes at once.", seconds)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _run(
        self, exchange: _Exchange, body: bytes, deadline: Deadline, receive: Receive
    ) -> None:
        """Run the application until it is done or the caller is gone."""
        gone = asyncio.ensure_future(_disconnected(receive))
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Message:
            message = next(messages, None)
            if message is None:
                await asyncio.shield(gone)
                message = {"type": "http.disconnect"}
            return message

        caller = caller_of(Headers(scope=exchange.scope))
        with deadline.applied(), within(caller):  # the task copies both
            call = asyncio.ensure_future(self._app(exchange.scope, replay, exchange.send))
        try:
            await asyncio.wait([call, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not call.done():
                call.cancel()
            gone.cancel()
        try:
            await call
        except asyncio.CancelledError:
            if not gone.done() or gone.cancelled():
                raise


def _check_json(body: bytes) -> None:
    """Refuse what Python's JSON reader lets through: other encodings, lone surrogates, infinity."""
    try:
        if body:
            pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        raise Problem(400, "malformed_request", "The body is not JSON.") from None


def _path(scope: Scope) -> str:
    """Return the path within the application, which may be mounted under another."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
