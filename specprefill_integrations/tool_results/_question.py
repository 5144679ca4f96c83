"""The question that a tool result is compressed for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from specprefill_integrations._arguments import check, checked
from specprefill_integrations.pipeline._pasted_text import both_ends, without_pasted_text
from specprefill_integrations.tool_results._earlier_turns import Turn, referred_texts

QuerySource = Literal[
    "goal",
    "setting",
    "caller",
    "earlier_turns",
    "user_message",
    "assistant_message",
    "tool_call",
]
"""Source of a part of the question: what the model said it looks for, the integration's `query=`,
the caller of a retriever or engine, what the last message of the user refers to, that message, the
assistant's text before the tool call, the call itself."""

_SEPARATOR = " | "

# A part keeps its beginning and its end: in a pasted file, the question stands first or last.
_PART_CHARS = 1000
_TURN_CHARS = 300
_LEAST_ARGUMENT_CHARS = 60

_ESCAPED = re.compile(r"\\([\"\\nrt])")
_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t"}

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

    earlier_turns: Sequence[Turn] = ()
    """The turns before that message, each the user's message and the answer; the latest last."""

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
    together from the user's message, what that refers to in earlier turns, the assistant's text
    before the call (unless an argument such as `query` says what is looked for) and the call with
    its arguments, each cut to a thousand characters.

    Args:
        request: The call.
        setting: The question, or a function that returns it.
        user_message_only: Ask for nothing but the user's message and what it refers to.
    """
    if request.goal and request.goal.strip():
        return Query(text=without_pasted_text(request.goal), sources=("goal",))
    text = check("query", setting(request) if callable(setting) else setting, str | None)
    if text and text.strip():
        return Query(text=without_pasted_text(text), sources=("setting",))
    asked = (request.user_message or "").strip()
    referred = referred_texts(asked, request.earlier_turns)
    parts: dict[QuerySource, str | None] = {
        "earlier_turns": _SEPARATOR.join(_shortened(text, _TURN_CHARS) for text in referred),
        "user_message": asked,
    }
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
    written = {name: _written(value) for name, value in request.arguments.items()}
    # Each argument keeps a part, however long the others are.
    most_chars = _PART_CHARS
    if sum(map(len, written.values())) > _PART_CHARS:
        most_chars = max(_LEAST_ARGUMENT_CHARS, _PART_CHARS // len(written))
    pairs = (f"{_written(name)}: {both_ends(text, most_chars)}" for name, text in written.items())
    return f"tool call: {request.tool_name} {{{', '.join(pairs)}}}"


def _written(value: object) -> str:
    """Return a value as JSON without escapes, in which words and line breaks stay what they are."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _ESCAPED.sub(lambda found: _UNESCAPED.get(found[1], found[1]), text)


def _shortened(text: str, chars: int = _PART_CHARS) -> str:
    return both_ends(without_pasted_text(text.strip()), chars)
