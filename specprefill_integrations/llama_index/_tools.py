"""Tools of LlamaIndex agents: compression of their results."""

from __future__ import annotations

import asyncio
import copy
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.tools import (
    BaseTool,
    FunctionTool,
    ToolOutput,
    adapt_to_async_tool,
)
from typing_extensions import Self

from specprefill_integrations._arguments import check, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.llama_index._events import CallEvents
from specprefill_integrations.llama_index._recall_tool import RecallTool, recall_tool
from specprefill_integrations.llama_index._tool_output import (
    holds_compressed_nodes,
    texts_of,
    with_texts,
)
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals._store_choice import Originals
from specprefill_integrations.tool_results import (
    CompressedResult,
    MinTokens,
    ToolPolicy,
    ToolRequest,
    ToolResult,
    ToolResultCompressor,
)
from specprefill_integrations.tool_results._question import QueryFunction
from specprefill_integrations.tool_results._thresholds import DEFAULT_MIN_TOKENS
from specprefill_integrations.types import Budget, SkipReason

logger = logging.getLogger(__name__)

# Agents pass their context under this name to tools that have no parameter for it. It is in no
# schema.
_CONTEXT = "specprefill_context"

# The key of the user's message in an agent's store.
_USER_MESSAGE = "user_msg_str"


