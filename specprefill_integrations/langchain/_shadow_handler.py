"""Answers of the models in a LangChain app, for a shadow log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from cachetools import FIFOCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from specprefill_integrations._arguments import checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.langchain._token_usage import usage_of
from specprefill_integrations.observability import ShadowLog

_MAX_CALLS = 1_000
"""Calls under way in one process; some end without an event, so the oldest are forgotten."""


class ShadowCallbackHandler(BaseCallbackHandler):
    """Adds each answer of a model to a shadow log.

    Pass it to the outermost run, `agent.invoke(..., config={"callbacks": [handler]})`, and give its
    log to the compressor: `compressor.replace(shadow_log=handler.log)`.
    """

    @checked
    def __init__(self, log: ShadowLog | None = None) -> None:
        """Create a handler.

        Args:
            log: The log; None is a new one, in memory.
        """
        self.log = ShadowLog() if log is None else log
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def _forget(self) -> None:
        self._prompts: FIFOCache[UUID, tuple[list[str], str | None]] = FIFOCache(_MAX_CALLS)

    def on_chat_model_start(
        self,
        serialized: Mapping[str, Any],  # noqa: ARG002 - LangChain's signature
        messages: Sequence[Sequence[BaseMessage]],
        *,
        run_id: UUID,
        metadata: Mapping[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Note the prompt."""
        self._note([*_texts_of(m for some in messages for m in some)], run_id, metadata)

    def on_llm_start(
        self,
        serialized: Mapping[str, Any],  # noqa: ARG002
        prompts: Sequence[str],
        *,
        run_id: UUID,
        metadata: Mapping[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Note the prompt."""
        self._note(list(prompts), run_id, metadata)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: object) -> None:
        """Add the answer."""
        with self._lock:
            prompt, model = self._prompts.pop(run_id, ([], None))
        made = [generation for some in response.generations for generation in some]
        messages = [one.message for one in made if isinstance(one, ChatGeneration)]
        said = list(_texts_of(messages)) if messages else [one.text for one in made]
        self.log.answered(prompt, said, model=model, usage=usage_of(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: object) -> None:  # noqa: ARG002
        """Forget the prompt."""
        with self._lock:
            self._prompts.pop(run_id, None)

    def _note(self, prompt: list[str], run_id: UUID, metadata: Mapping[str, Any] | None) -> None:
        with self._lock:
            self._prompts[run_id] = prompt, (metadata or {}).get("ls_model_name")


def _texts_of(messages: Iterator[BaseMessage] | Sequence[BaseMessage]) -> Iterator[str]:
    """Yield the texts of messages, and the arguments of their tool calls."""
    for message in messages:
        yield message.text
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                yield json.dumps(call["args"], ensure_ascii=False, default=str)
