#!/usr/bin/env python3
"""One agent turn through LiteLLM's proxy, with and without shorter tool results.

Starts the service with a real draft, LiteLLM's real proxy with the service as a guardrail, and a
stand-in for the model: it answers nothing of use, and takes a fixed time for each prompt token
before its first word, as if it read them at `--tokens-per-second`. Its default is about what a
model of one or two billion parameters reads on two CPU cores. `make serve-demo` installs LiteLLM
into an environment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

QUESTION = "In the result, how does Python pick the handler when an exception is raised in a try?"
CHARS_PER_TOKEN = 4
START_SECONDS = 300
SHOWN_CHARS = 600
SHOWN_METRICS = ("specprefill_tokens", "specprefill_compressed", "specprefill_draft")
KEY = f"sk-{secrets.token_hex(32)}"
GUARDRAIL = "shorter-tool-results"


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--litellm", type=Path, required=True, help="the program litellm")
    parser.add_argument(
        "--tokens-per-second", type=float, default=50.0, help="speed at which the model reads"
    )
    parser.add_argument("--keep", type=float, default=0.3, help="kept fraction of a tool result")
    options = parser.parse_args()
    asked: list[dict[str, Any]] = []
    with ExitStack() as stack:
        write("Starting the service, LiteLLM's proxy and the model: a minute or two ...\n\n")
        provider = stack.enter_context(in_thread(stand_in(asked, options.tokens_per_second)))
        service = stack.enter_context(
            running([sys.executable, "-c", SERVE, "serve", "--local", "--quiet"], "/readyz", {})
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = folder / "config.json"
        config.write_text(json.dumps(config_of(service, provider, options.keep)))
        proxy = stack.enter_context(
            running(
                [str(options.litellm), "--config", str(config), "--host", "127.0.0.1"],
                "/health/liveliness",
                {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            )
        )
        text = topics["try"]
        first_token(proxy, "ok", [])  # the first requests of a proxy are slow
        first_token(proxy, text[:3_000], [GUARDRAIL])
        asked.clear()
        speed = options.tokens_per_second
        write(f"A tool returns {len(text):,} characters. The question: {QUESTION}\n")
        write(f"The model is a stand-in that reads {speed:g} tokens a second.\n\n")
        told = [("as it came", first_token(proxy, text, []))]
        spent = draft_seconds(service)
        told.append(("shortened", first_token(proxy, text, [GUARDRAIL])))
        spent = draft_seconds(service) - spent
        write(f"{'':12}{'prompt tokens':>16}{'time to first token':>22}\n")
        for (name, seconds), request in zip(told, asked, strict=True):
            write(f"{name:12}{prompt_tokens(request):>16,}{seconds:>20.2f} s\n")
        saved = prompt_tokens(asked[0]) - prompt_tokens(asked[1])
        if not saved:
            message = "The service shortened nothing."
            raise SystemExit(message)
        write(f"\nShortening took {spent:.2f} s of that on this machine: it saves time before\n")
        write(f"models that read fewer than {saved / spent:.0f} tokens a second.\n")
        write("\nThe model saw this of the result:\n")
        write(textwrap.indent(asked[1]["messages"][-1]["content"][:SHOWN_CHARS], "  ") + " ...\n")
        write("\nMetrics of the service (GET /metrics), with a call that warmed it up:\n")
        for line in httpx.get(f"{service}/metrics").text.splitlines():
            if line.startswith(SHOWN_METRICS):
                write(f"  {line}\n")


SERVE = "from specprefill_integrations.cli import main; main()"


def draft_seconds(service: str) -> float:
    """Return the seconds of compression that a service has counted."""
    name = "specprefill_draft_seconds_total "
    lines = httpx.get(f"{service}/metrics").text.splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def write(text: str) -> None:
    """Print."""
    sys.stdout.write(text)
    sys.stdout.flush()


def conversation(text: str) -> list[dict[str, Any]]:
    """Return an agent's conversation after a tool has returned a text."""
    function = {"name": "read_manual", "arguments": '{"topic": "exceptions"}'}
    call = {"id": "c1", "type": "function", "function": function}
    return [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "I look it up.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": text},
    ]


def first_token(proxy: str, text: str, guardrails: list[str]) -> float:
    """Return the seconds from a request to the first word of its answer."""
    body = {
        "model": "stand-in",
        "messages": conversation(text),
        "stream": True,
        "guardrails": guardrails,
    }
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{proxy}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=300) as reply:
        for line in reply.iter_lines():
            if '"content":"' in line.replace(": ", ":"):
                return time.perf_counter() - started
        reply.raise_for_status()
    message = "The proxy did not answer."
    raise SystemExit(message)


def prompt_tokens(request: dict[str, Any]) -> int:
    """Return the tokens of a prompt, at four characters each."""
    return len(json.dumps(request["messages"], ensure_ascii=False)) // CHARS_PER_TOKEN


def stand_in(asked: list[dict[str, Any]], tokens_per_second: float) -> FastAPI:
    """Make the stand-in for the model; it appends what it is asked."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        body = await request.json()
        asked.append(body)
        seconds = prompt_tokens(body) / tokens_per_second
        return StreamingResponse(chunks(seconds), media_type="text/event-stream")

    return app


async def chunks(seconds: float) -> AsyncIterator[str]:
    """Yield an answer of one word after some time."""
    await asyncio.sleep(seconds)
    shared = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "stand-in"}
    for delta, reason in (({"content": "Done."}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield f"data: {json.dumps({**shared, 'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


def config_of(service: str, provider: str, keep: float) -> dict[str, Any]:
    """Return the config of the proxy; JSON is YAML."""
    model = {"model": "openai/stand-in", "api_base": f"{provider}/v1", "api_key": "none"}
    settings = {
        "guardrail": "generic_guardrail_api",
        "mode": "pre_call",
        "api_base": service,
        "unreachable_fallback": "fail_open",
        "fail_on_error": False,
        "timeout": 120,
        "additional_provider_specific_params": {"budget": {"keep_fraction": keep}},
    }
    return {
        "general_settings": {"master_key": KEY},
        "model_list": [{"model_name": "stand-in", "litellm_params": model}],
        "guardrails": [{"guardrail_name": GUARDRAIL, "litellm_params": settings}],
    }


@contextmanager
def in_thread(app: FastAPI) -> Iterator[str]:
    """Serve an application within the block, at the URL."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    bound.close()


@contextmanager
def running(command: list[str], ready: str, environment: dict[str, str]) -> Iterator[str]:
    """Run a server within the block, at the URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = subprocess.Popen(  # noqa: S603 - our own commands
        [*command, "--port", port],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        ends_at = time.monotonic() + START_SECONDS
        while not answers(url + ready):
            if process.poll() is not None or time.monotonic() > ends_at:
                message = f"{command[0]} did not start."
                raise SystemExit(message)
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    """Return True if a server says that it is ready."""
    try:
        return httpx.get(url, timeout=10).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
