"""The HTTP server of the application: uvicorn, and a time limit for the headers of a request.

uvicorn waits for ever for a caller who connects and sends nothing, or a header now and then.
"""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

# Calls that run get this time when the service is asked to end.
_DRAIN_SECONDS = 30


class TimedProtocol(H11Protocol):
    """Closes a connection whose request's headers do not arrive in time."""

    header_seconds = 10.0
    """Time from the connection, or the first byte of a further request, to the last header."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        super().connection_made(transport)  # type: ignore[arg-type] # uvicorn narrows it
        self._header_timer = self.loop.call_later(self.header_seconds, transport.close)

    def data_received(self, data: bytes) -> None:
        """Stop the clock once all headers are there; start it for a further request."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


def server_of(app: ASGIApp, *, host: str, port: int) -> uvicorn.Server:
    """Return the server of an application; when the process is asked to end, calls are finished.

    Args:
        app: The application.
        host: The address to listen on.
        port: The port.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=TimedProtocol,
        log_level="warning",
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    return uvicorn.Server(config)
