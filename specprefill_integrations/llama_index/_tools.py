"""A tool of a LlamaIndex agent -> the same tool with less text in its results.

Passes calls on; what becomes of the results is decided elsewhere.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

from llama_index.core.tools import BaseTool, FunctionTool, ToolOutput, adapt_to_async_tool
from typing_extensions import Self

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.llama_index._events import DoorSkipReason
from specprefill_integrations.llama_index._output_compressor import OutputCompressor
from specprefill_integrations.llama_index._recall_tool import RecallTool
from specprefill_integrations.llama_index._tool_request import MakeQuery, ToolRequest
from specprefill_integrations.observability import TtftLog
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.tool_results import MinTokens, Thresholds
from specprefill_integrations.tool_results._question import DEFAULT_MIN_TOKENS
from specprefill_integrations.types import Budget, Kind

logger = logging.getLogger(__name__)

# The name under which agents hand over their context where the tool has no parameter for it. It
# stands in no schema.
_CONTEXT = "specprefill_context"

# Where agents keep what the user asked.
_USER_MESSAGE = "user_msg_str"


class CompressedTool(FunctionTool):
    """A tool with less text in its results. `compress_tool` makes it.

    It is a `FunctionTool` because agents give their context to no other. `fn`, `async_fn` and
    `real_fn` are the tool's own, uncompressed.
    """

    def __init__(self, tool: BaseTool, outputs: OutputCompressor) -> None:
        """Use `compress_tool` instead."""
        self.tool = adapt_to_async_tool(tool)
        """The tool itself."""
        self._outputs = outputs
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
        """Call the tool and compress its result. What the user asked the agent is not known here.

        Args:
            args: What the tool takes.
            kwargs: What the tool takes; an agent's context may be among them.
        """
        output = self.tool.call(*args, **self._handed_on(kwargs))
        return self._outputs.compress(output, self._request(args, kwargs), self._reason_to_skip)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401
        """`call`, off the event loop, with what the user asked the agent in the question."""
        output = await self.tool.acall(*args, **self._handed_on(kwargs))
        asked = await _asked_in(kwargs.get(self._context_name))
        request = self._request(args, kwargs, asked)
        return await self._outputs.acompress(output, request, self._reason_to_skip)

    @property
    def _reason_to_skip(self) -> DoorSkipReason | None:
        """Why no result of the tool is compressed."""
        if isinstance(self.tool, RecallTool):
            return "recalled"
        # What a handoff says goes to the next agent.
        if self.metadata.return_direct or self.metadata.name == "handoff":
            return "return_direct"
        return None

    def _handed_on(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the tool is called with: the context only where it takes one."""
        return {name: value for name, value in kwargs.items() if name != _CONTEXT}

    def _request(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], user_message: str | None = None
    ) -> ToolRequest:
        named = {name: value for name, value in kwargs.items() if name != self._context_name}
        return ToolRequest(
            tool_name=self.metadata.get_name(),
            arguments={**{str(place): value for place, value in enumerate(args)}, **named},
            user_message=user_message,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with the same compressor and store: they own locks and a model."""
        return type(self)(copy.deepcopy(self.tool, memo), self._outputs)


async def _asked_in(context: Any) -> str | None:  # noqa: ANN401 - a workflow's, of any version
    """What the user asked the agent; None where its context does not say it."""
    if context is None:
        return None
    try:
        found = await context.store.get(_USER_MESSAGE, default=None)
    except Exception as error:
        logger.warning("What the user asked is not known.", exc_info=error)
        return None
    return found if isinstance(found, str) else None


def compress_tool(  # noqa: PLR0913 - one keyword a choice
    tool: BaseTool,
    *,
    compressor: ContextCompressor | None = None,
    budget: Budget,
    min_tokens: MinTokens = DEFAULT_MIN_TOKENS,
    query: str | MakeQuery | None = None,
    kind: Kind | None = None,
    originals: OriginalStore | None = None,
    ttft_log: TtftLog | None = None,
) -> CompressedTool:
    """Wrap a tool so that an agent reads of its results what it asked for.

    Name, description and schema are the tool's. Agents give the wrapper their context, and it
    hands it on where the tool takes one. Only text changes: other blocks, `raw_input` and
    `raw_output` stay, and what the tool raises is raised. Dictionaries and lists are written as
    JSON before they are compressed, where that says no less, so that their records stay whole.

    Left whole, each with an event that says why: errors, results of tools that return directly or
    hand off, recalled originals, nodes that their retriever compressed, little or no text, and
    results of which nothing would be kept or that would be no shorter. So is what cannot be
    compressed, with a warning in the log, unless the compressor says `on_error="raise"`: then an
    agent gets the error in place of the result.

    Args:
        tool: The tool; one that was wrapped before gets these settings in place of its own.
        compressor: What compresses; None is the shared default, loaded at first use.
        budget: How much may be kept of all texts of a result together. Where nothing is kept of
            one of several texts, its gap marker comes on top.
        min_tokens: A result of fewer tokens is left whole. A `BreakEven` says it by its figures,
            `"auto"` by what `Thresholds` measures of this tool.
        query: The question of every call, or what makes one of a call. None: what the user asked
            the agent, and the call with its arguments.
        kind: What the results are cut as, whatever they look like.
        originals: Where originals are put, so that the first gap of a text can name its reference.
            Give the agent `recall_tool(originals)` too; to one that has none, give no store.
        ttft_log: The calls of the agent's model, as `TtftEventHandler` keeps them; for
            `min_tokens="auto"`.

    Raises:
        ValueError: `min_tokens` cannot be answered; see `Thresholds.check`.
    """
    thresholds = Thresholds(ttft_log)
    thresholds.check(min_tokens, budget)
    outputs = OutputCompressor(
        compressor=compressor,
        budget=budget,
        min_tokens=min_tokens,
        thresholds=thresholds,
        query=query,
        kind=kind,
        originals=originals,
    )
    return CompressedTool(tool.tool if isinstance(tool, CompressedTool) else tool, outputs)
