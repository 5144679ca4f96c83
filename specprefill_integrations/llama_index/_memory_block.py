"""What leaves an agent's short-term memory -> the part of it that the current question needs.

Keeps the messages and translates; knows nothing about what is kept of them or why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.bridge.pydantic import ConfigDict, Field
from llama_index.core.memory import BaseMemoryBlock
from llama_index.core.utils import get_tokenizer

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.llama_index._events import CallEvents, QuerySource
from specprefill_integrations.types import Budget, TextHint

logger = logging.getLogger(__name__)

# A memory asks for a block's content and then, in the same task, to truncate it; only the former
# comes with the conversation. A block may serve many conversations at once.
_question: ContextVar[str] = ContextVar("question", default="")

_TRANSCRIPT = TextHint(kind="chat")


class SpecPrefillMemoryBlock(BaseMemoryBlock[str]):
    """Keeps the messages that leave short-term memory, and gives back what there is room for.

    As long as a `Memory` has room for all of them they come whole, as a transcript, one line or
    more a message: who spoke and what was said. Where it has not, they are compressed to the room
    there is, for what the user asked last. Images and calls of tools are not kept. Each session
    has a transcript of its own.

    Where nothing can be kept, or the draft fails and the compressor does not raise, the block is
    left out, as any block of LlamaIndex is that cannot be truncated. One with `priority=0` is never
    truncated, so never compressed.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    name: str = Field(default="EarlierMessages", description="The name of the block.")
    priority: int = Field(
        default=1,
        description="The lower the earlier it is compressed, but for 0, which is never.",
    )
    compressor: ContextCompressor | None = Field(
        default=None,
        exclude=True,
        description="What compresses; None is the shared default, loaded at first use.",
    )
    query: str | None = Field(
        default=None, description="The question; None is what the user asked last."
    )
    tokenizer_fn: Callable[[str], list[Any]] = Field(
        default_factory=get_tokenizer,
        exclude=True,
        description="Counts tokens, as that of the `Memory` does: what there is room for is "
        "counted by it.",
    )
    transcripts: dict[str, list[str]] = Field(
        default_factory=dict, description="What was said, by session."
    )

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
        """Compress the content to what there is room for.

        Args:
            content: What the block gave.
            tokens_to_truncate: How many tokens it has too many.

        Returns:
            What is kept of it; None where that is nothing.
        """
        if not content:  # a memory asks even where there is nothing
            return None
        try:
            return await self._compressed(content, tokens_to_truncate)
        except Exception as error:
            if self.compressor is not None and self.compressor.on_error == "raise":
                raise
            logger.warning("Earlier messages could not be compressed.", exc_info=error)
            self._events("").skip("failed")
            return None

    async def _compressed(self, content: str, tokens_to_truncate: int) -> str | None:
        query = self.query or _question.get()
        events = self._events(query)
        tokens = await asyncio.to_thread(lambda: len(self.tokenizer_fn(content)))
        room = tokens - tokens_to_truncate
        if room < 1:
            events.skip("no_room", tokens)
            return None
        compressor = await asyncio.to_thread(self._counting_compressor)
        events.start()
        result = await compressor.acompress(
            content, query, budget=Budget(max_tokens=room), hint=_TRANSCRIPT
        )
        if not result.kept:
            events.skip("nothing_kept", tokens, result.elapsed_seconds)
            return None
        events.end([result])
        return None if result.skipped_because else result.text

    def _counting_compressor(self) -> ContextCompressor:
        """The compressor, but for how tokens are counted: as the memory does."""
        compressor = self.compressor or shared_compressor()
        return compressor.replace(count_tokens=self.tokenizer_fn)

    def _events(self, query: str) -> CallEvents:
        source: QuerySource = "setting" if self.query else "user_message"
        return CallEvents(
            door="memory_block", query_sources=(source,) if query else (), text_count=1
        )


def _last_of_user(messages: Sequence[ChatMessage]) -> str:
    """What the user said last."""
    said = [message.content for message in messages if message.role == MessageRole.USER]
    return said[-1] or "" if said else ""
