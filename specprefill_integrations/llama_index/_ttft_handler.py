"""Time to first token of the models in a LlamaIndex app."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.events.span import SpanDropEvent  # type: ignore[attr-defined]
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler

from specprefill_integrations._arguments import checked
from specprefill_integrations.llama_index import _handlers
from specprefill_integrations.llama_index._events import (
    ContextCompressionEndEvent,
    ContextCompressionSkippedEvent,
)
from specprefill_integrations.llama_index._token_usage import usage_of
from specprefill_integrations.observability import TtftLog
from specprefill_integrations.observability._run_tree import RunTree
from specprefill_integrations.observability._ttft_recorder import TtftRecorder

Prompt = str | list[ChatMessage]
"""The prompt of a model."""

_LAST_CALL: ContextVar[tuple[str, Prompt]] = ContextVar("_LAST_CALL", default=("", ""))
"""The last call of a model in this task or thread: its id and its prompt."""

_LAST_COMPRESSION: ContextVar[str] = ContextVar("_LAST_COMPRESSION", default="")
"""The app's run in which this task or thread compressed last."""


class TtftEventHandler(BaseEventHandler):
    """Records every call of a model, with or without compression, streamed or not.

    `handler.install()` starts recording in this process. The record of a model that is not streamed
    has no time to first token. The time of compression comes from the events of our integrations.

    A model's `chat` that calls its own `complete` is one call.
    """

    _log: TtftLog = PrivateAttr()
    _recorder: TtftRecorder = PrivateAttr()
    _tree: RunTree = PrivateAttr()
    _spans: _SpanHandler = PrivateAttr()

    @checked
    def __init__(self, log: TtftLog | None = None) -> None:
        """Create a handler.

        Args:
            log: The log of records; None is a new one.
        """
        super().__init__()
        self._log = TtftLog() if log is None else log
        self._recorder = TtftRecorder(self._log)
        self._tree = RunTree()
        self._spans = _SpanHandler(self._tree, self._recorder)

    @classmethod
    def class_name(cls) -> str:
        """The name for LlamaIndex; it never changes."""
        return "TtftEventHandler"

    @property
    def log(self) -> TtftLog:
        """The log of records."""
        return self._log

    def install(self) -> None:
        """Record from now on."""
        _handlers.install(self, self._spans)

    def remove(self) -> None:
        """Stop recording."""
        _handlers.remove(self, self._spans)

    def handle(self, event: BaseEvent, **_: object) -> None:
        """Note events of models and of compression; others are ignored."""
        run_id = event.span_id or ""
        match event:
            case LLMChatStartEvent():
                self._call_started(run_id, event.messages, event.model_dict)
            case LLMCompletionStartEvent():
                self._call_started(run_id, event.prompt, event.model_dict)
            case LLMChatInProgressEvent() | LLMCompletionInProgressEvent():
                if _has_content(event.response):
                    self._recorder.token_came(run_id)
            case LLMChatEndEvent() | LLMCompletionEndEvent():
                self._recorder.call_ended(run_id, usage_of(event.response))
            case ExceptionEvent() | SpanDropEvent():
                self._recorder.call_failed(run_id)
            case ContextCompressionEndEvent() | ContextCompressionSkippedEvent():
                self._compressed(event)

    def _call_started(self, run_id: str, prompt: Prompt, about: Mapping[str, Any]) -> None:
        """Start the clock, unless a model calls itself."""
        path = self._tree.path_to(run_id)
        if any(self._recorder.is_under_way(outer_id) for outer_id in path):
            return
        last_id, last_prompt = _LAST_CALL.get()
        if last_prompt == prompt and self._recorder.is_under_way(last_id):
            # It calls itself while its stream is read, after the outer span has ended.
            self._tree.started(run_id, last_id)
            return
        # A streamed answer of an engine begins after the span that compressed has ended.
        compression = _LAST_COMPRESSION.get()
        app_run_id = compression if self._recorder.awaits_call(compression) else path[0]
        self._recorder.call_started(run_id, app_run_id, _model_name(about))
        _LAST_CALL.set((run_id, prompt))

    def _compressed(
        self, event: ContextCompressionEndEvent | ContextCompressionSkippedEvent
    ) -> None:
        """Note a compression, unless it was at ingestion, where no answer is waited for."""
        if event.integration == "ingestion":
            return
        app_run_id = self._tree.path_to(event.span_id or "")[0]
        saved = 0
        if event.original_tokens is not None and event.kept_tokens is not None:
            saved = event.original_tokens - event.kept_tokens
        self._recorder.compressed(app_run_id, event.elapsed_seconds, saved)
        _LAST_COMPRESSION.set(app_run_id)


class _SpanHandler(BaseSpanHandler[BaseSpan]):
    """Notes parents of spans, and keeps no span."""

    _tree: RunTree = PrivateAttr()
    _recorder: TtftRecorder = PrivateAttr()

    def __init__(self, tree: RunTree, recorder: TtftRecorder) -> None:
        super().__init__()
        self._tree = tree
        self._recorder = recorder

    @classmethod
    def class_name(cls) -> str:
        """The name for LlamaIndex."""
        return "TtftSpanHandler"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - LlamaIndex's signature
        instance: object | None = None,  # noqa: ARG002
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,  # noqa: ARG002
        **_: object,
    ) -> None:
        """Note the parent span."""
        self._tree.started(id_, parent_span_id)

    def prepare_to_exit_span(self, id_: str, *_: object, **__: object) -> None:
        """Forget the span."""
        if self._tree.ended(id_):
            self._recorder.app_run_ended(id_)

    prepare_to_drop_span = prepare_to_exit_span


def _model_name(about: Mapping[str, Any]) -> str | None:
    """Return a model's name from its metadata, or from its fields in older versions."""
    name = about.get("model_name") or about.get("model")
    return None if name == "unknown" else name


def _has_content(response: ChatResponse | CompletionResponse) -> bool:
    """True if a chunk of an answer holds text or a part of a tool call."""
    if response.delta or isinstance(response, CompletionResponse):
        return bool(response.delta)
    message = response.message
    return bool(message.additional_kwargs.get("tool_calls")) or any(
        isinstance(block, ToolCallBlock) for block in message.blocks
    )
