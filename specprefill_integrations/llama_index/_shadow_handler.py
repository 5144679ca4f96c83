"""Answers of the models in a LlamaIndex app, for a shadow log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent

from specprefill_integrations._arguments import checked
from specprefill_integrations.llama_index import _handlers
from specprefill_integrations.llama_index._token_usage import usage_of
from specprefill_integrations.observability import ShadowLog

_LAST_COMPLETION: ContextVar[str | None] = ContextVar("_LAST_COMPLETION", default=None)
"""The last completion in this task or thread: a model's `chat` may be made of its `complete`."""


class ShadowEventHandler(BaseEventHandler):
    """Adds each answer of a model to a shadow log.

    `handler.install()` starts recording in this process. Give its log to the compressor:
    `compressor.replace(shadow_log=handler.log)`.
    """

    _log: ShadowLog = PrivateAttr()

    @checked
    def __init__(self, log: ShadowLog | None = None) -> None:
        """Create a handler.

        Args:
            log: The log; None is a new one, in memory.
        """
        super().__init__()
        self._log = ShadowLog() if log is None else log

    @property
    def log(self) -> ShadowLog:
        """The log."""
        return self._log

    @classmethod
    def class_name(cls) -> str:
        """The name for LlamaIndex."""
        return "ShadowEventHandler"

    def install(self) -> None:
        """Receive all events of this process."""
        _handlers.install(self)

    def remove(self) -> None:
        """Receive no more events."""
        _handlers.remove(self)

    def handle(self, event: BaseEvent, **_: Any) -> None:  # noqa: ANN401 - LlamaIndex's signature
        """Add the answer, if the event is one."""
        if isinstance(event, LLMChatEndEvent) and event.response is not None:
            said = list(_texts_of([event.response.message]))
            if said != [_LAST_COMPLETION.get()]:
                usage = usage_of(event.response)
                self._log.answered(list(_texts_of(event.messages)), said, usage=usage)
            _LAST_COMPLETION.set(None)
        elif isinstance(event, LLMCompletionEndEvent):
            _LAST_COMPLETION.set(event.response.text)
            usage = usage_of(event.response)
            self._log.answered([event.prompt], [event.response.text], usage=usage)


def _texts_of(messages: Sequence[ChatMessage]) -> Iterator[str]:
    """Yield the texts of messages, and the arguments of their tool calls."""
    for message in messages:
        for block in message.blocks:
            if isinstance(block, TextBlock):
                yield block.text
            elif isinstance(block, ToolCallBlock):
                yield json.dumps(block.tool_kwargs, ensure_ascii=False, default=str)
        for call in message.additional_kwargs.get("tool_calls", ()):
            yield str(call)
