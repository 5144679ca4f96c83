"""A server on this machine that takes JSON, for tests of what talks to model servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


class Asked(Protocol):
    """What a server was asked."""

    requests: list[dict[str, Any]]
    keys: list[str]


class JsonHandler(BaseHTTPRequestHandler):
    """A handler that notes requests and keys, and prints nothing."""

    noted: Asked

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.noted.requests.append(asked)
        self.noted.keys.append(self.headers["Authorization"])
        self.answer(asked)

    def answer(self, asked: dict[str, Any]) -> None:
        """Write the response."""
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve within the block, at the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
