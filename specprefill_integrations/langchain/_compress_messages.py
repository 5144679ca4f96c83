"""A step for graphs and chains that manage their own messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.messages.utils import MessageLikeRepresentation
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from specprefill_integrations._arguments import NonNegativeInt, check
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._history import HistoryCompressor
from specprefill_integrations.langchain._trigger import Trigger
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals._store_choice import Originals
from specprefill_integrations.tool_results import MinTokens, ToolPolicy
from specprefill_integrations.tool_results._question import QueryFunction
from specprefill_integrations.tool_results._thresholds import (
    DEFAULT_ERROR_MIN_TOKENS,
    DEFAULT_MIN_TOKENS,
)
from specprefill_integrations.types import Budget

MessagesLike = Sequence[MessageLikeRepresentation] | PromptValue
"""Messages in any form that LangChain's models take."""


def compress_messages(  # noqa: PLR0913 - one keyword a choice
    *,
    compressor: ContextCompressor | None = None,
    budget: Budget,
    trigger: Trigger | None = None,
    keep_results: NonNegativeInt = 3,
    min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
    error_min_tokens: NonNegativeInt = DEFAULT_ERROR_MIN_TOKENS,
    exclude_tools: Iterable[str] = (),
    tool_policies: Mapping[str, ToolPolicy] | None = None,
    query: str | QueryFunction | None = None,
    originals: Originals | None = None,
    metrics: CompressionMetrics | None = None,
    ttft_log: TtftLog | None = None,
    model: object = None,
) -> Runnable[MessagesLike, list[BaseMessage]]:
    """Make a step that compresses old tool results and old long human messages.

    Make it once and use it for every turn: it remembers the result of each message, so that the
    next turn shows the same text. Ids stay, so a graph may put the messages back in place.

    Args:
        compressor: The compressor; None is the shared default, loaded at first use.
        budget: How much may be kept of each message.
        trigger: The size from which on a conversation is compressed: `("tokens", 50_000)`,
            `("messages", 30)`, `("fraction", 0.5)` of the tokens that `model` takes; a dictionary
            of several that must all be reached, or a list of which any suffices. Tokens are
            counted approximately, as LangChain does. None: each conversation.
        keep_results: The number of latest tool results that stay.
        min_tokens: Messages of fewer tokens pass through unchanged. A `BreakEven` computes it,
            `"auto"` measures it, see `Thresholds`.
        error_min_tokens: Results of tools that failed pass through unchanged if they have fewer
            tokens than this, or than `min_tokens`; longer ones are compressed around what failed.
        exclude_tools: Names or globs of tools whose results pass through unchanged.
        tool_policies: Settings that differ for some tools, by name or glob; the first match wins.
        query: The question, or a function of the `ToolRequest` that a message answers. None or
            blank: the last human message.
        originals: Store of the originals: gap markers name references. The model needs a
            `RecallTool` for it. Or a function from LangGraph's `Runtime`, or None outside of a
            graph, to the store of a run.
        metrics: Metrics to add counts to; None is `process_metrics()`.
        ttft_log: The calls of the model, as `TtftCallbackHandler` keeps them; for
            `min_tokens="auto"`.
        model: The model that reads the conversation; its `profile` says of what a fraction, in
            `trigger` or `min_tokens`, is one.

    Returns:
        A step from messages, or a prompt's value, to as many messages.

    Raises:
        BudgetError: `min_tokens="auto"` with a budget that names no share of a text, or a
            `target_recall` with scores that are not calibrated.
        TypeError: An argument has another type.
        ValueError: An argument is out of range, or the window of the model is not known.
    """
    history = HistoryCompressor(
        compressor=compressor,
        budget=budget,
        trigger=trigger,
        keep_results=keep_results,
        min_tokens=min_tokens,
        error_min_tokens=error_min_tokens,
        exclude_tools=exclude_tools,
        tool_policies=tool_policies,
        query=query,
        originals=originals,
        metrics=metrics,
        ttft_log=ttft_log,
        model=model,
    )

    step = _Step(history)
    return RunnableLambda(step.compress, step.acompress, name="compress_messages")


@dataclass(frozen=True)
class _Step:
    """The functions of a step; methods pickle, closures do not."""

    history: HistoryCompressor

    def compress(self, messages: MessagesLike, config: RunnableConfig) -> list[BaseMessage]:
        return self.history.compress(_converted(messages), config=config)

    async def acompress(self, messages: MessagesLike, config: RunnableConfig) -> list[BaseMessage]:
        return await self.history.acompress(_converted(messages), config=config)


def _converted(messages: MessagesLike) -> list[BaseMessage]:
    """Return messages; LangChain takes each letter of a text and each key of a state for one."""
    return convert_to_messages(check("messages", messages, Sequence[object] | PromptValue))
