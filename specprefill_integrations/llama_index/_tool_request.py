"""A call of a tool -> the question that its result is to answer.

Knows nothing about what is done with the question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.llama_index._events import QuerySource
from specprefill_integrations.tool_results._question import call_in_words, joined_question


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """A call of a tool, as far as it says what is wanted."""

    tool_name: str
    """The tool."""

    arguments: Mapping[str, Any]
    """What the model filled in, by name; what came without one, by its place."""

    user_message: str | None = None
    """What the user asked the agent; None where that is not known, as outside of an agent."""


MakeQuery = Callable[[ToolRequest], str | None]
"""Makes the question of a call; None or blank for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question, and where it comes from."""

    text: str | None = None
    """The question; None where there is none, and what matters for a text as a whole is kept."""

    sources: tuple[QuerySource, ...] = ()
    """Where its parts come from, in their order."""


def query_of(request: ToolRequest, setting: str | MakeQuery | None) -> Query:
    """The question behind a tool call.

    It is the setting where there is one, else what the user asked, then the call with its
    arguments, both cut to a thousand characters.

    Args:
        request: The call.
        setting: A question for all results of the tool, or what makes one of a call.
    """
    if setting is not None:
        text = setting if isinstance(setting, str) else setting(request)
        return Query(text=text, sources=("setting",)) if text and text.strip() else Query()
    parts: dict[QuerySource, str] = {"user_message": request.user_message or ""}
    parts["tool_call"] = call_in_words(request.tool_name, request.arguments)
    text, sources = joined_question(parts)
    return Query(text=text, sources=sources)
