"""Conversations in OpenAI's chat format: their tool results, and rows with shorter ones.

The question about a tool result depends only on the rows before it, so that a result is shown alike
in every later turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from specprefill_integrations.originals._recall import AROUND_HELP, RECALL_HELP, REFERENCE_HELP
from specprefill_integrations.serving._contract import ChatMessage, CompressRequest, ToolCall
from specprefill_integrations.serving._limits import ServiceLimits
from specprefill_integrations.tool_results import CompressedResult, ToolRequest, ToolResult
from specprefill_integrations.tool_results._content import (
    breaks_of,
    open_texts_of,
    texts_of,
    with_texts,
)
from specprefill_integrations.tool_results._earlier_turns import earlier_turns

RECALL_TOOL = "recall_original"
"""The name of the tool that recalls originals, as in the integrations."""


def tool_results_of(request: CompressRequest, tenant: str) -> dict[int, ToolResult]:
    """Return the tool results of a conversation, by the index of their rows.

    Args:
        request: The request.
        tenant: The tenant whose store keeps originals.
    """
    messages = request.messages or []
    return {
        index: _tool_result(messages, index, request, tenant)
        for index, message in enumerate(messages)
        if message.role == "tool" and message.content is not None
    }


def with_room(
    found: Mapping[int, ToolResult], tokens: Mapping[int, int], limits: ServiceLimits
) -> dict[int, ToolResult]:
    """Mark tool results that exceed the limits together with those before them.

    Rows that follow change nothing, so that a result is shown alike in every later turn.

    Args:
        found: The results, by the index of their rows.
        tokens: The tokens of those that are to be compressed.
        limits: The limits.
    """
    texts = total = 0
    marked = dict(found)
    for index, count in tokens.items():
        more_texts = texts + len(found[index].texts)
        if more_texts > limits.max_documents or total + count > limits.max_tokens:
            marked[index] = replace(found[index], skip="no_room")
        else:
            texts, total = more_texts, total + count
    return marked


def with_result(message: ChatMessage, done: CompressedResult) -> ChatMessage:
    """Return a row with the texts of a result; the row itself if none has changed."""
    if done.outcome.skipped_because is not None:
        return message
    content = with_texts(message.content or "", done.texts)
    return message.model_copy(update={"content": content})


def with_recall_tool(
    tools: Sequence[dict[str, Any]], *, has_around: bool = False
) -> list[dict[str, Any]]:
    """Return the tools of an agent with the one that recalls originals.

    Args:
        tools: The tools.
        has_around: True if the tool can return a part of an original.
    """
    names = [one["function"].get("name") for one in tools if isinstance(one.get("function"), dict)]
    return [*tools] if RECALL_TOOL in names else [*tools, _recall_tool(has_around=has_around)]


def _recall_tool(*, has_around: bool) -> dict[str, Any]:
    properties = {"reference": {"type": "string", "description": REFERENCE_HELP}}
    if has_around:
        properties["around"] = {"type": "string", "description": AROUND_HELP}
    parameters = {
        "type": "object",
        "properties": properties,
        "required": ["reference"],
        "additionalProperties": False,
    }
    function = {"name": RECALL_TOOL, "description": RECALL_HELP, "parameters": parameters}
    return {"type": "function", "function": function}


def _tool_result(
    messages: Sequence[ChatMessage], index: int, request: CompressRequest, tenant: str
) -> ToolResult:
    message = messages[index]
    before = messages[:index]
    caller, call = _call_behind(message, before)
    name = call.function.name if call and call.function else message.name or ""
    content = message.content or ""
    return ToolResult(
        texts=open_texts_of(content),
        breaks=breaks_of(content),
        tool_name=name,
        find_request=partial(_tool_request, before, caller, call, name),
        skip="recalled" if name == RECALL_TOOL else None,
        user_message_only=request.query_from == "user_message",
        runtime=tenant,
        can_be_recalled=request.keep_originals,
    )


def _tool_request(
    before: Sequence[ChatMessage], caller: ChatMessage | None, call: ToolCall | None, name: str
) -> ToolRequest:
    asked = [_text(message) for message in before if message.role == "user"]
    said = [m for m in before if m.role == "user" or (m.role == "assistant" and not m.tool_calls)]
    return ToolRequest(
        tool_name=name,
        arguments=_arguments(call),
        user_message=asked[-1] if asked else None,
        assistant_message=_text(caller) if caller else None,
        earlier_turns=earlier_turns((m.role == "user", _text(m)) for m in said),
    )


def _call_behind(
    message: ChatMessage, before: Sequence[ChatMessage]
) -> tuple[ChatMessage | None, ToolCall | None]:
    """Return the latest call with the id that a tool result names, and its row."""
    for row in reversed(before):
        for call in row.tool_calls or []:
            if call.id == message.tool_call_id:
                return row, call
    return None, None


def _arguments(call: ToolCall | None) -> Mapping[str, Any]:
    """Return the arguments of a call; none where they are no JSON object."""
    if call is None or call.function is None:
        return {}
    try:
        found = json.loads(call.function.arguments)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(message: ChatMessage) -> str:
    return "\n".join(texts_of(message.content or ""))
