"""A LlamaIndex tool whose results are compressed."""

from __future__ import annotations

import asyncio
import copy
import logging
import sys
from dataclasses import replace
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import MessageRole
from llama_index.core.tools import (
    BaseTool,
    FunctionTool,
    ToolOutput,
    adapt_to_async_tool,
)
from typing_extensions import Self

from specprefill_integrations.llama_index._events import CallEvents
from specprefill_integrations.llama_index._goal_argument import (
    returns_directly,
    with_goal_argument,
)
from specprefill_integrations.llama_index._recall_tool import RecallTool
from specprefill_integrations.llama_index._tool_output import (
    breaks_of,
    holds_compressed_nodes,
    opened,
    texts_of,
    with_texts,
)
from specprefill_integrations.tool_results import (
    CompressedResult,
    ToolRequest,
    ToolResult,
    ToolResultCompressor,
)
from specprefill_integrations.tool_results._earlier_turns import (
    Turn,
    earlier_turns,
    refers_back,
)
from specprefill_integrations.tool_results._goal_argument import without_goal
from specprefill_integrations.types import SkipReason

logger = logging.getLogger(__name__)

# Agents pass their context under this name to tools that have no parameter for it. It is in no
# schema.
_CONTEXT = "specprefill_context"

# Errors of this package are how a tool waits for an event.
_WORKFLOWS = "workflows."

# The key of the user's message in an agent's store.
_USER_MESSAGE = "user_msg_str"

# That of its memory.
_MEMORY = "memory"


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
        name = tool.metadata.name or ""
        offered = self.settings.with_goal(name, partial(with_goal_argument, tool))
        self._takes_goal = offered is not None
        metadata = offered or tool.metadata
        if isinstance(tool, FunctionTool):
            super().__init__(fn=tool.fn, async_fn=tool.async_fn, metadata=metadata)
            self._real_fn = tool.real_fn
            self.ctx_param_name = tool.ctx_param_name
        else:
            super().__init__(fn=self.tool.call, async_fn=self.tool.acall, metadata=metadata)
        self._context_name = self.ctx_param_name or _CONTEXT
        self.requires_context = True
        self.ctx_param_name = self._context_name

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401 - LlamaIndex's signature
        """Call the tool and compress its result. The user's message is unknown here.

        Args:
            args: Arguments of the tool.
            kwargs: Arguments of the tool; an agent's context may be among them.
        """
        kwargs, request = self._request(args, kwargs)
        refused = self._refusal(args, kwargs)
        if refused is not None:
            return refused
        output = self.tool.call(*args, **self._tool_arguments(kwargs))
        result, events = self._tool_result(output, request, kwargs.get(self._context_name))
        return _finished(output, self.settings.compress(result, events.start), events)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401
        """`call`, off the event loop; the question includes the user's message."""
        kwargs, request = self._request(args, kwargs)
        refused = self._refusal(args, kwargs)
        if refused is not None:
            return refused
        context = kwargs.get(self._context_name)
        try:
            output = await self.tool.acall(*args, **self._tool_arguments(kwargs))
        except Exception as error:
            failed = self._error_output(error, kwargs)
            compressed = failed and await self._acompressed(failed, request, context)
            if compressed is None or compressed is failed:
                raise
            return compressed
        return await self._acompressed(output, request, context)

    async def _acompressed(
        self, output: ToolOutput, request: ToolRequest, context: object
    ) -> ToolOutput:
        """Compress an output; the same one where it is not compressed."""
        message = await self._user_message(context)
        turns = await self._earlier_turns(context, message)
        asked = replace(request, user_message=message, earlier_turns=turns)
        # Writes large outputs as JSON.
        result, events = await asyncio.to_thread(self._tool_result, output, asked, context)
        return _finished(output, await self.settings.acompress(result, events.start), events)

    def _error_output(self, error: Exception, kwargs: dict[str, Any]) -> ToolOutput | None:
        """The output that an agent makes of an error; None for an error that it must get itself."""
        is_signal = type(error).__module__.startswith(_WORKFLOWS)
        if is_signal or kwargs.get(self._context_name) is None:
            return None
        return ToolOutput(
            tool_name=self.metadata.get_name(),
            content=str(error),
            raw_input=self._named(kwargs),
            raw_output=str(error),
            is_error=True,
            exception=error,
        )

    def _refusal(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToolOutput | None:
        """The answer to a call that must not reach its tool; None for one that may."""
        if isinstance(self.tool, RecallTool):
            return None
        name = self.metadata.get_name()
        refused = self.settings.refusal(name, self._arguments(args, kwargs))
        if refused is None:
            return None
        raw_input = {"args": args, "kwargs": self._named(kwargs)}
        return ToolOutput(name, refused, raw_input=raw_input, raw_output=refused, is_error=True)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name; positional ones by their position."""
        return {str(place): value for place, value in enumerate(args)} | self._named(kwargs)

    def _named(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments that the model filled in."""
        return {name: value for name, value in kwargs.items() if name != self._context_name}

    def _tool_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments without a context that the tool does not take."""
        return {name: value for name, value in kwargs.items() if name != _CONTEXT}

    def _request(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], ToolRequest]:
        """The named arguments of the tool, without the goal, and the call."""
        goal = None
        if self._takes_goal:
            kwargs, goal = without_goal(kwargs)
        name, arguments = self.metadata.get_name(), self._arguments(args, kwargs)
        return kwargs, ToolRequest(tool_name=name, arguments=arguments, goal=goal)

    def _tool_result(
        self, output: ToolOutput, request: ToolRequest, context: object
    ) -> tuple[ToolResult, CallEvents]:
        name, output = request.tool_name, opened(output)
        texts = texts_of(output)
        result = ToolResult(
            texts=texts,
            breaks=breaks_of(output),
            tool_name=name,
            find_request=lambda: request,
            skip=self._reason_to_skip(output),
            is_error=output.is_error,
            runtime=context,
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

    async def _earlier_turns(self, context: Any, message: str | None) -> tuple[Turn, ...]:  # noqa: ANN401
        """Return the turns before the user's message, if it refers to them."""
        if not message or not refers_back(message):
            return ()
        try:
            memory = await context.store.get(_MEMORY, default=None)
            messages = await memory.aget_all() if memory else []
        except Exception as error:  # noqa: BLE001 - the tool's result goes on without them
            what = "The conversation could not be read"
            self.settings.failures.add(logger, what, "failed", error)
            return ()
        roles = (MessageRole.USER, MessageRole.ASSISTANT)
        return earlier_turns(
            (m.role == MessageRole.USER, m.content or "") for m in messages if m.role in roles
        )

    def _reason_to_skip(self, output: ToolOutput) -> SkipReason | None:
        if isinstance(self.tool, RecallTool):
            return "recalled"
        if returns_directly(self.metadata):
            return "return_direct"
        return "already_compressed" if holds_compressed_nodes(output) else None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy with the same settings."""
        return type(self)(copy.deepcopy(self.tool, memo), self.settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle LlamaIndex's own tools by their functions: they hold closures and made classes."""
        tool = _function_parts(self.tool) if type(self.tool) is FunctionTool else self.tool
        return _rebuilt, (tool, self.settings)


def _finished(output: ToolOutput, done: CompressedResult, events: CallEvents) -> ToolOutput:
    """Send the event of a result, and return the output with its texts."""
    events.finish(done.outcome)
    return output if done.outcome.skipped_because else with_texts(opened(output), done.texts)


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
