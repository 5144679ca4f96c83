"""A server on this machine that tells log-probabilities of prompts, by a tiny model."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Respond = Callable[[str, dict[str, Any]], dict[str, Any] | int]
"""Path and request -> response, or the status of a failure."""


@dataclass
class CompletionServer:
    """What it was asked, and how it responds."""

    respond: Respond
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@contextmanager
def serve_completions(respond: Respond) -> Iterator[CompletionServer]:
    completions = CompletionServer(respond)
    handler = type("Handler", (_Handler,), {"completions": completions})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        completions.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield completions
        finally:
            server.shutdown()
            thread.join()


def completion(
    text: str,
    tokens: list[str],
    log_probabilities: list[float | None],
    *,
    prompt_tokens: int,
    generated: int = 1,
) -> dict[str, Any]:
    """A response of `/v1/completions`; the lists hold the prompt and what was generated."""
    return {
        "id": "1",
        "object": "text_completion",
        "created": 1,
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "text": text,
                "finish_reason": "length",
                "logprobs": {"tokens": tokens, "token_logprobs": log_probabilities},
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": generated,
            "total_tokens": prompt_tokens + generated,
        },
    }


class _Handler(BaseHTTPRequestHandler):
    completions: CompletionServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.completions.requests.append(asked)
        self.completions.keys.append(self.headers["Authorization"])
        found = self.completions.respond(self.path, asked)
        if isinstance(found, int):
            self.send_error(found)
            return
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""
