"""What a tool call gives: its answers are found and replaced, and nothing else is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.types import Command, Overwrite, Send

from specprefill_integrations.langchain._tool_output import answers_in, hands_over, with_answers

OLD = ToolMessage("old", tool_call_id="0")
MINE = ToolMessage("mine", tool_call_id="1")
NEW = ToolMessage("new", tool_call_id="1")
HUMAN = HumanMessage("Hello.")


def as_role(message: ToolMessage) -> dict[str, Any]:
    """As OpenAI's protocol writes it."""
    return {"role": "tool", "content": message.content, "tool_call_id": message.tool_call_id}


def as_type(message: ToolMessage) -> dict[str, Any]:
    """As LangChain writes it."""
    return {"type": "tool", "content": message.content, "tool_call_id": message.tool_call_id}


@dataclass
class AState:
    """A state that is no dictionary."""

    messages: list[ToolMessage]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (MINE, NEW),
        ([OLD, MINE], [OLD, NEW]),
        (Command(update={"messages": [OLD, MINE]}), Command(update={"messages": [OLD, NEW]})),
        (Command(update={"chat": [MINE], "n": 3}), Command(update={"chat": [NEW], "n": 3})),
        (Command(update=[HUMAN, MINE], goto="x"), Command(update=[HUMAN, NEW], goto="x")),
        (
            [Command(update={"n": [1]}), MINE, Command(goto="x")],
            [Command(update={"n": [1]}), NEW, Command(goto="x")],
        ),
        (
            Command(update={"messages": [OLD, as_role(MINE)]}),
            Command(update={"messages": [OLD, NEW]}),
        ),
        (Command(update=[as_type(MINE)]), Command(update=[NEW])),
    ],
)
def test_the_answer_is_replaced_wherever_it_stands(output: Any, expected: Any) -> None:
    before = repr(output)
    assert answers_in(output, "1") == [MINE]
    assert with_answers(output, "1", [NEW]) == expected
    assert repr(output) == before


@pytest.mark.parametrize(
    "output",
    [
        OLD,
        [],
        Command(),
        Command(resume="yes"),
        Command(update={"messages": Overwrite([MINE])}),  # which LangGraph refuses by itself
        Command(update={"messages": [OLD, as_role(OLD)], "tools": {"type": "tool"}}),
        Command(update=[{"role": "tool", "content": "to no call"}]),
        Command(update=AState([MINE])),
    ],
)
def test_without_an_answer_the_output_is_the_same_object(output: Any) -> None:
    assert answers_in(output, "1") == []
    assert with_answers(output, "1", []) is output


def test_several_answers_keep_their_order() -> None:
    others = [ToolMessage(text, tool_call_id="1") for text in "ab"]
    output = [Command(update={"messages": [MINE, OLD]}), MINE]
    command, message = with_answers(output, "1", others)
    assert command.update == {"messages": [others[0], OLD]}
    assert message is others[1]


def test_what_a_command_keeps_beside_the_messages_stays_as_it_is() -> None:
    output = Command(update={"messages": [MINE], "archive": [MINE, as_role(MINE)]})
    assert answers_in(output, "1") == [MINE]
    replaced = with_answers(output, "1", [NEW])
    assert replaced.update == {"messages": [NEW], "archive": [MINE, as_role(MINE)]}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (Command(goto="writer", graph=Command.PARENT, update={"messages": [MINE]}), True),
        (Command(goto="writer", update={"messages": [MINE]}), True),
        (Command(goto=[Send("writer", {})], graph=Command.PARENT), True),
        ([Command(update={"n": 1}), Command(goto="writer")], True),
        (Command(update={"messages": [MINE]}), False),
        ([MINE, Command(update={"n": 1})], False),
        (MINE, False),
    ],
)
def test_a_command_that_goes_on_elsewhere_hands_over(output: Any, *, expected: bool) -> None:
    assert hands_over(output) == expected
