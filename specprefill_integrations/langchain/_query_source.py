"""What an agent wants to know when it calls a tool, and where that stands.

Reads messages; knows nothing about what is done with the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from specprefill_integrations.tool_results._question import call_in_words, joined_question

QuerySource = Literal["setting", "human_message", "ai_message", "tool_call"]
"""Where a part of a question comes from: what the door was told, the last human message, the text
before the tool call, the call itself."""

# What tools that search or ask call what they look for.
_ASKING = {
    "goal",
    "instruction",
    "instructions",
    "keyword",
    "keywords",
    "objective",
    "pattern",
    "prompt",
    "q",
    "query",
    "question",
    "regex",
    "search",
    "search_query",
    "search_term",
    "task",
    "topic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question, and where it comes from."""

    text: str | None = None
    """The question; None where there is none, and what matters for a text as a whole is kept."""

    sources: tuple[QuerySource, ...] = ()
    """Where its parts come from, in their order."""


def query_of_setting(setting: str | None) -> Query | None:
    """The question that a door was told; None where that says nothing."""
    if setting is None or not setting.strip():
        return None
    return Query(text=setting, sources=("setting",))


def query_of_tool_call(call: Mapping[str, Any], messages: Sequence[BaseMessage]) -> Query:
    """The question behind a tool call, from general to special.

    It is the last human message, then what the model wrote before the call unless the arguments
    say what is looked for, then the call with its arguments, each cut to a thousand characters.

    Args:
        call: The tool call: `name`, `args` and `id`.
        messages: The conversation, the message with the call included.
    """
    parts: dict[QuerySource, str] = {"human_message": last_human_text(messages)}
    if not searches(call["args"]):
        parts["ai_message"] = _text_before(call, messages)
    parts["tool_call"] = call_in_words(call["name"], call["args"])
    return _joined(parts)


def query_of_conversation(messages: Sequence[BaseMessage]) -> Query:
    """The question that a conversation is at: its last human message."""
    return _joined({"human_message": last_human_text(messages)})


def searches(arguments: Mapping[str, object]) -> bool:
    """Whether an argument says what is looked for: a text under a name such as `query`."""
    return any(
        isinstance(value, str) and value.strip() and name.casefold() in _ASKING
        for name, value in arguments.items()
    )


def is_spoken(message: BaseMessage) -> bool:
    """Whether a human message is one, and not a summary that stands for older messages."""
    return isinstance(message, HumanMessage) and "lc_source" not in message.additional_kwargs


def last_human_text(messages: Sequence[BaseMessage]) -> str:
    """The text of the last human message; a summary serves where there is no other."""
    human = [message for message in messages if isinstance(message, HumanMessage)]
    spoken = [message for message in human if is_spoken(message)]
    return str((spoken or human)[-1].text) if human else ""


def messages_of(state: object) -> list[BaseMessage]:
    """The messages of an agent's state, which may be a list, a mapping or an object."""
    if isinstance(state, Mapping):
        state = state.get("messages")
    elif not isinstance(state, list):
        state = getattr(state, "messages", None)
    messages = state if isinstance(state, list) else []
    return [message for message in messages if isinstance(message, BaseMessage)]


def _text_before(call: Mapping[str, Any], messages: Sequence[BaseMessage]) -> str:
    """What the model wrote in the message that made the call."""
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            made = any(made["id"] == call["id"] for made in message.tool_calls)
            return str(message.text) if made else ""
    return ""


def _joined(parts: Mapping[QuerySource, str]) -> Query:
    text, sources = joined_question(parts)
    return Query(text=text, sources=sources)
