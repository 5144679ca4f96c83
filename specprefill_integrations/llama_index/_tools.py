"""Tools of LlamaIndex agents: compression of their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from llama_index.core.tools import BaseTool

from specprefill_integrations._arguments import NonNegativeInt, check, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.llama_index._compressed_tool import CompressedTool
from specprefill_integrations.llama_index._recall_tool import RecallTool, recall_tool
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals._store_choice import Originals
from specprefill_integrations.tool_results import (
    MinTokens,
    ToolPolicy,
    ToolResultCompressor,
)
from specprefill_integrations.tool_results._argument_guard import OnMarker
from specprefill_integrations.tool_results._question import QueryFunction
from specprefill_integrations.tool_results._thresholds import (
    DEFAULT_ERROR_MIN_TOKENS,
    DEFAULT_MIN_TOKENS,
)
from specprefill_integrations.types import Budget


@checked
def compress_tool(  # noqa: PLR0913 - one keyword a choice
    tool: BaseTool,
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
    model: object = None,
) -> CompressedTool:
    """Wrap a tool so that its results are compressed; see `compress_tools` for all at once.

    Name, description and, but for `goal_argument`, the schema are the tool's. Agents pass the
    wrapper their context, and it passes it on where the tool takes one. Only texts change: other
    blocks, `raw_input` and `raw_output` stay, and the tool's errors are raised; in an agent, the
    text of a long one is compressed, and the agent gets it as an output that is an error.
    Dictionaries and lists are written as JSON before they are compressed, unless that would lose
    information, so that records stay intact.

    Results that are not compressed have an event with the reason. A failure passes the result
    through unchanged, with a warning in the log; if the compressor has `on_error="raise"`, the
    agent gets the error in place of the result.

    Args:
        tool: The tool; these settings replace those of a wrapped one.
        compressor: The compressor; None is the shared default, loaded at first use.
        budget: How much may be kept of all texts of a result together, gap markers included.
        min_tokens: Results of fewer tokens pass through unchanged. A `BreakEven` computes it,
            `"auto"` measures it, see `Thresholds`.
        error_min_tokens: Results of tools that failed pass through unchanged if they have fewer
            tokens than this, or than `min_tokens`; longer ones are compressed around what failed.
        exclude_tools: Names or globs of tools whose results pass through unchanged.
        tool_policies: Settings that differ for some tools, by name or glob; the first match wins.
        query: The question, or a function of the `ToolRequest` that returns it. None or blank: what
            the user asked the agent, and the call with its arguments.
        originals: Store of the originals: each result names a reference. The agent needs a
            `recall_tool` for it, which `compress_tools` adds. Or a function, which may be
            asynchronous, from the agent's context (None outside of an agent) to the store of a
            call, such as that of a tenant.
        on_marker_in_arguments: What happens to a call whose arguments hold gap markers, as if a
            shortened text was written back: `ignore` nothing, `warn` a warning in the log, `refuse`
            an error that tells the model to recall the original first.
        goal_argument: True offers the model one more argument, `goal`, in which it may say what it
            looks for; it is then the question for the result, before `query`. The tool never gets
            it. A tool whose results are not compressed has none.
        metrics: Metrics to add counts to; None is `process_metrics()`.
        ttft_log: The calls of the agent's model, as `TtftEventHandler` keeps them; for
            `min_tokens="auto"`.
        model: The agent's model; its `metadata.context_window` says of what a `min_tokens` of
            `("fraction", 0.01)` is a fraction.

    Raises:
        BudgetError: `min_tokens="auto"` with a budget that names no share of a text, or a
            `target_recall` with scores that are not calibrated.
        TypeError: An argument has another type.
        ValueError: `min_tokens` is out of range, or cannot be measured; see `Thresholds.check`.
    """
    settings = ToolResultCompressor(
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
    return CompressedTool(_unwrapped(tool), settings)


@checked
def compress_tools(  # noqa: PLR0913 - one keyword a choice
    tools: Iterable[BaseTool],
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
    model: object = None,
) -> list[BaseTool]:
    """Wrap all tools of an agent, and add the recall tool if there is a store of originals.

    The recall tool is not added if the tools hold one for the same store.

    Args:
        tools: The tools.
        compressor: See `compress_tool`, as for all that follow.
        budget: How much may be kept of each result.
        min_tokens: The least number of tokens to compress; `"auto"` measures all tools together.
        error_min_tokens: The least number of tokens of a failed tool's result to compress.
        exclude_tools: Names or globs of tools whose results pass through unchanged.
        tool_policies: Settings that differ for some tools.
        query: The question, or a function of the `ToolRequest`.
        originals: Store of the originals, for the recall tool.
        on_marker_in_arguments: What happens to a call whose arguments hold gap markers.
        goal_argument: True offers the model an argument that says what it looks for.
        metrics: Metrics to add counts to.
        ttft_log: The calls of the agent's model.
        model: The agent's model, for a fraction of its window.

    Raises:
        BudgetError: As for `compress_tool`.
        TypeError: As for `compress_tool`.
        ValueError: As for `compress_tool`; or another tool has the name of the recall tool.
    """
    settings = ToolResultCompressor(
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
    given = check("tools", list(tools), Sequence[BaseTool])
    wrapped: list[BaseTool] = [CompressedTool(_unwrapped(tool), settings) for tool in given]
    if originals is not None and settings.originals is not None:
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
