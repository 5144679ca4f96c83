"""LangChain agents: compression of tool results before the model reads them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from specprefill_integrations._arguments import NonNegativeInt, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.langchain._conversation import messages_of, request_of
from specprefill_integrations.langchain._events import (
    StreamWriter,
    aannounce,
    announce,
    message_event,
)
from specprefill_integrations.langchain._goal_argument import with_goal_argument
from specprefill_integrations.langchain._messages import reason_to_skip, with_result
from specprefill_integrations.langchain._recall_tool import RecallTool
from specprefill_integrations.langchain._trigger import ContextTrigger, Trigger, reason_to_wait
from specprefill_integrations.observability import CompressionMetrics, TtftLog, process_metrics
from specprefill_integrations.originals._store_choice import Originals
from specprefill_integrations.tool_results import (
    MinTokens,
    ToolPolicy,
    ToolResult,
    ToolResultCompressor,
)
from specprefill_integrations.tool_results._argument_guard import OnMarker
from specprefill_integrations.tool_results._content import breaks_of, open_texts_of
from specprefill_integrations.tool_results._goal_argument import GOAL, without_goal
from specprefill_integrations.tool_results._question import QueryFunction
from specprefill_integrations.tool_results._thresholds import (
    DEFAULT_ERROR_MIN_TOKENS,
    DEFAULT_MIN_TOKENS,
)
from specprefill_integrations.types import Budget, SkipReason

try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        AgentState,
        ModelRequest,
        ModelResponse,
        ToolCallRequest,
    )
    from langgraph.types import Command

    from specprefill_integrations.langchain._tool_output import (
        ToolOutput,
        answers_in,
        hands_over,
        with_answers,
    )
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"langchain", "langgraph"}:
        raise
    raise MissingDependencyError(package="langchain", extra="agents") from error

# The node of `create_agent` that calls the model.
_MODEL_NODE = "model"


class SpecPrefillMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Compresses each tool result once, before the model reads it.

    What the model has read never changes, so a provider's prompt cache stays warm. Only texts are
    compressed: images and other blocks, texts with citations, artifacts, ids, names and states
    stay. Each result has counts and, where it passed through unchanged, the reason under
    `response_metadata["specprefill"]`. The same goes to LangChain's custom events, to the stream
    of mode `custom`, to the log and to the metrics.

    A failure passes the result through unchanged, unless the compressor has `on_error="raise"`.
    """

    @checked
    def __init__(  # noqa: PLR0913 - one keyword a choice
        self,
        *,
        compressor: ContextCompressor | None = None,
        budget: Budget,
        min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
        error_min_tokens: NonNegativeInt = DEFAULT_ERROR_MIN_TOKENS,
        exclude_tools: Iterable[str] = (),
        tool_policies: Mapping[str, ToolPolicy] | None = None,
        query: str | QueryFunction | None = None,
        originals: Originals | None = None,
        on_marker_in_arguments: OnMarker = "ignore",
        goal_argument: bool = False,
        metrics: CompressionMetrics | None = None,
        ttft_log: TtftLog | None = None,
        trigger: Trigger | None = None,
        model: object = None,
        name: str | None = None,
    ) -> None:
        """Create a middleware.

        Args:
            compressor: The compressor; None is the shared default, loaded at first use.
            budget: How much may be kept of each tool result.
            min_tokens: Results of fewer tokens pass through unchanged. A `BreakEven` computes it,
                `"auto"` measures it, see `Thresholds`.
            error_min_tokens: Results of tools that failed pass through unchanged if they have fewer
                tokens than this, or than `min_tokens`; longer ones are compressed around what
                failed.
            exclude_tools: Names or globs of tools whose results pass through unchanged.
            tool_policies: Settings that differ for some tools, by name or glob; the first match
                wins.
            query: The question, or a function of the `ToolRequest` that returns it. None or blank:
                the last human message, the text before the call unless an argument such as `query`
                says what is looked for, and the call with its arguments.
            originals: Store of the originals. The agent gets a `RecallTool` for it, and gap markers
                name references. Or a function from the `ToolRuntime` of a call to its store, such
                as that of a tenant; None for no store.
            on_marker_in_arguments: What happens to a call of a tool whose arguments hold gap
                markers, as if a shortened text was written back: `ignore` nothing, `warn` a warning
                in the log, `refuse` an error message that tells the model to recall the original
                first.
            goal_argument: True offers the model one more argument of each tool, `goal`, in which it
                may say what it looks for; it is then the question for the result, before `query`.
                The tool never gets it. Tools whose results are not compressed have none.
            metrics: Metrics to add counts to; None is `process_metrics()`.
            ttft_log: The calls of the agent's model, as `TtftCallbackHandler` keeps them; for
                `min_tokens="auto"`.
            trigger: The size of the conversation, a result included, from which on results are
                compressed: `("tokens", 50_000)`, `("messages", 30)`, `("fraction", 0.5)` of the
                tokens that `model` takes; a dictionary of several that must all be reached, or a
                list of which any suffices. Earlier results stay as they are. None: from the start.
            model: The model of the agent; its `profile` says of what a fraction, in `trigger` or
                `min_tokens`, is one.
            name: The middleware's name: two in one agent need different ones.

        Raises:
            BudgetError: `min_tokens="auto"` with a budget that names no share of a text, or a
                `target_recall` with scores that are not calibrated.
            TypeError: An argument has another type.
            ValueError: `min_tokens` is out of range, or cannot be measured; see `Thresholds.check`.
                Or a fraction is asked for, and the window of the model is not known.
        """
        super().__init__()
        self.settings = ToolResultCompressor(
            compressor=compressor,
            budget=budget,
            min_tokens=min_tokens,
            error_min_tokens=error_min_tokens,
            exclude_tools=exclude_tools,
            tool_policies=tool_policies,
            query=query,
            originals=originals,
            on_marker_in_arguments=on_marker_in_arguments,
            goal_argument=goal_argument,
            metrics=metrics,
            ttft_log=ttft_log,
            model=model,
        )
        self._trigger = None if trigger is None else ContextTrigger.of(trigger, model)
        self.tools = []
        if self.settings.originals is not None:
            self.tools = [RecallTool(originals=self.settings.originals, compressor=compressor)]
        self._name = name or type(self).__name__

    @property
    def name(self) -> str:
        """The middleware's name."""
        return self._name

    @property
    def metrics(self) -> CompressionMetrics:
        """Metrics that counts are added to."""
        return process_metrics() if self.settings.metrics is None else self.settings.metrics

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Offer the model the argument for its goal, if `goal_argument=True`.

        Args:
            request: The call of the model.
            handler: Calls the model.
        """
        return handler(self._with_goals(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """`wrap_model_call`, for asynchronous agents."""
        return await handler(self._with_goals(request))

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run the tool and compress its answer.

        Args:
            request: The tool call.
            handler: Runs the tool; its errors and interrupts are raised.
        """
        request, goal = self._without_goal(request)
        output = self._refusal(request) or handler(request)
        answers = []
        for answer in answers_in(output, request.tool_call["id"]):
            done = self.settings.compress(self._tool_result(request, answer, goal, output))
            announce(message_event(done.outcome, answer), *_channels(request))
            answers.append(with_result(answer, done))
        return with_answers(output, request.tool_call["id"], answers)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """`wrap_tool_call`, off the event loop."""
        request, goal = self._without_goal(request)
        output = self._refusal(request) or await handler(request)
        answers = []
        for answer in answers_in(output, request.tool_call["id"]):
            done = await self.settings.acompress(self._tool_result(request, answer, goal, output))
            await aannounce(message_event(done.outcome, answer), *_channels(request))
            answers.append(with_result(answer, done))
        return with_answers(output, request.tool_call["id"], answers)

    def _with_goals(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """The call of the model with tools that offer the goal; tools of providers stay."""
        if not self.settings.goal_argument:
            return request
        offered = [isinstance(tool, BaseTool) and self._with_goal(tool) for tool in request.tools]
        tools = [one or tool for one, tool in zip(offered, request.tools, strict=True)]
        return request.override(tools=tools)

    def _with_goal(self, tool: BaseTool) -> BaseTool | None:
        """A copy of a tool that offers the goal; None for one that has none."""
        return self.settings.with_goal(tool.name, partial(with_goal_argument, tool))

    def _without_goal(self, request: ToolCallRequest) -> tuple[ToolCallRequest, str | None]:
        """The call as the tool gets it, and the goal; the message with the call keeps it."""
        call, tool = request.tool_call, request.tool
        if GOAL not in call["args"] or tool is None or self._with_goal(tool) is None:
            return request, None
        arguments, goal = without_goal(call["args"])
        return request.override(tool_call={**call, "args": arguments}), goal

    def _refusal(self, request: ToolCallRequest) -> ToolMessage | Command[Any] | None:
        """The answer to a call that must not reach its tool; None for one that may.

        The agent ends after calls of tools that return directly, even if they failed; so a command
        sends the refusal to the model.
        """
        if isinstance(request.tool, RecallTool):
            return None
        call = request.tool_call
        refused = self.settings.refusal(
            call["name"], call["args"], can_be_recalled=self._can_be_recalled(request)
        )
        if refused is None:
            return None
        answer = ToolMessage(refused, tool_call_id=call["id"], name=call["name"], status="error")
        if request.tool is None or not request.tool.return_direct:
            return answer
        return Command(update={"messages": [answer]}, goto=_MODEL_NODE)

    def _tool_result(
        self, request: ToolCallRequest, answer: ToolMessage, goal: str | None, output: ToolOutput
    ) -> ToolResult:
        return ToolResult(
            texts=open_texts_of(answer.content),
            breaks=breaks_of(answer.content),
            tool_name=request.tool_call["name"],
            find_request=lambda: request_of(
                request.tool_call, messages_of(request.state), goal=goal
            ),
            skip=_reason_to_skip(request, answer, output) or self._reason_to_wait(request, answer),
            is_error=answer.status == "error",
            runtime=request.runtime,
            can_be_recalled=self._can_be_recalled(request),
        )

    def _reason_to_wait(self, request: ToolCallRequest, answer: ToolMessage) -> SkipReason | None:
        """The reason where the conversation is still small; one that cannot be counted is."""
        if self._trigger is None:  # no reason to copy the conversation
            return None
        conversation = [*messages_of(request.state), answer]
        return reason_to_wait(
            self._trigger, conversation, count_tokens_approximately, self.settings
        )

    def _can_be_recalled(self, request: ToolCallRequest) -> bool:
        """False if the agent is known to have no tool that fetches from the store."""
        # Older versions of LangGraph do not give the agent's tools.
        tools = getattr(request.runtime, "tools", None)
        return tools is None or any(
            isinstance(tool, RecallTool) and tool.originals is self.settings.originals
            for tool in tools
        )


def _reason_to_skip(
    request: ToolCallRequest, answer: ToolMessage, output: ToolOutput
) -> SkipReason | None:
    if hands_over(output) or (request.tool is not None and request.tool.return_direct):
        return "return_direct"
    return "recalled" if isinstance(request.tool, RecallTool) else reason_to_skip(answer)


def _channels(request: ToolCallRequest) -> tuple[RunnableConfig | None, StreamWriter | None]:
    """Return the run's config and stream writer; outside of a graph there are none."""
    runtime: object = request.runtime
    return getattr(runtime, "config", None), getattr(runtime, "stream_writer", None)
