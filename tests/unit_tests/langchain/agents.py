"""What the tests of agents share: a scripted chat model, tool calls, a tool with a long result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, messages_to_dict
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool
from pydantic import Field

QUESTION = "When did the dog bark?"
EVIDENCE = "The dog barked at noon."
RAIN = "Rain fell on the hills. " * 15
LONG = f"{RAIN}{EVIDENCE} {RAIN}"
"""186 tokens, of which the question needs 6; with two marks they are 16."""


class ScriptedModel(BaseChatModel):
    """Says what it was told to say, and notes what it was asked."""

    script: list[AIMessage]
    requests: list[list[BaseMessage]] = Field(default_factory=list)
    tools: list[list[str]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> ScriptedModel:
        self.tools.append([one.name for one in tools if isinstance(one, BaseTool)])
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        self.requests.append([message.model_copy(deep=True) for message in messages])
        said = self.script[len(self.requests) - 1]
        return ChatResult(generations=[ChatGeneration(message=said.model_copy(deep=True))])

    def request_bytes(self) -> list[list[str]]:
        """Each request's messages, as they are."""
        return [[repr(message) for message in messages_to_dict(r)] for r in self.requests]


def calls(*names: str, said: str = "", **arguments: Any) -> AIMessage:
    """A message that calls tools: `read:1` is the tool `read` with the call's id `1`."""
    made = []
    for name in names:
        tool_name, _, call_id = name.partition(":")
        made.append({"name": tool_name, "args": dict(arguments), "id": call_id or "1"})
    return AIMessage(said, tool_calls=made)


def scripted(*messages: AIMessage) -> ScriptedModel:
    return ScriptedModel(script=[*messages, AIMessage("Done.")])


def tool_messages(state: Any) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def stamp(message: BaseMessage) -> dict[str, Any]:
    return message.response_metadata["specprefill"]


@tool
def read(path: str = "a.txt") -> str:
    """Read a file."""
    return LONG
