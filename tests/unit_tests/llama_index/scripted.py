"""A model that says what it is told to, and what instrumentation hears meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.bridge.pydantic import Field
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms.mock import MockFunctionCallingLLM


class Script:
    """LlamaIndex's own mock model, with a list of turns; it remembers what it was sent."""

    def __init__(self, *turns: ChatMessage) -> None:
        self.remaining = list(turns)
        self.prompts: list[list[ChatMessage]] = []
        self.llm = MockFunctionCallingLLM(response_generator=self._next)

    def _next(self, messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        self.prompts.append([message.model_copy(deep=True) for message in messages])
        return self.remaining.pop(0)

    @property
    def last_prompt(self) -> str:
        return "\n".join(str(message.content) for message in self.prompts[-1])

    @property
    def tool_messages(self) -> list[ChatMessage]:
        return [message for message in self.prompts[-1] if message.role == "tool"]


def says(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", content=text)


def calls(tool: str, /, **arguments: Any) -> ChatMessage:
    block = ToolCallBlock(tool_call_id=f"call-{tool}", tool_name=tool, tool_kwargs=arguments)
    return ChatMessage(role="assistant", blocks=[block])


class Recorder(BaseEventHandler):
    """Keeps the events of ours."""

    events: list[BaseEvent] = Field(default_factory=list)

    def handle(self, event: BaseEvent, **_: Any) -> None:
        if event.class_name().startswith("ContextCompression"):
            self.events.append(event)

    @property
    def names(self) -> list[str]:
        cut = len("ContextCompression")
        return [event.class_name()[cut:].removesuffix("Event") for event in self.events]

    @property
    def reasons(self) -> list[str]:
        return [e.skipped_because for e in self.events if hasattr(e, "skipped_because")]


@contextmanager
def handling(handler: BaseEventHandler) -> Iterator[BaseEventHandler]:
    """Let a handler hear all events."""
    root = get_dispatcher("root")
    root.add_event_handler(handler)
    try:
        yield handler
    finally:
        root.event_handlers.remove(handler)
