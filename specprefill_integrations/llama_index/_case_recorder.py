"""Recording of a LlamaIndex app's runs as evaluation cases. WRITES TEXTS TO A FILE."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.tools import BaseTool, ToolOutput

from specprefill_integrations._arguments import PositiveInt, Share, checked
from specprefill_integrations.llama_index import _handlers
from specprefill_integrations.llama_index._compressed_tool import CompressedTool
from specprefill_integrations.llama_index._run_texts import (
    is_stream,
    question_in,
    reply_in,
    said_in,
    text_of_question,
    texts_of_nodes,
    texts_of_output,
)
from specprefill_integrations.observability._app_run_recorder import AppRunRecorder
from specprefill_integrations.observability._case_file import CaseFile

_LAST_STREAM: ContextVar[str] = ContextVar("_LAST_STREAM", default="")
"""The app's run whose streamed answer this task or thread received last."""


class CaseRecorder(BaseEventHandler):
    """Records runs as evaluation cases: WRITES questions, found texts and answers TO A FILE.

    Make sure that you are allowed to store your users' questions and your documents, and delete the
    file when you are done. Only its owner can read the file. No text is logged.

    Every outermost run, such as a query of an engine, a message to a chat engine or a run of an
    agent, becomes a case for `specprefill evaluate ab`: the question, the output of retrievers and
    tools, and the answer. `recorder.install()` starts recording in this process. Runs that fail,
    find nothing or answer nothing are counted and left out.

    Texts that our integrations compress are recorded as they were before. A streamed answer is
    recorded when it has been read, in the task or thread that asked. Do not stream engines that
    call their model several times for one answer: the first answer would be recorded.
    """

    _file: CaseFile = PrivateAttr()
    _runs: AppRunRecorder = PrivateAttr()
    _spans: _SpanHandler = PrivateAttr()

    @checked
    def __init__(
        self,
        path: str | Path,
        *,
        task: str = "recorded",
        sample: Share = 1.0,
        max_cases: PositiveInt | None = 1_000,
    ) -> None:
        """Create the file, or append to an existing one.

        Args:
            path: The file of JSON lines. Each process needs its own.
            task: A name for the questions; cases of one task are counted together.
            sample: The share of runs that is recorded, in (0, 1].
            max_cases: The number of cases in the file, earlier ones included; None for no limit.

        Raises:
            EvaluationDataError: The file holds something else.
            OSError: It cannot be created or written.
            TypeError: An argument has another type.
            ValueError: A number is out of range.
        """
        super().__init__()
        self._file = CaseFile(path, max_cases)
        self._runs = AppRunRecorder(self._file, task=task, sample=sample)
        self._spans = _SpanHandler(self._runs)

    @classmethod
    def class_name(cls) -> str:
        """The name for LlamaIndex; it never changes."""
        return "CaseRecorder"

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of runs that were `recorded`, and of others by the reason why not."""
        return self._runs.counts

    def install(self) -> None:
        """Record from now on."""
        _handlers.install(self, self._spans)

    def remove(self) -> None:
        """Stop recording."""
        _handlers.remove(self, self._spans)

    def handle(self, event: BaseEvent, **_: object) -> None:
        """Note events of retrievers and models; others are ignored."""
        run_id = event.span_id or ""
        match event:
            case RetrievalStartEvent():
                self._runs.source_began(run_id, text_of_question(event.str_or_query_bundle))
            case RetrievalEndEvent():
                self._runs.source_ended(run_id, partial(texts_of_nodes, event.nodes))
            case LLMChatStartEvent() | LLMCompletionStartEvent():
                self._runs.call_began(run_id, _LAST_STREAM.get())
            case LLMChatEndEvent() | LLMCompletionEndEvent():
                self._runs.call_ended(run_id, said_in(event.response))
            case ExceptionEvent():
                self._runs.call_ended(run_id, None)


class _SpanHandler(BaseSpanHandler[BaseSpan]):
    """Notes parents of spans, outputs of tools, and the ends of the app's runs."""

    _runs: AppRunRecorder = PrivateAttr()

    def __init__(self, runs: AppRunRecorder) -> None:
        super().__init__()
        self._runs = runs

    @classmethod
    def class_name(cls) -> str:
        """The name for LlamaIndex."""
        return "CaseSpanHandler"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: object | None = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,  # noqa: ARG002 - LlamaIndex's signature
        **_: object,
    ) -> None:
        """Note the parent span, and whether a tool is running."""
        if self._runs.began(id_, parent_span_id, partial(question_in, bound_args)) and isinstance(
            instance, BaseTool
        ):
            self._runs.source_began(id_)

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - LlamaIndex's signature
        instance: object | None = None,
        result: object | None = None,
        **_: object,
    ) -> None:
        """Keep a tool's output; write the case at the end of an outermost run."""
        if isinstance(result, ToolOutput):
            is_compressed = isinstance(instance, CompressedTool)
            self._runs.source_ended(
                id_, partial(texts_of_output, result, is_compressed=is_compressed)
            )
        if isinstance(instance, StreamingAgentChatResponse):
            self._runs.answered(id_, instance.response)
        if is_stream(result):
            self._runs.ended_with_promise(id_)
            _LAST_STREAM.set(id_)
        else:
            self._runs.ended(id_, partial(reply_in, result))

    def prepare_to_drop_span(self, id_: str, *_: object, **__: object) -> None:
        """Count an outermost run that failed."""
        self._runs.call_ended(id_, None)
        self._runs.source_ended(id_, tuple)
        self._runs.failed(id_)
