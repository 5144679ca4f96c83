"""A server on this machine that speaks OpenAI's protocol for chats, as far as streams need it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit_tests.evaluation.local_server import JsonHandler, serving


@dataclass
class ChatServer:
    """What it answers, and what it was asked."""

    reply: Callable[[str], str]
    url: str = ""
    failures: list[int] = field(default_factory=list)
    """Statuses that the next requests fail with; 0 breaks off in the middle of the answer."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        return [request["messages"][0]["content"] for request in self.requests]


@contextmanager
def serve_chat(reply: Callable[[str], str]) -> Iterator[ChatServer]:
    chat = ChatServer(reply)
    handler = type("Handler", (_Handler,), {"noted": chat})
    with serving(handler) as chat.url:
        yield chat


class _Handler(JsonHandler):
    noted: ChatServer

    def answer(self, asked: dict[str, Any]) -> None:
        status = self.noted.failures.pop(0) if self.noted.failures else 200
        if status not in {0, 200}:
            self.send_error(status)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if status == 0:
            self.send_header("Content-Length", "100000")  # so that the end is no end
        self.end_headers()
        prompt = asked["messages"][0]["content"]
        words = self.noted.reply(prompt).split(" ")
        self._send({"role": "assistant", "content": ""})
        for number, word in enumerate(words):
            self._send({"content": word if number == 0 else f" {word}"})
            if status == 0:
                return
        self._send({}, finish_reason="stop")
        if asked.get("stream_options", {}).get("include_usage"):
            tokens = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(words)}
            tokens["total_tokens"] = sum(tokens.values())
            self._event({"choices": [], "usage": tokens})
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, delta: dict[str, str], finish_reason: str | None = None) -> None:
        self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    def _event(self, content: dict[str, Any]) -> None:
        whole = {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "tiny",
            **content,
        }
        self.wfile.write(f"data: {json.dumps(whole)}\n\n".encode())
