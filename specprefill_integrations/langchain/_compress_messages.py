"""A step for graphs and chains that manage their own messages."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.messages.utils import MessageLikeRepresentation
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._history import HistoryCompressor
from specprefill_integrations.observability import TtftLog
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.tool_results import MinTokens
from specprefill_integrations.tool_results._question import DEFAULT_MIN_TOKENS
from specprefill_integrations.types import Budget

MessagesLike = Sequence[MessageLikeRepresentation] | PromptValue
"""Messages in any form that LangChain's models take."""


def compress_messages(  # noqa: PLR0913 - one keyword a choice
    *,
    compressor: ContextCompressor | None = None,
    budget: Budget,
    trigger_tokens: int = 0,
    keep_results: int = 3,
    min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
    exclude_tools: Sequence[str] = (),
    query: str | None = None,
    originals: OriginalStore | None = None,
    metrics: CompressionMetrics | None = None,
    ttft_log: TtftLog | None = None,
) -> Runnable[MessagesLike, list[BaseMessage]]:
    """Make a step that shrinks old tool results and old long human messages.

    Make it once and use it for every turn: it remembers what became of each message, so that the
    next turn shows the same text again. Ids stay, so a graph may put the messages back in place.

    Args:
        compressor: See `HistoryCompressor`, as for all that follow.
        budget: How much may be kept of each message.
        trigger_tokens: A conversation of no more tokens than this is left as it is; they are
            counted approximately, as LangChain does.
        keep_results: So many of the latest tool results are left whole.
        min_tokens: A message of fewer tokens is left whole; see `HistoryCompressor`.
        exclude_tools: Names or globs of tools whose results are left whole.
        query: The question; None is the last human message.
        originals: Where the originals go, where the model has a `RecallTool` for them.
        metrics: What adds up what happened.
        ttft_log: The calls of the model, for `min_tokens="auto"`.

    Returns:
        Messages in, as many messages out; a prompt's value will do too.
    """
    history = HistoryCompressor(
        compressor=compressor,
        budget=budget,
        trigger_tokens=trigger_tokens,
        keep_results=keep_results,
        min_tokens=min_tokens,
        exclude_tools=exclude_tools,
        query=query,
        originals=originals,
        metrics=metrics,
        ttft_log=ttft_log,
    )

    def shrink(messages: MessagesLike, config: RunnableConfig) -> list[BaseMessage]:
        return history.compress(convert_to_messages(messages), config=config)

    async def ashrink(messages: MessagesLike, config: RunnableConfig) -> list[BaseMessage]:
        return await history.acompress(convert_to_messages(messages), config=config)

    return RunnableLambda(shrink, ashrink, name="compress_messages")
