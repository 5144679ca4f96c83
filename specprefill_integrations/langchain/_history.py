"""Long conversations: old tool results and long pastes, each compressed once and then remembered.

Knows which messages of a conversation may shrink, and no agent.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._events import aannounce, announce, event_data
from specprefill_integrations.langchain._message_compressor import MessageCompressor
from specprefill_integrations.langchain._message_task import (
    CompressedMessage,
    MessageTask,
    reason_to_skip,
)
from specprefill_integrations.langchain._query_source import (
    Query,
    is_spoken,
    query_of_conversation,
    query_of_setting,
)
from specprefill_integrations.langchain._text_blocks import open_texts_of
from specprefill_integrations.langchain._tool_calls import call_behind, hint_of_call
from specprefill_integrations.langchain._tool_policy import is_among
from specprefill_integrations.observability import TtftLog
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import OriginalStore, reference_of
from specprefill_integrations.tool_results import MinTokens, Thresholds
from specprefill_integrations.tool_results._question import DEFAULT_MIN_TOKENS
from specprefill_integrations.types import Budget, TextHint

CountMessageTokens = Callable[[Sequence[BaseMessage]], int]
"""Counts the tokens of a conversation."""

# What was left whole for one of these reasons may shrink the next time.
_PASSING = {"counter_failed", "deadline_exceeded", "failed", "scorer_failed", "splitter_failed"}

# Of so many messages is remembered what became of them; the longest unused are forgotten first.
_MAX_REMEMBERED = 10_000

_Key = tuple[str, str]


@dataclass(kw_only=True, eq=False)
class HistoryCompressor:
    """Shrinks old tool results and old long human messages by the question at hand.

    What became of a message is remembered by its id for as long as this object lives: with the
    next question it is the same text again, so that a provider's prompt cache stays warm.

    System and AI messages, tool calls, the last human message and the latest tool results are left
    as they are; so is what `SpecPrefillMiddleware` compressed, and what was fetched back.
    """

    compressor: ContextCompressor | None = None
    """What compresses; None is the shared default, loaded at first use."""

    budget: Budget
    """How much may be kept of each message."""

    trigger_tokens: int = 0
    """A conversation of no more tokens than this is left as it is."""

    keep_results: int = 3
    """So many of the latest tool results are left whole."""

    min_tokens: MinTokens = DEFAULT_MIN_TOKENS
    """A message of fewer tokens, by the compressor's counter, is left whole. A `BreakEven` says it
    by its figures, `"auto"` by what `Thresholds` measures."""

    exclude_tools: Sequence[str] = ()
    """Names or globs of tools whose results are left whole."""

    query: str | None = None
    """The question; None is the last human message."""

    originals: OriginalStore | None = None
    """Where the originals go, so that marks of what is missing name a reference. Give it only where
    the model has a `RecallTool` for the same store."""

    metrics: CompressionMetrics | None = None
    """What adds up what happened; None is the one of this process."""

    ttft_log: TtftLog | None = None
    """The calls of the model, as `TtftCallbackHandler` keeps them; for `min_tokens="auto"`."""

    _thresholds: Thresholds = field(init=False, repr=False)
    _messages: MessageCompressor = field(init=False, repr=False)
    _remembered: OrderedDict[_Key, CompressedMessage[BaseMessage]] = field(init=False, repr=False)
    _lock: ForkSafeLock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin with nothing to remember.

        Raises:
            ValueError: `min_tokens` cannot be answered; see `Thresholds.check`.
        """
        self._thresholds = Thresholds(self.ttft_log)
        self._thresholds.check(self.min_tokens, self.budget)
        self._messages = MessageCompressor(
            compressor=self.compressor, metrics=self.metrics, thresholds=self._thresholds
        )
        self._remembered = OrderedDict()
        self._lock = ForkSafeLock()

    def compress(
        self,
        messages: Sequence[BaseMessage],
        *,
        count_tokens: CountMessageTokens = count_tokens_approximately,
        config: RunnableConfig | None = None,
    ) -> list[BaseMessage]:
        """Shrink a conversation.

        Args:
            messages: The conversation, which is not changed.
            count_tokens: Counts what `trigger_tokens` is about.
            config: Of the run that this happens in.

        Returns:
            As many messages, in the same order and with the same ids.
        """
        shown = self._as_remembered(messages)
        for index, task in self._tasks(messages, shown, count_tokens):
            done = self._messages.compress(task)
            announce(event_data(done), config)
            shown[index] = _shown(messages[index], self._remember(messages[index], done))
        return shown

    async def acompress(
        self,
        messages: Sequence[BaseMessage],
        *,
        count_tokens: CountMessageTokens = count_tokens_approximately,
        config: RunnableConfig | None = None,
    ) -> list[BaseMessage]:
        """`compress`, off the event loop."""
        shown = self._as_remembered(messages)
        for index, task in self._tasks(messages, shown, count_tokens):
            done = await self._messages.acompress(task)
            await aannounce(event_data(done), config)
            shown[index] = _shown(messages[index], self._remember(messages[index], done))
        return shown

    def _as_remembered(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """The messages as they were shown the last time, but for those that are to stay whole.

        One that shrank may be among the latest again: in a conversation that was taken back to it,
        or as somebody else's question in the same words.
        """
        old = self._old(messages)
        return [
            _shown(message, self._recollect(message)) if index in old else message
            for index, message in enumerate(messages)
        ]

    def _due(
        self,
        messages: Sequence[BaseMessage],
        shown: Sequence[BaseMessage],
        count_tokens: CountMessageTokens,
    ) -> list[int]:
        """Which messages are to shrink now."""
        if count_tokens(shown) <= self.trigger_tokens:
            return []
        return [index for index in sorted(self._old(messages)) if self._is_open(messages, index)]

    def _old(self, messages: Sequence[BaseMessage]) -> set[int]:
        """Which messages may be shorter than they were: not the last question and results."""
        results = [i for i, m in enumerate(messages) if isinstance(m, ToolMessage)]
        human = [i for i, m in enumerate(messages) if is_spoken(m)]
        return {*results[: max(0, len(results) - self.keep_results)], *human[:-1]}

    def _is_open(self, messages: Sequence[BaseMessage], index: int) -> bool:
        """Whether nobody has decided yet what becomes of a message."""
        message = messages[index]
        tool = _tool_of(message, messages)
        if tool is not None and is_among(tool, self.exclude_tools):
            return False
        return reason_to_skip(message) is None and self._recollect(message) is None

    def _tasks(
        self,
        messages: Sequence[BaseMessage],
        shown: Sequence[BaseMessage],
        count_tokens: CountMessageTokens,
    ) -> list[tuple[int, MessageTask[BaseMessage]]]:
        """What is to shrink now, by its place; from how many tokens on, is measured once."""
        due = self._due(messages, shown, count_tokens)
        if not due:
            return []
        least_tokens = self._thresholds.least_tokens(self.min_tokens, self.budget)
        return [(index, self._task(messages, index, least_tokens)) for index in due]

    def _task(
        self, messages: Sequence[BaseMessage], index: int, least_tokens: int | None
    ) -> MessageTask[BaseMessage]:
        message = messages[index]
        call = call_behind(message, messages)
        return MessageTask(
            message=message,
            budget=self.budget,
            min_tokens=least_tokens,
            query=lambda: self._query(messages),
            hint=hint_of_call(call) if call else TextHint(),
            originals=self.originals,
        )

    def _query(self, messages: Sequence[BaseMessage]) -> Query:
        return query_of_setting(self.query) or query_of_conversation(messages)

    def _remember(
        self, message: BaseMessage, done: CompressedMessage[BaseMessage]
    ) -> CompressedMessage[BaseMessage]:
        """Note what became of a message, unless another try may do better.

        Returns:
            What counts from now on: of two calls at once, what the first of them made of it.
        """
        if done.skipped_because in _PASSING:
            return done
        with self._lock:
            first = self._remembered.setdefault(_key(message), done)
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return first

    def _recollect(self, message: BaseMessage) -> CompressedMessage[BaseMessage] | None:
        if not isinstance(message, (HumanMessage, ToolMessage)):
            return None
        key = _key(message)
        with self._lock:
            done = self._remembered.get(key)
            if done:
                self._remembered.move_to_end(key)
            return done


def _shown(message: BaseMessage, done: CompressedMessage[BaseMessage] | None) -> BaseMessage:
    """What is shown of a message: one that is left whole is not even marked as such."""
    return message if done is None or done.skipped_because else done.onto(message)


def _tool_of(message: BaseMessage, messages: Sequence[BaseMessage]) -> str | None:
    """The tool whose result a message is; by the call that it answers where it does not say so."""
    if isinstance(message, ToolMessage) and message.name:
        return message.name
    call = call_behind(message, messages)
    return call["name"] if call else None


def _key(message: BaseMessage) -> _Key:
    """What a message is known by: its id and its texts, because others may edit it."""
    call = message.tool_call_id if isinstance(message, ToolMessage) else ""
    return message.id or call, reference_of(json.dumps(open_texts_of(message.content)))
