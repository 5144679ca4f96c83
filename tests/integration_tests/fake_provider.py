"""A model of OpenAI and of Anthropic on the loopback interface, which says what it is told to.

It recalls an original if it has the tool and the user's message says RECALL: once, or with AGAIN as
often as it may.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

ANSWER = "Four hundred."
_REFERENCE = re.compile(r"reference ([0-9a-f]{12})")
_RECALL = "recall_original"


def fake_provider(asked: list[dict[str, Any]]) -> FastAPI:
    """Make the application; it appends the requests that it gets."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        asked.append(body)
        arguments = _recalls(body, "tool")
        message: dict[str, Any] = {"role": "assistant", "content": ANSWER}
        if arguments:
            function = {"name": _RECALL, "arguments": json.dumps(arguments)}
            call = {"id": "r1", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        if body.get("stream"):
            assert not arguments, "a stream cannot be taken back"
            return StreamingResponse(_chunks(body), media_type="text/event-stream")
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(_completion(body, "chat.completion", choice))

    @app.post("/v1/responses")
    async def responses(request: Request) -> Response:
        body = await request.json()
        asked.append(body)
        arguments = _recalls(body, "function_call_output")
        text = {"type": "output_text", "text": ANSWER, "annotations": []}
        item: dict[str, Any] = {"type": "message", "id": "m1", "role": "assistant"}
        item |= {"status": "completed", "content": [text]}
        if arguments:
            item = {"type": "function_call", "id": "f1", "call_id": "r1", "name": _RECALL}
            item |= {"arguments": json.dumps(arguments), "status": "completed"}
        return JSONResponse(
            {
                "id": "resp_1",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": body["model"],
                "output": [item],
                "parallel_tool_calls": False,
                "tool_choice": "auto",
                "tools": [],
                "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
            }
        )

    @app.post("/v1/messages")
    async def messages(request: Request) -> Response:
        body = await request.json()
        asked.append(body)
        arguments = _recalls(body, "tool_result")
        block: dict[str, Any] = {"type": "text", "text": ANSWER}
        if arguments:
            block = {"type": "tool_use", "id": "r1", "name": _RECALL, "input": arguments}
        message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant"}
        message |= {"model": body["model"], "content": [block], "stop_sequence": None}
        message |= {"stop_reason": "tool_use" if arguments else "end_turn"}
        message |= {"usage": {"input_tokens": 1, "output_tokens": 1}}
        if body.get("stream"):
            return StreamingResponse(_events(message), media_type="text/event-stream")
        return JSONResponse(message)

    return app


def _recalls(body: Mapping[str, Any], answer_type: str) -> dict[str, str] | None:
    """The arguments of a call of the recall tool; None for an answer."""
    written = json.dumps(body)
    has_tool = _RECALL in json.dumps(body.get("tools") or [])
    is_answered = '"r1"' in written and answer_type in written
    found = _REFERENCE.search(written)
    may = has_tool and body.get("tool_choice") not in ("none", {"type": "none"})
    wants = "RECALL" in written and ("AGAIN" in written or not is_answered)
    if not (found and may and wants):
        return None
    return {"reference": found[1]}


def _completion(body: Mapping[str, Any], kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    shared = {"id": "c", "created": 1, "model": body["model"], "usage": usage}
    return {**shared, "object": kind, "choices": [choice]}


async def _chunks(body: Mapping[str, Any]) -> AsyncIterator[str]:
    for word in ANSWER.split():
        choice = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
        yield f"data: {json.dumps(_completion(body, 'chat.completion.chunk', choice))}\n\n"
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps(_completion(body, 'chat.completion.chunk', choice))}\n\n"
    yield "data: [DONE]\n\n"


async def _events(message: Mapping[str, Any]) -> AsyncIterator[str]:
    """The events of Anthropic's stream for a message of one block."""
    [block] = message["content"]
    if block["type"] == "text":
        start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        start = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    for event in (
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
    ):
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
