"""What a tool call gives an agent -> the messages that answer it, and back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from langchain_core.messages import ToolMessage, convert_to_messages
from langgraph.types import Command

ToolOutput = ToolMessage | Command[Any] | list[ToolMessage | Command[Any]]
"""What a tool call gives. Lists of both are given too, though `wrap_tool_call`'s types say not."""

OutputT = TypeVar("OutputT", bound=ToolOutput)

# What an agent's state calls its messages; graphs of their own may call them otherwise.
_MESSAGES = "messages"

_Replace = Callable[[Any], Any]


def answers_in(output: ToolOutput, tool_call_id: str | None) -> list[ToolMessage]:
    """The messages that answer one tool call.

    A command may carry more messages, such as a history that it hands over: they were seen before.
    What a command of LangGraph's `ToolNode` may hold is found: messages, or dictionaries for them,
    in a list. Where one is called `messages`, what a command keeps elsewhere in a state, such as
    the whole result for another node, is the app's own.

    Args:
        output: What the call gave.
        tool_call_id: The call's id.
    """
    found: list[ToolMessage] = []

    def noted(item: Any) -> Any:  # noqa: ANN401 - commands update states with anything
        answer = _as_answer(item, tool_call_id)
        if answer is not None:
            found.append(answer)
        return item

    _rewritten(output, noted)
    return found


def with_answers(
    output: OutputT, tool_call_id: str | None, answers: Sequence[ToolMessage]
) -> OutputT:
    """The same output with other messages for those of `answers_in`, in the same order.

    Args:
        output: What the call gave, which is not changed.
        tool_call_id: The call's id.
        answers: One for each message that answers the call.
    """
    if not answers:
        return output
    remaining = iter(answers)

    def replaced(item: Any) -> Any:  # noqa: ANN401 - commands update states with anything
        return item if _as_answer(item, tool_call_id) is None else next(remaining)

    return _rewritten(output, replaced)  # type: ignore[no-any-return]


def _as_answer(item: object, tool_call_id: str | None) -> ToolMessage | None:
    """The message that this is, if it answers the call."""
    if isinstance(item, dict) and "tool" in (item.get("role"), item.get("type")):
        try:
            [item] = convert_to_messages([item])
        except (KeyError, TypeError, ValueError):  # no message: not ours to complain of
            return None
    if isinstance(item, ToolMessage) and item.tool_call_id == tool_call_id:
        return item
    return None


def _rewritten(output: Any, replaced: _Replace) -> Any:  # noqa: ANN401
    """A copy with each item replaced that may be an answer, always in the same order."""
    if isinstance(output, list):
        return [_rewritten(item, replaced) for item in output]
    if isinstance(output, Command):
        return replace(output, update=_updated(output.update, replaced))
    return replaced(output)


def _updated(update: Any, replaced: _Replace) -> Any:  # noqa: ANN401
    """What a command changes of a state: one of its lists holds the messages."""
    if isinstance(update, dict):
        keys = {_MESSAGES}.intersection(update) or update.keys()
        return {
            key: _each(value, replaced) if key in keys else value for key, value in update.items()
        }
    return _each(update, replaced)


def _each(value: Any, replaced: _Replace) -> Any:  # noqa: ANN401
    return [replaced(item) for item in value] if isinstance(value, list) else value
