"""Time to first token of the models in a LangChain app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from cachetools import FIFOCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult

from specprefill_integrations._arguments import checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations._metadata import own_metadata
from specprefill_integrations.langchain._events import EVENT_NAME
from specprefill_integrations.langchain._token_usage import usage_of
from specprefill_integrations.observability import TtftLog
from specprefill_integrations.observability._run_tree import RunTree
from specprefill_integrations.observability._ttft_recorder import TtftRecorder

DRAFT_SECONDS_KEY = "specprefill_draft_seconds"
"""Key in a call's `metadata`: the time an app spent on its own calls of the compressor."""

_MAX_RUNS = 10_000
"""Runs under way in one process; some end without an event, so the oldest are forgotten."""


class TtftCallbackHandler(BaseCallbackHandler):
    """Records every call of a model, with or without compression, streamed or not.

    Pass it to the outermost run, `agent.invoke(..., config={"callbacks": [handler]})`; one handler
    serves any number of runs at once. The record of a model that is not streamed has no time to
    first token.

    The time of compression comes from the events of our integrations. An app that calls the
    compressor itself passes it to the model's call:
    `config={"metadata": {"specprefill_draft_seconds": result.elapsed_seconds}}`.
    """

    # In an executor, callbacks would run late and out of order; these take microseconds.
    run_inline = True

    @checked
    def __init__(self, log: TtftLog | None = None) -> None:
        """Create a handler.

        Args:
            log: The log of records; None is a new one.
        """
        self.log = TtftLog() if log is None else log
        self._recorder = TtftRecorder(self.log)
        self._tree = RunTree()
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def _forget(self) -> None:
        self._seconds_of: FIFOCache[str, float] = FIFOCache(_MAX_RUNS)

    def on_chain_start(
        self,
        *_: object,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **__: object,
    ) -> None:
        """Note the parent run, and the time of compression in the metadata."""
        parent_id = None if parent_run_id is None else str(parent_run_id)
        self._tree.started(str(run_id), parent_id)
        seconds = (metadata or {}).get(DRAFT_SECONDS_KEY, 0.0)
        with self._lock:
            inherited = self._seconds_of.get(parent_id or "", 0.0)
            self._seconds_of[str(run_id)] = seconds
        # A run inherits its parent's metadata: that time is counted already.
        if seconds != inherited:
            self._recorder.compressed(self._app_run_of(run_id), seconds)

    on_tool_start = on_retriever_start = on_chain_start

    def on_chain_end(self, *_: object, run_id: UUID, **__: object) -> None:
        """Forget the run."""
        with self._lock:
            self._seconds_of.pop(str(run_id), None)
        if self._tree.ended(str(run_id)):
            self._recorder.app_run_ended(str(run_id))

    on_chain_error = on_tool_end = on_tool_error = on_chain_end
    on_retriever_end = on_retriever_error = on_chain_end

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: object) -> None:  # noqa: ANN401 - LangChain's signature
        """Note the time of compression."""
        if name == EVENT_NAME:
            self._recorder.compressed(
                self._app_run_of(run_id),
                data["elapsed_seconds"],
                _saved_tokens(data),
                data.get("resent_tokens"),
            )

    def on_chat_model_start(
        self,
        serialized: object,  # noqa: ARG002 - LangChain's signature
        messages: Sequence[Sequence[BaseMessage]] | Sequence[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **__: object,
    ) -> None:
        """Start the clock."""
        self.on_chain_start(run_id=run_id, parent_run_id=parent_run_id, metadata=metadata)
        model = (metadata or {}).get("ls_model_name")
        removed = sum(map(_removed_tokens, messages))
        app_run_id = self._app_run_of(run_id)
        self._recorder.call_started(str(run_id), app_run_id, model, removed_tokens=removed)

    def on_llm_start(
        self,
        serialized: object,
        prompts: Sequence[str],
        **about: Any,  # noqa: ANN401 - LangChain's signature
    ) -> None:
        """Start the clock."""
        self.on_chat_model_start(serialized, prompts, **about)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **_: object,
    ) -> None:
        """Stop the clock of the first token, unless the piece is empty."""
        if token or _has_content(chunk):
            self._recorder.token_came(str(run_id))

    def on_stream_event(self, event: Mapping[str, Any], *, run_id: UUID, **_: object) -> None:
        """Do the same for the protocol of `stream_events(version="v3")`."""
        if event.get("event") == "content-block-delta":
            self._recorder.token_came(str(run_id))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: object) -> None:
        """Write the record."""
        self._recorder.call_ended(str(run_id), usage_of(response))
        self.on_chain_end(run_id=run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: object) -> None:  # noqa: ARG002 - LangChain's signature
        """Count the failure: an answer that did not end has no time."""
        self._recorder.call_failed(str(run_id))
        self.on_chain_end(run_id=run_id)

    def _app_run_of(self, run_id: UUID) -> str:
        """Return the outermost known run: compression and calls within it belong together."""
        return self._tree.path_to(str(run_id))[0]


def _saved_tokens(data: Mapping[str, Any]) -> int:
    """Return the tokens saved; 0 where tokens were not counted."""
    if data["original_tokens"] is None or data["kept_tokens"] is None:
        return 0
    return int(data["original_tokens"] - data["kept_tokens"])


def _removed_tokens(prompt: Sequence[BaseMessage] | str) -> int:
    """Return the tokens that were removed from the messages of a prompt."""
    if isinstance(prompt, str):
        return 0
    found = [own_metadata(message.response_metadata) for message in prompt]
    cut = [one for one in found if one is not None and one["skipped_because"] is None]
    return sum(map(_saved_tokens, cut))


def _has_content(chunk: GenerationChunk | ChatGenerationChunk | None) -> bool:
    """True if a chunk without text is part of an answer, such as a tool call.

    Some providers send a chunk with the role alone before they have read the prompt.
    """
    if not isinstance(chunk, ChatGenerationChunk):
        return False
    message = chunk.message
    calls = isinstance(message, AIMessageChunk) and bool(message.tool_call_chunks)
    return calls or bool(message.content) or bool(message.additional_kwargs)
