"""Long conversations: old tool results and long messages, each compressed once and remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig

from specprefill_integrations._arguments import NonNegativeInt, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._conversation import (
    call_behind,
    is_spoken,
    last_user_text,
    request_of,
    tool_of,
)
from specprefill_integrations.langchain._events import aannounce, announce, message_event
from specprefill_integrations.langchain._message_memory import MessageMemory
from specprefill_integrations.langchain._messages import reason_to_skip, with_result
from specprefill_integrations.langchain._runtime import current_runtime
from specprefill_integrations.langchain._trigger import (
    ContextTrigger,
    CountMessageTokens,
    Trigger,
    reason_to_wait,
)
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.originals._store_choice import (
    Originals,
    astore_of,
    store_of,
)
from specprefill_integrations.pipeline._failures import reason_of
from specprefill_integrations.tool_results import (
    CompressedResult,
    MinTokens,
    ToolPolicy,
    ToolRequest,
    ToolResult,
    ToolResultCompressor,
)
from specprefill_integrations.tool_results._content import breaks_of, open_texts_of
from specprefill_integrations.tool_results._question import QueryFunction
from specprefill_integrations.tool_results._thresholds import (
    DEFAULT_ERROR_MIN_TOKENS,
    DEFAULT_MIN_TOKENS,
)
from specprefill_integrations.tool_results._tool_policy import is_among
from specprefill_integrations.types import FAILURES, Budget

logger = logging.getLogger(__name__)


@checked
@dataclass(frozen=True, kw_only=True, eq=False)
class HistoryCompressor:
    """Compresses old tool results and old long human messages for the current question.

    The result of each message is remembered by its id for as long as this object lives: the next
    turn shows the same text, so that a provider's prompt cache stays warm.

    System and AI messages, tool calls, the last human message and the latest tool results stay; so
    do messages that `SpecPrefillMiddleware` compressed, and recalled originals.
    """

    compressor: ContextCompressor | None = None
    """The compressor; None is the shared default, loaded at first use."""

    budget: Budget
    """The budget of each message."""

    trigger: Trigger | None = None
    """The size from which on a conversation is compressed, as in `SummarizationMiddleware`:
    `("tokens", 50_000)`, `("messages", 30)`, `("fraction", 0.5)` of the tokens that `model` takes;
    a dictionary of several that must all be reached, or a list of which any suffices. None: each
    conversation."""

    keep_results: NonNegativeInt = 3
    """The number of latest tool results that stay."""

    min_tokens: MinTokens = DEFAULT_MIN_TOKENS
    """Messages of fewer tokens pass through unchanged. A `BreakEven` computes it, `"auto"` measures
    it, see `Thresholds`."""

    error_min_tokens: NonNegativeInt = DEFAULT_ERROR_MIN_TOKENS
    """Results of tools that failed pass through unchanged if they have fewer tokens than this, or
    than `min_tokens`; longer ones are compressed around what failed."""

    exclude_tools: Iterable[str] = ()
    """Names or globs of tools whose results pass through unchanged."""

    tool_policies: Mapping[str, ToolPolicy] | None = None
    """Settings that differ for some tools, by name or glob; the first match wins."""

    query: str | QueryFunction | None = None
    """The question, or a function of the `ToolRequest` that a message answers. None or blank: the
    last human message."""

    originals: Originals | None = None
    """Store of the originals: gap markers name references, for a `RecallTool` of the model. Or a
    function from LangGraph's `Runtime`, or None outside of a graph, to the store of a run."""

    metrics: CompressionMetrics | None = None
    """Metrics to add counts to; None is `process_metrics()`."""

    ttft_log: TtftLog | None = None
    """The calls of the model, as `TtftCallbackHandler` keeps them; for `min_tokens="auto"`."""

    model: object = None
    """The model that reads the conversation; its `profile` says of what a fraction is one."""

    _results: ToolResultCompressor = field(init=False, repr=False)
    _trigger: ContextTrigger | None = field(init=False, repr=False)
    _memory: MessageMemory = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Start with nothing remembered; reject settings as `ToolResultCompressor` does."""
        results = ToolResultCompressor(
            compressor=self.compressor,
            budget=self.budget,
            min_tokens=self.min_tokens,
            error_min_tokens=self.error_min_tokens,
            exclude_tools=self.exclude_tools,
            tool_policies=self.tool_policies,
            query=self.query,
            originals=_as_chosen,
            metrics=self.metrics,
            ttft_log=self.ttft_log,
            model=self.model,
        )
        trigger = None if self.trigger is None else ContextTrigger.of(self.trigger, self.model)
        object.__setattr__(self, "_trigger", trigger)
        object.__setattr__(self, "_results", results)
        object.__setattr__(self, "_memory", MessageMemory())

    def compress(
        self,
        messages: Sequence[BaseMessage],
        *,
        count_tokens: CountMessageTokens = count_tokens_approximately,
        config: RunnableConfig | None = None,
    ) -> list[BaseMessage]:
        """Compress a conversation.

        Args:
            messages: The conversation, which is not changed.
            count_tokens: Counts the tokens of a conversation, for `trigger`.
            config: The config of the run.

        Returns:
            As many messages, in the same order and with the same ids.
        """
        try:
            store = store_of(self.originals, current_runtime())
        except Exception as error:  # noqa: BLE001 - no failure of ours may reach the agent
            return self._without_store(messages, error)
        shown = self._as_remembered(messages, store)
        sent = _SentBefore(shown)
        for index in self._due(messages, shown, count_tokens, store):
            done = self._results.compress(_tool_result(messages, index, store))
            about = sent.resent_by(index, done)
            announce(message_event(done.outcome, messages[index], **about), config)
            shown[index] = _shown(messages[index], self._remember(messages[index], done, store))
        return shown

    async def acompress(
        self,
        messages: Sequence[BaseMessage],
        *,
        count_tokens: CountMessageTokens = count_tokens_approximately,
        config: RunnableConfig | None = None,
    ) -> list[BaseMessage]:
        """`compress`, off the event loop."""
        try:
            store = await astore_of(self.originals, current_runtime())
        except Exception as error:  # noqa: BLE001 - see compress
            return self._without_store(messages, error)
        shown = self._as_remembered(messages, store)
        sent = _SentBefore(shown)
        for index in self._due(messages, shown, count_tokens, store):
            done = await self._results.acompress(_tool_result(messages, index, store))
            about = sent.resent_by(index, done)
            await aannounce(message_event(done.outcome, messages[index], **about), config)
            shown[index] = _shown(messages[index], self._remember(messages[index], done, store))
        return shown

    def _without_store(
        self, messages: Sequence[BaseMessage], error: Exception
    ) -> list[BaseMessage]:
        """The messages unchanged, or the error where the compressor is set to raise."""
        what = "No store was chosen; passed messages through unchanged"
        self._results.report_failure(what, reason_of(error, "failed"), error)
        return list(messages)

    def _as_remembered(
        self, messages: Sequence[BaseMessage], store: OriginalStore | None
    ) -> list[BaseMessage]:
        """The messages as they were shown before, except those that are to stay.

        A compressed message may be among the latest again: in a conversation that was rewound, or
        as another user's question in the same words.
        """
        old = self._old(messages)
        return [
            _shown(message, self._recollect(message, store)) if index in old else message
            for index, message in enumerate(messages)
        ]

    def _due(
        self,
        messages: Sequence[BaseMessage],
        shown: Sequence[BaseMessage],
        count_tokens: CountMessageTokens,
        store: OriginalStore | None,
    ) -> list[int]:
        """Indices of the messages to compress now."""
        if reason_to_wait(self._trigger, shown, count_tokens, self._results):
            return []
        old = sorted(self._old(messages))
        return [index for index in old if self._is_open(messages, index, store)]

    def _old(self, messages: Sequence[BaseMessage]) -> set[int]:
        """Indices of tool results and human messages that are not among the latest."""
        results = [i for i, m in enumerate(messages) if isinstance(m, ToolMessage)]
        human = [i for i, m in enumerate(messages) if is_spoken(m)]
        return {*results[: max(0, len(results) - self.keep_results)], *human[:-1]}

    def _is_open(
        self, messages: Sequence[BaseMessage], index: int, store: OriginalStore | None
    ) -> bool:
        """True if nothing is decided about a message yet."""
        message = messages[index]
        if is_among(tool_of(message, messages), self._results.exclude_tools):
            return False
        return reason_to_skip(message) is None and self._recollect(message, store) is None

    def _remember(
        self, message: BaseMessage, done: CompressedResult, store: OriginalStore | None
    ) -> CompressedResult:
        """Remember a result, unless another try may do better.

        Returns:
            The result that counts: of two calls at once, that of the first.
        """
        if done.outcome.skipped_because in FAILURES:
            return done
        return self._memory.add(message, done, store)

    def _recollect(
        self, message: BaseMessage, store: OriginalStore | None
    ) -> CompressedResult | None:
        if not isinstance(message, (HumanMessage, ToolMessage)):
            return None
        return self._memory.get(message, store)


@checked
@dataclass(frozen=True, kw_only=True, eq=False)
class SpecPrefillContextEdit(HistoryCompressor):
    """An edit for LangChain's `ContextEditingMiddleware`; see `HistoryCompressor`.

    Tokens of `trigger` are counted by the middleware's counter. That middleware edits on the event
    loop and blocks it: in asynchronous agents, prefer `SpecPrefillMiddleware`, or
    `compress_messages` in a node of your own.
    """

    def apply(
        self, messages: list[AnyMessage], *, count_tokens: Callable[[Sequence[BaseMessage]], int]
    ) -> None:
        """Replace messages in the list; the messages themselves are not changed.

        Args:
            messages: The conversation.
            count_tokens: Counts the tokens of a conversation, for `trigger`.
        """
        shown = self.compress(messages, count_tokens=count_tokens)
        messages[:] = cast("list[AnyMessage]", shown)  # of the same types as before


class _SentBefore:
    """The part of a conversation that a model had read, before a pass of compression."""

    def __init__(self, shown: Sequence[BaseMessage]) -> None:
        """Take the conversation as it was shown."""
        answered = [index for index, one in enumerate(shown) if isinstance(one, AIMessage)]
        self._messages = list(shown[: max(answered, default=-1) + 1])
        self._is_changed = False

    def resent_by(self, index: int, done: CompressedResult) -> dict[str, int]:
        """Return the tokens that a prompt cache no longer holds, for the event of a message.

        Args:
            index: The message.
            done: The result of compressing it.
        """
        if done.outcome.skipped_because or index >= len(self._messages):
            return {}
        part = [] if self._is_changed else self._messages[index:]
        self._is_changed = True
        try:
            return {"resent_tokens": count_tokens_approximately(part)}
        except Exception:
            logger.debug("The tokens of a conversation could not be counted.", exc_info=True)
            return {"resent_tokens": 0}


def _as_chosen(store: OriginalStore | None) -> OriginalStore | None:
    """Return the store that was chosen for all messages of a run."""
    return store


def _tool_result(
    messages: Sequence[BaseMessage], index: int, store: OriginalStore | None
) -> ToolResult:
    message = messages[index]
    call = call_behind(message, messages)
    tool = tool_of(message, messages)

    def request() -> ToolRequest:
        if call:
            return request_of(call, messages)
        return ToolRequest(tool_name=tool, user_message=last_user_text(messages))

    return ToolResult(
        texts=open_texts_of(message.content),
        breaks=breaks_of(message.content),
        tool_name=call["name"] if call else tool,
        find_request=request,
        is_error=isinstance(message, ToolMessage) and message.status == "error",
        user_message_only=True,
        runtime=store,
    )


def _shown(message: BaseMessage, done: CompressedResult | None) -> BaseMessage:
    """The message as it is shown: one that passes through unchanged has no metadata of ours."""
    return message if done is None or done.outcome.skipped_because else with_result(message, done)
