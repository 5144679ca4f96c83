"""Conversations: the user's last message, and the tool call that a message answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage

from specprefill_integrations.tool_results import ToolRequest
from specprefill_integrations.tool_results._earlier_turns import earlier_turns


def request_of(
    call: ToolCall, messages: Sequence[BaseMessage], *, goal: str | None = None
) -> ToolRequest:
    """Translate a tool call.

    Args:
        call: The call.
        messages: The conversation, the message with the call included.
        goal: What the model looks for; it is not among the call's arguments.
    """
    return ToolRequest(
        tool_name=call["name"],
        arguments=call["args"],
        user_message=last_user_text(messages),
        assistant_message=_text_before(call, messages),
        earlier_turns=earlier_turns(
            (isinstance(m, HumanMessage), str(m.text)) for m in messages if _is_said(m)
        ),
        goal=goal,
    )


def call_behind(message: BaseMessage, messages: Sequence[BaseMessage]) -> ToolCall | None:
    """Return the tool call that a message answers; None where it answers none of these."""
    if not isinstance(message, ToolMessage):
        return None
    calls = (call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls)
    return next((call for call in calls if call["id"] == message.tool_call_id), None)


def tool_of(message: BaseMessage, messages: Sequence[BaseMessage]) -> str:
    """Return the name of the tool whose result a message is; empty where it is none."""
    if isinstance(message, ToolMessage) and message.name:
        return message.name
    call = call_behind(message, messages)
    return call["name"] if call else ""


def is_spoken(message: BaseMessage) -> bool:
    """True for a human message that is not a summary of older messages."""
    return isinstance(message, HumanMessage) and "lc_source" not in message.additional_kwargs


def last_user_text(messages: Sequence[BaseMessage]) -> str:
    """Return the text of the last human message; of a summary where there is no other."""
    human = [message for message in messages if isinstance(message, HumanMessage)]
    spoken = [message for message in human if is_spoken(message)]
    return str((spoken or human)[-1].text) if human else ""


def messages_of(state: object) -> list[BaseMessage]:
    """Return the messages of an agent's state, which may be a list, a mapping or an object."""
    if isinstance(state, Mapping):
        state = state.get("messages")
    elif not isinstance(state, list):
        state = getattr(state, "messages", None)
    messages = state if isinstance(state, list) else []
    return [message for message in messages if isinstance(message, BaseMessage)]


def _is_said(message: BaseMessage) -> bool:
    """True for a message of the user, and for an answer of the assistant."""
    return is_spoken(message) or (isinstance(message, AIMessage) and not message.tool_calls)


def _text_before(call: ToolCall, messages: Sequence[BaseMessage]) -> str | None:
    """Return the assistant's text in the message that made the call."""
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(
            c["id"] == call["id"] for c in message.tool_calls
        ):
            return str(message.text)
    return None
