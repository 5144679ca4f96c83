"""A memory block that compresses what leaves an agent's short-term memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.memory import BaseMemoryBlock
from llama_index.core.utils import get_tokenizer

from specprefill_integrations._arguments import check
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.llama_index._events import CallEvents
from specprefill_integrations.llama_index._with_compressor import WithCompressor
from specprefill_integrations.pipeline._failures import FailureLog, reason_of
from specprefill_integrations.pipeline._token_counting import as_token_counter, count_each
from specprefill_integrations.tool_results import Outcome, QuerySource, outcome_of
from specprefill_integrations.types import Budget, TextHint

logger = logging.getLogger(__name__)

# A memory asks for a block's content and then, in the same task, to truncate it; only the first
# call has the conversation. A block may serve many conversations at once.
_question: ContextVar[str] = ContextVar("question", default="")

_TRANSCRIPT = TextHint(kind="chat")

_EVENTS = CallEvents(integration="memory_block", text_count=1)


class SpecPrefillMemoryBlock(WithCompressor, BaseMemoryBlock[str]):
    """Keeps the messages that leave short-term memory, compressed to the room that there is.

    As long as a `Memory` has room, the block is a transcript of all messages: role and text. When
    room runs out, it is compressed for the last message of the user. Images and tool calls are not
    kept. Each session has its own transcript.

    If nothing can be kept, or if the draft fails and the compressor does not raise, the block is
    left out, as LlamaIndex does with blocks that cannot be truncated. A block with `priority=0` is
    never truncated, and so never compressed.
    """

    name: str = Field(default="EarlierMessages", description="The name of the block.")
    priority: int = Field(
        default=1,
        ge=0,
        description="Blocks of a lower priority are compressed earlier; 0 is never compressed.",
    )
    query: str | None = Field(
        default=None, description="The question; None or blank is the last message of the user."
    )
    tokenizer_fn: Callable[[str], list[Any]] = Field(
        default_factory=get_tokenizer,
        exclude=True,
        description="Tokenizer for counting. Must be the one that the `Memory` uses for its token "
        "limit.",
    )
    _failures: FailureLog = PrivateAttr(default_factory=FailureLog)
    transcripts: dict[str, list[str]] = Field(
        default_factory=dict, description="The messages by session."
    )

    async def aput(
        self,
        messages: list[ChatMessage],
        *args: Any,  # noqa: ANN401 - LlamaIndex's, which differ between versions
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Add messages.

        Raises:
            TypeError: `messages` is no sequence of messages.
        """
        check("messages", messages, Sequence[ChatMessage])
        await super().aput(messages, *args, **kwargs)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        for message in messages:
            if message.content:
                session = str(message.additional_kwargs.get("session_id", ""))
                said = f"{message.role.value}: {message.content}"
                self.transcripts.setdefault(session, []).append(said)

    async def _aget(
        self,
        messages: list[ChatMessage] | None = None,
        session_id: str = "",
        **block_kwargs: Any,  # noqa: ANN401, ARG002 - LlamaIndex's signature
    ) -> str:
        _question.set(_last_of_user(messages or []))
        return "\n".join(self.transcripts.get(session_id, []))

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Compress the content to the room that there is.

        Args:
            content: The content of the block.
            tokens_to_truncate: The tokens by which it is too long.

        Returns:
            The compressed content; None where nothing is kept.

        Raises:
            TypeError: An argument has another type.
        """
        check("tokens_to_truncate", tokens_to_truncate, int)
        if not content:  # a memory asks even where there is nothing
            return None
        check("content", content, str)
        try:
            return await self._compressed(content, tokens_to_truncate)
        except Exception as error:
            if self.compressor is not None and self.compressor.on_error == "raise":
                raise
            reason = reason_of(error, "failed")
            self._failures.add(logger, "Left out earlier messages", reason, error)
            self._report(_EVENTS, Outcome(skipped_because=reason))
            return None

    async def _compressed(self, content: str, tokens_to_truncate: int) -> str | None:
        setting = self.query if self.query and self.query.strip() else ""
        query = setting or _question.get()
        source: QuerySource = "setting" if setting else "user_message"
        sources = (source,) if query else ()
        counter = as_token_counter(self.tokenizer_fn)
        [tokens] = await run_in_thread(lambda: count_each(counter, [content]))
        left_out = Outcome(original_tokens=tokens, kept_tokens=0, query_sources=sources)
        room = tokens - tokens_to_truncate
        if room < 1:
            self._report(_EVENTS, replace(left_out, skipped_because="no_room"))
            return None
        compressor = self._counting(await self._aready_compressor())
        _EVENTS.start(sources)
        result = await compressor.acompress(
            content, query, budget=Budget(max_tokens=room), hint=_TRANSCRIPT
        )
        outcome = outcome_of([result], query_sources=sources)
        if outcome.skipped_because:
            outcome = replace(outcome, kept_tokens=0)
        self._report(_EVENTS, outcome)
        return None if outcome.skipped_because else result.text

    def _counting(self, compressor: ContextCompressor) -> ContextCompressor:
        """Return the compressor with the memory's token counter."""
        return compressor.replace(count_tokens=self.tokenizer_fn)


def _last_of_user(messages: Sequence[ChatMessage]) -> str:
    """Return the last message of the user."""
    said = [message.content for message in messages if message.role == MessageRole.USER]
    return said[-1] or "" if said else ""
