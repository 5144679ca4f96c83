"""The service on the loopback interface, in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from specprefill_integrations import ContextCompressor
from specprefill_integrations.serving import build_app
from specprefill_integrations.serving._server import TimedProtocol


@contextmanager
def serving(compressor: ContextCompressor, **options: Any) -> Iterator[str]:
    """Serve compression within the block, at the URL."""
    with listening(build_app(compressor, **{"api_keys": None, **options})) as url:
        yield url


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serve an application within the block, at the URL."""
    config = uvicorn.Config(
        app, http=TimedProtocol, log_level="error", lifespan="on", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        bound.close()
