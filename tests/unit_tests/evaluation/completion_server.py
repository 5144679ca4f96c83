"""A server on this machine that tells log-probabilities of prompts, by a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit_tests.evaluation.local_server import JsonHandler, serving

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
    handler = type("Handler", (_Handler,), {"noted": completions})
    with serving(handler) as completions.url:
        yield completions


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


class _Handler(JsonHandler):
    noted: CompletionServer

    def answer(self, asked: dict[str, Any]) -> None:
        found = self.noted.respond(self.path, asked)
        if isinstance(found, int):
            self.send_error(found)
            return
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
