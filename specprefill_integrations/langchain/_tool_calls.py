"""Which call a message answers, and what a call says of its result."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage

from specprefill_integrations.langchain._query_source import searches
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.types import Kind, TextHint


def call_behind(message: BaseMessage, messages: Sequence[BaseMessage]) -> ToolCall | None:
    """The tool call that a message answers; None where it answers none that is there."""
    if not isinstance(message, ToolMessage):
        return None
    calls = (call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls)
    return next((call for call in calls if call["id"] == message.tool_call_id), None)


def hint_of_call(call: ToolCall, kind: Kind | None = None) -> TextHint:
    """What a call says of its result: the tool, and the file that it names.

    What is found in a file is not of the file's kind, so a call that searches names none.

    Args:
        call: The tool call.
        kind: What the result is known to be.
    """
    name = None if searches(call["args"]) else hint_from_metadata(call["args"]).name
    return TextHint(kind=kind, name=name, tool=call["name"])
