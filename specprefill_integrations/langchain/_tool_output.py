"""Outputs of tool calls: the messages in them, and copies with other messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from langchain_core.messages import ToolMessage, convert_to_messages
from langgraph.types import Command

ToolOutput = ToolMessage | Command[Any] | list[ToolMessage | Command[Any]]
"""The output of a tool call. Lists occur too, although the types of `wrap_tool_call` omit them."""

OutputT = TypeVar("OutputT", bound=ToolOutput)

# The key of messages in an agent's state; custom graphs may use another one.
_MESSAGES = "messages"

_Replace = Callable[[Any], Any]


def answers_in(output: ToolOutput, tool_call_id: str | None) -> list[ToolMessage]:
    """Return the messages that answer one tool call.

    A command may carry more messages, such as a history that it hands over: the model has read
    them already. Messages, and dictionaries for messages, are found in the lists of a command's
    update. Where the update has a key `messages`, its other keys, such as the whole result for
    another node, belong to the app.

    Args:
        output: The output of the call.
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


def hands_over(output: ToolOutput) -> bool:
    """True if the output is a command that goes to another agent: its message is for that one."""
    outputs = output if isinstance(output, list) else [output]
    commands = [one for one in outputs if isinstance(one, Command)]
    return any(command.goto or command.graph for command in commands)


def with_answers(
    output: OutputT, tool_call_id: str | None, answers: Sequence[ToolMessage]
) -> OutputT:
    """Return the output with other messages in place of those of `answers_in`.

    Args:
        output: The output of the call, which is not changed.
        tool_call_id: The call's id.
        answers: One for each message that answers the call, in the same order.
    """
    if not answers:
        return output
    remaining = iter(answers)

    def replaced(item: Any) -> Any:  # noqa: ANN401 - commands update states with anything
        return item if _as_answer(item, tool_call_id) is None else next(remaining)

    return _rewritten(output, replaced)  # type: ignore[no-any-return]


def _as_answer(item: object, tool_call_id: str | None) -> ToolMessage | None:
    """Return an item as a message, if it answers the call."""
    if isinstance(item, dict) and "tool" in (item.get("role"), item.get("type")):
        try:
            [item] = convert_to_messages([item])
        except (KeyError, TypeError, ValueError):  # it is no message
            return None
    if isinstance(item, ToolMessage) and item.tool_call_id == tool_call_id:
        return item
    return None


def _rewritten(output: Any, replaced: _Replace) -> Any:  # noqa: ANN401
    """Return a copy with each possible answer replaced, always in the same order."""
    if isinstance(output, list):
        return [_rewritten(item, replaced) for item in output]
    if isinstance(output, Command):
        return replace(output, update=_updated(output.update, replaced))
    return replaced(output)


def _updated(update: Any, replaced: _Replace) -> Any:  # noqa: ANN401
    """Return a copy of a command's update; one of its lists holds the messages."""
    if isinstance(update, dict):
        keys = {_MESSAGES}.intersection(update) or update.keys()
        return {
            key: _each(value, replaced) if key in keys else value for key, value in update.items()
        }
    return _each(update, replaced)


def _each(value: Any, replaced: _Replace) -> Any:  # noqa: ANN401
    return [replaced(item) for item in value] if isinstance(value, list) else value
