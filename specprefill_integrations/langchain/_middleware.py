"""Agents: tool results that are compressed once, when they first appear.

Translates between an agent's tool calls and the compressor; knows nothing about what is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.langchain._events import StreamWriter, aannounce, announce, event_data
from specprefill_integrations.langchain._message_compressor import MessageCompressor
from specprefill_integrations.langchain._message_task import (
    MessageSkipReason,
    MessageTask,
    reason_to_skip,
)
from specprefill_integrations.langchain._query_source import (
    Query,
    messages_of,
    query_of_setting,
    query_of_tool_call,
)
from specprefill_integrations.langchain._recall_tool import RecallTool
from specprefill_integrations.langchain._tool_calls import hint_of_call
from specprefill_integrations.langchain._tool_policy import ToolPolicy, is_among, policy_for
from specprefill_integrations.observability import TtftLog
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.tool_results import MinTokens, Thresholds
from specprefill_integrations.tool_results._question import DEFAULT_MIN_TOKENS
from specprefill_integrations.types import Budget

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ToolCallRequest
    from langgraph.types import Command

    from specprefill_integrations.langchain._tool_output import answers_in, with_answers
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"langchain", "langgraph"}:
        raise
    raise MissingDependencyError(package="langchain", extra="agents") from error

QuestionOfCall = Callable[[ToolCallRequest], str | None]
"""Says what a tool call is about; None or blank leaves that to the messages."""


class SpecPrefillMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Compresses what tools return before the model sees it, and never again.

    What a model has seen does not change afterwards, so a provider's prompt cache stays warm.
    Only texts are compressed: images and other blocks, texts with citations, artifacts, ids, names
    and states stay.
    Every result says under `response_metadata["specprefill"]` what was done to it, and why
    nothing was: it is small, an error, the agent's final answer (`return_direct`), of an excluded
    tool, compressed before, fetched back, nothing in it was needed, it would be no shorter, or
    compressing never pays. The same goes to LangChain's custom events, to the stream of mode
    `custom`, to the log and to the metrics, without texts.

    The question is, where none is set: the last human message, then the text before the call
    unless its arguments say what is looked for, then the call with its arguments.

    No failure of ours stops an agent: the result stays whole. A compressor with
    `on_error="raise"` is asked for the opposite.
    """

    def __init__(  # noqa: PLR0913 - one keyword a choice
        self,
        *,
        compressor: ContextCompressor | None = None,
        budget: Budget,
        min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
        exclude_tools: Sequence[str] = (),
        tool_policies: Mapping[str, ToolPolicy] | None = None,
        query: str | QuestionOfCall | None = None,
        originals: OriginalStore | None = None,
        metrics: CompressionMetrics | None = None,
        ttft_log: TtftLog | None = None,
        name: str | None = None,
    ) -> None:
        """Say what is compressed, how far, and what for.

        Args:
            compressor: What compresses; None is the shared default, loaded at first use.
            budget: How much may be kept of each tool result.
            min_tokens: A result of fewer tokens, by the compressor's counter, is left whole. A
                `BreakEven` says it by its figures, `"auto"` by what `Thresholds` measures.
            exclude_tools: Names or globs of tools whose results are left whole.
            tool_policies: By name or glob, what is different for some tools; the first that fits.
            query: The question of every call, or a function that finds it.
            originals: Where the originals go. With it, the agent gets a `RecallTool` for them, and
                marks of what is missing name a reference.
            metrics: What adds up what happened; None is the one of this process.
            ttft_log: The calls of the agent's model, as `TtftCallbackHandler` keeps them; for
                `min_tokens="auto"`.
            name: How the agent knows this middleware: two of them need two names.

        Raises:
            ValueError: `min_tokens` cannot be answered; see `Thresholds.check`.
        """
        super().__init__()
        self.budget = budget
        self.min_tokens = min_tokens
        self.exclude_tools = tuple(exclude_tools)
        self.tool_policies = dict(tool_policies or {})
        self.query = query
        self.originals = originals
        self.tools = []
        if originals is not None:
            self.tools = [RecallTool(originals=originals, compressor=compressor)]
        self._name = name or type(self).__name__
        self._thresholds = Thresholds(ttft_log)
        for policy in (ToolPolicy(), *self.tool_policies.values()):
            self._thresholds.check(*self._limits(policy))
        self._messages = MessageCompressor(
            compressor=compressor, metrics=metrics, thresholds=self._thresholds
        )

    @property
    def name(self) -> str:
        """How the agent knows this middleware."""
        return self._name

    @property
    def metrics(self) -> CompressionMetrics:
        """What adds up what happened."""
        return self._messages.metrics

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run the tool, and compress what it answers.

        Args:
            request: The tool call.
            handler: Runs the tool; what it raises, interrupts above all, goes on its way.
        """
        output = handler(request)
        answers = []
        for answer in answers_in(output, request.tool_call["id"]):
            done = self._messages.compress(self._task(request, answer))
            announce(event_data(done), *_listeners(request))
            answers.append(done.message)
        return with_answers(output, request.tool_call["id"], answers)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """`wrap_tool_call`, off the event loop."""
        output = await handler(request)
        answers = []
        for answer in answers_in(output, request.tool_call["id"]):
            done = await self._messages.acompress(self._task(request, answer))
            await aannounce(event_data(done), *_listeners(request))
            answers.append(done.message)
        return with_answers(output, request.tool_call["id"], answers)

    def _task(self, request: ToolCallRequest, answer: ToolMessage) -> MessageTask[ToolMessage]:
        """What is to be done with a tool's answer."""
        tool = request.tool_call["name"]
        policy = policy_for(tool, self.tool_policies)
        min_tokens, budget = self._limits(policy)
        return MessageTask(
            message=answer,
            budget=budget,
            min_tokens=self._thresholds.least_tokens(min_tokens, budget),
            query=lambda: self._query(request),
            hint=hint_of_call(request.tool_call, policy.kind),
            originals=self._reachable_originals(request),
            skip=self._reason_to_skip(request, answer),
        )

    def _limits(self, policy: ToolPolicy) -> tuple[MinTokens, Budget]:
        """From where on a tool's results are compressed, and how far."""
        min_tokens = self.min_tokens if policy.min_tokens is None else policy.min_tokens
        return min_tokens, policy.budget or self.budget

    def _query(self, request: ToolCallRequest) -> Query:
        setting = self.query(request) if callable(self.query) else self.query
        found = query_of_setting(setting)
        return found or query_of_tool_call(request.tool_call, messages_of(request.state))

    def _reason_to_skip(
        self, request: ToolCallRequest, answer: ToolMessage
    ) -> MessageSkipReason | None:
        if request.tool is not None and request.tool.return_direct:
            return "return_direct"
        if isinstance(request.tool, RecallTool):
            return "recalled"
        if is_among(request.tool_call["name"], self.exclude_tools):
            return "excluded_tool"
        return reason_to_skip(answer)

    def _reachable_originals(self, request: ToolCallRequest) -> OriginalStore | None:
        """The store, unless the tools at hand are known to lack one that fetches from it."""
        # Older versions of LangGraph do not say which tools there are.
        tools = getattr(request.runtime, "tools", None)
        if tools is None or any(_fetches_from(tool, self.originals) for tool in tools):
            return self.originals
        return None


def _listeners(request: ToolCallRequest) -> tuple[RunnableConfig | None, StreamWriter | None]:
    """Whom to tell of what was done; outside of a graph there is no runtime that says it."""
    runtime: object = request.runtime
    return getattr(runtime, "config", None), getattr(runtime, "stream_writer", None)


def _fetches_from(tool: object, originals: OriginalStore | None) -> bool:
    return isinstance(tool, RecallTool) and tool.originals is originals
