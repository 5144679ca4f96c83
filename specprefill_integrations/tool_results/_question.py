"""The question that a tool result is compressed for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from specprefill_integrations._arguments import check, checked

QuerySource = Literal["goal", "setting", "caller", "user_message", "assistant_message", "tool_call"]
"""Source of a part of the question: what the model said it looks for, the integration's `query=`,
the caller of a retriever or engine, the last message of the user, the assistant's text before the
tool call, the call itself."""

_SEPARATOR = " | "

# A part keeps its beginning and its end: in a pasted file, the question stands first or last.
_PART_CHARS = 1000

# Arguments of tools that search or ask.
_SEARCH_ARGUMENTS = {
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


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """A tool call and what was said before it."""

    tool_name: str = ""
    """The tool's name; empty for a message that answers no tool call."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The arguments by name; positional ones by their position (`"0"`, `"1"`)."""

    user_message: str | None = None
    """The last message of the user; None where it is unknown, such as outside of an agent."""

    assistant_message: str | None = None
    """The assistant's text in the message that made the call; None where it is unknown."""

    goal: str | None = None
    """The model's own question, by the argument that `goal_argument=True` offers it; None where it
    has none."""


QueryFunction = Callable[[ToolRequest], str | None]
"""Returns the question of a call; None or blank: ask the conversation. It is not asked for calls
with a goal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question and its sources."""

    text: str | None = None
    """The question; None keeps what matters for the text as a whole."""

    sources: tuple[QuerySource, ...] = ()
    """Sources of its parts, in order."""


def query_of(
    request: ToolRequest,
    setting: str | QueryFunction | None = None,
    *,
    user_message_only: bool = False,
) -> Query:
    """Find the question behind a tool call.

    It is the goal of the model, else the setting, unless they are blank. Otherwise it is put
    together from the user's message, the assistant's text before the call (unless an argument such
    as `query` says what is looked for) and the call with its arguments, each cut to a thousand
    characters.

    Args:
        request: The call.
        setting: The question, or a function that returns it.
        user_message_only: Ask for nothing but the user's message.
    """
    if request.goal and request.goal.strip():
        return Query(text=request.goal, sources=("goal",))
    text = check("query", setting(request) if callable(setting) else setting, str | None)
    if text and text.strip():
        return Query(text=text, sources=("setting",))
    parts: dict[QuerySource, str | None] = {"user_message": request.user_message}
    if not user_message_only:
        if not searches(request.arguments):
            parts["assistant_message"] = request.assistant_message
        parts["tool_call"] = _format_call(request)
    found = {source: _shortened(part) for source, part in parts.items() if part and part.strip()}
    return Query(text=_SEPARATOR.join(found.values()) or None, sources=tuple(found))


def searches(arguments: Mapping[str, Any]) -> bool:
    """True if an argument says what is looked for: a text under a name such as `query`."""
    return any(
        isinstance(value, str) and value.strip() and name.casefold() in _SEARCH_ARGUMENTS
        for name, value in arguments.items()
    )


def _format_call(request: ToolRequest) -> str | None:
    if not request.arguments:
        return None
    arguments = json.dumps(request.arguments, ensure_ascii=False, default=str)
    return f"tool call: {request.tool_name} {arguments}"


def _shortened(text: str) -> str:
    text = text.strip()
    if len(text) <= _PART_CHARS:
        return text
    half = _PART_CHARS // 2
    return f"{text[:half].rstrip()} ... {text[-half:].lstrip()}"
