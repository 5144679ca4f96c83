"""What a tool call gives an agent -> the messages that answer it, and back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from langchain_core.messages import ToolMessage
from langgraph.types import Command

ToolOutput = ToolMessage | Command[Any] | list[ToolMessage | Command[Any]]
"""What a tool call gives. Lists of both are given too, though `wrap_tool_call`'s types say not."""

OutputT = TypeVar("OutputT", bound=ToolOutput)


def answers_in(output: ToolOutput, tool_call_id: str | None) -> list[ToolMessage]:
    """The messages that answer one tool call.

    A command may carry more messages, such as a history that it hands over: they were seen before.

    Args:
        output: What the call gave.
        tool_call_id: The call's id.
    """
    return [
        item
        for item in _items_in(output)
        if isinstance(item, ToolMessage) and item.tool_call_id == tool_call_id
    ]


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
        if isinstance(item, ToolMessage) and item.tool_call_id == tool_call_id:
            return next(remaining)
        return item

    return _rewritten(output, replaced)  # type: ignore[no-any-return]


def _items_in(output: object) -> Iterator[object]:
    """All that may be an answer, in the order in which `_rewritten` comes upon it."""
    if isinstance(output, Command):
        update = output.update
        values = list(update.values()) if isinstance(update, dict) else [update]
        for value in values:
            yield from value if isinstance(value, list) else ()
    elif isinstance(output, list):
        for item in output:
            yield from _items_in(item)
    else:
        yield output


def _rewritten(output: Any, replaced: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    if isinstance(output, list):
        return [_rewritten(item, replaced) for item in output]
    if not isinstance(output, Command):
        return replaced(output)
    update = output.update
    if isinstance(update, dict):
        return replace(output, update={key: _each(update[key], replaced) for key in update})
    return replace(output, update=_each(update, replaced))


def _each(value: Any, replaced: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """A list with its items replaced: one of a state's lists holds the messages."""
    return [replaced(item) for item in value] if isinstance(value, list) else value