class CompressedTool(FunctionTool):
    """A tool whose results are compressed, as `compress_tool` makes it.

    It is a `FunctionTool` because agents pass their context to no other class. `fn`, `async_fn` and
    `real_fn` are those of the tool, uncompressed.
    """

    def __init__(self, tool: BaseTool, settings: ToolResultCompressor) -> None:
        """Use `compress_tool` instead."""
        self.tool = adapt_to_async_tool(tool)
        """The tool itself."""
        self.settings = settings
        """Settings of the compression."""
        if isinstance(tool, FunctionTool):
            super().__init__(fn=tool.fn, async_fn=tool.async_fn, metadata=tool.metadata)
            self._real_fn = tool.real_fn
            self.ctx_param_name = tool.ctx_param_name
        else:
            super().__init__(fn=self.tool.call, async_fn=self.tool.acall, metadata=tool.metadata)
        self._context_name = self.ctx_param_name or _CONTEXT
        self.requires_context = True
        self.ctx_param_name = self._context_name

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401 - LlamaIndex's signature
        """Call the tool and compress its result. The user's message is unknown here.

        Args:
            args: Arguments of the tool.
            kwargs: Arguments of the tool; an agent's context may be among them.
        """
        output = self.tool.call(*args, **self._tool_arguments(kwargs))
        result, events = self._tool_result(output, args, kwargs)
        return _finished(output, self.settings.compress(result, events.start), events)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401
        """`call`, off the event loop; the question includes the user's message."""
        output = await self.tool.acall(*args, **self._tool_arguments(kwargs))
        user_message = await self._user_message(kwargs.get(self._context_name))
        # Writes large outputs as JSON.
        result, events = await asyncio.to_thread(
            self._tool_result, output, args, kwargs, user_message
        )
        return _finished(output, await self.settings.acompress(result, events.start), events)

    def _tool_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments without a context that the tool does not take."""
        return {name: value for name, value in kwargs.items() if name != _CONTEXT}

    def _tool_result(
        self,
        output: ToolOutput,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        user_message: str | None = None,
    ) -> tuple[ToolResult, CallEvents]:
        named = {name: value for name, value in kwargs.items() if name != self._context_name}
        name = self.metadata.get_name()
        texts = texts_of(output)
        request = ToolRequest(
            tool_name=name,
            arguments={**{str(place): value for place, value in enumerate(args)}, **named},
            user_message=user_message,
        )
        result = ToolResult(
            texts=texts,
            tool_name=name,
            find_request=lambda: request,
            skip=self._reason_to_skip(output),
            runtime=kwargs.get(self._context_name),
        )
        return result, CallEvents(integration="tool", tool_name=name, text_count=len(texts))

    async def _user_message(self, context: Any) -> str | None:  # noqa: ANN401 - of any version
        """Return what the user asked the agent; None where its context does not hold it."""
        if context is None:
            return None
        try:
            found = await context.store.get(_USER_MESSAGE, default=None)
        except Exception as error:  # noqa: BLE001 - the tool's result goes on without it
            what = "The user's message could not be read"
            self.settings.failures.add(logger, what, "failed", error)
            return None
        return found if isinstance(found, str) else None

    def _reason_to_skip(self, output: ToolOutput) -> SkipReason | None:
        if isinstance(self.tool, RecallTool):
            return "recalled"
        # The output of a handoff goes to the next agent.
        if self.metadata.return_direct or self.metadata.name == "handoff":
            return "return_direct"
        if output.is_error:
            return "tool_error"
        return "already_compressed" if holds_compressed_nodes(output) else None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy with the same settings."""
        return type(self)(copy.deepcopy(self.tool, memo), self.settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle LlamaIndex's own tools by their functions: they hold closures and made classes."""
        tool = _function_parts(self.tool) if type(self.tool) is FunctionTool else self.tool
        return _rebuilt, (tool, self.settings)


@checked
def compress_tool(  # noqa: PLR0913 - one keyword a choice
    tool: BaseTool,
    *,
    compressor: ContextCompressor | None = None,
    budget: Budget,
    min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
    exclude_tools: Iterable[str] = (),
    tool_policies: Mapping[str, ToolPolicy] | None = None,
    query: str | QueryFunction | None = None,
    originals: Originals | None = None,
    metrics: CompressionMetrics | None = None,
    ttft_log: TtftLog | None = None,
) -> CompressedTool:
    """Wrap a tool so that its results are compressed; see `compress_tools` for all at once.

    Name, description and schema are the tool's. Agents pass the wrapper their context, and it
    passes it on where the tool takes one. Only texts change: other blocks, `raw_input` and
    `raw_output` stay, and the tool's errors are raised. Dictionaries and lists are written as JSON
    before they are compressed, unless that would lose information, so that records stay intact.

    Results that are not compressed have an event with the reason. A failure passes the result
    through unchanged, with a warning in the log; if the compressor has `on_error="raise"`, the
    agent gets the error in place of the result.

    Args:
        tool: The tool; these settings replace those of a wrapped one.
        compressor: The compressor; None is the shared default, loaded at first use.
        budget: How much may be kept of all texts of a result together, gap markers included.
        min_tokens: Results of fewer tokens pass through unchanged. A `BreakEven` computes it,
            `"auto"` measures it, see `Thresholds`.
        exclude_tools: Names or globs of tools whose results pass through unchanged.
        tool_policies: Settings that differ for some tools, by name or glob; the first match wins.
        query: The question, or a function of the `ToolRequest` that returns it. None or blank: what
            the user asked the agent, and the call with its arguments.
        originals: Store of the originals: each result names a reference. The agent needs a
            `recall_tool` for it, which `compress_tools` adds. Or a function, which may be
            asynchronous, from the agent's context (None outside of an agent) to the store of a
            call, such as that of a tenant.
        metrics: Metrics to add counts to; None is `process_metrics()`.
        ttft_log: The calls of the agent's model, as `TtftEventHandler` keeps them; for
            `min_tokens="auto"`.

    Raises:
        BudgetError: `min_tokens="auto"` with a budget that names no share of a text.
        TypeError: An argument has another type.
        ValueError: `min_tokens` is out of range, or cannot be measured; see `Thresholds.check`.
    """
    settings = ToolResultCompressor(
        compressor=compressor,
        budget=budget,
        min_tokens=min_tokens,
        exclude_tools=exclude_tools,
        tool_policies=tool_policies,
        query=query,
        originals=originals,
        metrics=metrics,
        ttft_log=ttft_log,
    )
    return CompressedTool(_unwrapped(tool), settings)


@checked
def compress_tools(  # noqa: PLR0913 - one keyword a choice
    tools: Iterable[BaseTool],
    *,
    compressor: ContextCompressor | None = None,
    budget: Budget,
    min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
    exclude_tools: Iterable[str] = (),
    tool_policies: Mapping[str, ToolPolicy] | None = None,
    query: str | QueryFunction | None = None,
    originals: Originals | None = None,
    metrics: CompressionMetrics | None = None,
    ttft_log: TtftLog | None = None,
) -> list[BaseTool]:
    """Wrap all tools of an agent, and add the recall tool if there is a store of originals.

    The recall tool is not added if the tools hold one for the same store.

    Args:
        tools: The tools.
        compressor: See `compress_tool`, as for all that follow.
        budget: How much may be kept of each result.
        min_tokens: The least number of tokens to compress; `"auto"` measures all tools together.
        exclude_tools: Names or globs of tools whose results pass through unchanged.
        tool_policies: Settings that differ for some tools.
        query: The question, or a function of the `ToolRequest`.
        originals: Store of the originals, for the recall tool.
        metrics: Metrics to add counts to.
        ttft_log: The calls of the agent's model.

    Raises:
        BudgetError: As for `compress_tool`.
        TypeError: As for `compress_tool`.
        ValueError: As for `compress_tool`; or another tool has the name of the recall tool.
    """
    settings = ToolResultCompressor(
        compressor=compressor,
        budget=budget,
        min_tokens=min_tokens,
        exclude_tools=exclude_tools,
        tool_policies=tool_policies,
        query=query,
        originals=originals,
        metrics=metrics,
        ttft_log=ttft_log,
    )
    given = check("tools", list(tools), Sequence[BaseTool])
    wrapped: list[BaseTool] = [CompressedTool(_unwrapped(tool), settings) for tool in given]
    if originals is not None:
        recall = recall_tool(originals, compressor=compressor)
        if not any(_fetches_from(tool, originals) for tool in wrapped):
            if any(tool.metadata.name == recall.metadata.name for tool in wrapped):
                msg = (
                    f"Another tool is called {recall.metadata.name!r}: rename it, or add "
                    "recall_tool(originals, name=...) to the tools."
                )
                raise ValueError(msg)
            wrapped.append(recall)
    return wrapped


def _unwrapped(tool: BaseTool) -> BaseTool:
    return tool.tool if isinstance(tool, CompressedTool) else tool


def _fetches_from(tool: BaseTool, originals: Originals) -> bool:
    """True for a recall tool for this store."""
    inner = _unwrapped(tool)
    return isinstance(inner, RecallTool) and inner.originals is originals


def _finished(output: ToolOutput, done: CompressedResult, events: CallEvents) -> ToolOutput:
    """Send the event of a result, and return the output with its texts."""
    events.finish(done.outcome)
    return output if done.outcome.skipped_because else with_texts(output, done.texts)


def _function_parts(tool: FunctionTool) -> dict[str, Any]:
    """Return the arguments of `FunctionTool.from_defaults` that make the same tool again."""
    functions = {
        "fn": tool.fn,
        "async_fn": tool.async_fn,
        "callback": tool._callback,  # noqa: SLF001 - there is no other way to read it
        "async_callback": tool._async_callback,  # noqa: SLF001
    }
    metadata = copy.copy(tool.metadata)
    if _is_made_schema(metadata.fn_schema, tool.metadata.name):
        metadata.fn_schema = None  # made again from the function
    return {
        **{name: function for name, function in functions.items() if not _is_made(function)},
        "name": metadata.name,
        "description": metadata.description,
        "return_direct": metadata.return_direct,
        "fn_schema": metadata.fn_schema,
        "tool_metadata": metadata if metadata.fn_schema is not None else None,
        "partial_params": tool.partial_params,
    }


def _is_made_schema(schema: object, tool_name: str | None) -> bool:
    """True for a schema that LlamaIndex made of a function; any other one must pickle."""
    home = sys.modules.get(getattr(schema, "__module__", ""))
    is_importable = getattr(home, getattr(schema, "__name__", ""), None) is schema
    return not is_importable and getattr(schema, "__name__", "") == tool_name


def _is_made(function: object) -> bool:
    """True for a function that LlamaIndex made of another one."""
    name = str(getattr(function, "__qualname__", ""))
    return function is None or name.startswith(("sync_to_async.", "async_to_sync."))


def _rebuilt(tool: BaseTool | dict[str, Any], settings: ToolResultCompressor) -> CompressedTool:
    """Make a tool of its pickle."""
    plain = FunctionTool.from_defaults(**tool) if isinstance(tool, dict) else tool
    return CompressedTool(plain, settings)
