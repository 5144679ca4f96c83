"""A server of the Model Context Protocol that wraps another, and compresses its tool results."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import mcp_types as types
from mcp import Client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server

from specprefill_integrations.originals._recall import AROUND_HELP, RECALL_HELP, REFERENCE_HELP
from specprefill_integrations.serving._mcp_tools import RECALL_TOOL
from specprefill_integrations.tool_results import ToolRequest, ToolResult, ToolResultCompressor
from specprefill_integrations.tool_results._goal_argument import with_goal, without_goal
from specprefill_integrations.tool_results._recaller import Recaller
from specprefill_integrations.tool_results._result import breaks_in

_TEXT = {"type": "string"}
_RECALL = types.Tool(
    name=RECALL_TOOL,
    description=RECALL_HELP,
    input_schema={
        "type": "object",
        "properties": {
            "reference": {**_TEXT, "description": REFERENCE_HELP},
            "around": {**_TEXT, "description": AROUND_HELP},
        },
        "required": ["reference"],
    },
)

Context = ServerRequestContext[Any]
Page = types.PaginatedRequestParams | None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpProxy:
    """The server. What is no tool (resources, prompts, completions) is passed on as it is.

    Not passed on are notifications other than progress, and requests of the wrapped server to its
    client, such as sampling.
    """

    upstream: Client
    """The wrapped server; connected."""

    results: ToolResultCompressor
    """Compresses. With `goal_argument`, the model may say what it looks for in a result."""

    recaller: Recaller
    """Recalls originals."""

    _tools: dict[str, bool] = field(default_factory=dict)
    """The tools that were listed, and whether each was given an argument for the goal."""

    def server(self) -> Server:
        """Build the server, with the capabilities of the wrapped one."""
        info = self.upstream.server_info
        can = self.upstream.server_capabilities
        return Server(
            info.name if info else "specprefill",
            version=info.version if info else "",
            title=info.title if info else None,
            instructions=self.upstream.instructions,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources if can.resources else None,
            on_list_resource_templates=self.list_templates if can.resources else None,
            on_read_resource=self.read_resource if can.resources else None,
            on_list_prompts=self.list_prompts if can.prompts else None,
            on_get_prompt=self.get_prompt if can.prompts else None,
            on_completion=self.complete if can.completions else None,
        )

    async def list_tools(self, context: Context, page: Page) -> types.ListToolsResult:
        """Return the tools of the wrapped server, and after the last the recall tool."""
        del context
        if not self.upstream.server_capabilities.tools:
            return types.ListToolsResult(tools=[])
        found = await self.upstream.session.list_tools(params=page)
        tools = [self._offered(tool) for tool in found.tools]
        if found.next_cursor is None and RECALL_TOOL not in self._tools:
            tools.append(_RECALL)
        return found.model_copy(update={"tools": tools})

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Call a tool of the wrapped server, and compress the texts of its result."""
        if params.name not in self._tools:
            await self._list_all()
        arguments, goal = params.arguments, None
        if params.name == RECALL_TOOL and RECALL_TOOL not in self._tools:
            return await self._recall(arguments or {})
        if self._tools.get(params.name):
            arguments, goal = without_goal(arguments or {})
        result = await self.upstream.session.call_tool(
            params.name,
            arguments,
            progress_callback=context.session.report_progress,
            input_responses=params.input_responses,
            request_state=params.request_state,
            allow_input_required=True,
        )
        if isinstance(result, types.InputRequiredResult):
            return result
        request = ToolRequest(tool_name=params.name, arguments=arguments or {}, goal=goal)
        return await self._compress(result, request)

    async def list_resources(self, _: Context, page: Page) -> types.ListResourcesResult:
        """Pass on."""
        return await self.upstream.session.list_resources(params=page)

    async def list_templates(self, _: Context, page: Page) -> types.ListResourceTemplatesResult:
        """Pass on."""
        return await self.upstream.session.list_resource_templates(params=page)

    async def read_resource(
        self, _: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult:
        """Pass on."""
        return await self.upstream.session.read_resource(
            params.uri,
            input_responses=params.input_responses,
            request_state=params.request_state,
            allow_input_required=True,
        )

    async def list_prompts(self, _: Context, page: Page) -> types.ListPromptsResult:
        """Pass on."""
        return await self.upstream.session.list_prompts(params=page)

    async def get_prompt(
        self, _: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        """Pass on."""
        return await self.upstream.session.get_prompt(
            params.name,
            params.arguments,
            input_responses=params.input_responses,
            request_state=params.request_state,
            allow_input_required=True,
        )

    async def complete(
        self, _: Context, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        """Pass on."""
        context = None if params.context is None else params.context.arguments
        argument = params.argument.model_dump()
        return await self.upstream.session.complete(params.ref, argument, context)

    async def _list_all(self) -> None:
        cursor: str | None = None
        while True:
            page = None if cursor is None else types.PaginatedRequestParams(cursor=cursor)
            found = await self.upstream.session.list_tools(params=page)
            for tool in found.tools:
                self._offered(tool)
            cursor = found.next_cursor
            if cursor is None:
                return

    def _offered(self, tool: types.Tool) -> types.Tool:
        """Return a tool for the client.

        Without the schema of its structured results, which are left out where the text is cut.
        """
        schema = self.results.with_goal(tool.name, partial(with_goal, tool.input_schema))
        self._tools[tool.name] = schema is not None
        changes = {"output_schema": None, "input_schema": schema or tool.input_schema}
        return tool.model_copy(update=changes)

    async def _recall(self, arguments: dict[str, Any]) -> types.CallToolResult:
        text = await self.recaller.aanswer(arguments.get("reference"), arguments.get("around"))
        return types.CallToolResult(content=[types.TextContent(text=text)])

    async def _compress(
        self, result: types.CallToolResult, request: ToolRequest
    ) -> types.CallToolResult:
        texts = [_text_of(block) for block in result.content]
        done = await self.results.acompress(
            ToolResult(
                texts=[text for text in texts if text is not None],
                breaks=breaks_in([text is not None for text in texts]),
                tool_name=request.tool_name,
                find_request=lambda: request,
                is_error=result.is_error,
            )
        )
        if done.outcome.skipped_because is not None:
            return result
        kept = iter(done.texts)
        content: list[types.ContentBlock] = []
        for block, text in zip(result.content, texts, strict=True):
            if text is None:
                content.append(block)
            elif (shorter := next(kept)) is not None:
                content.append(_with_text(block, shorter))
        return result.model_copy(update={"content": content, "structured_content": None})


def _text_of(block: types.ContentBlock) -> str | None:
    """Return the text of a block; None for one without, or that is not for the model."""
    audience = None if block.annotations is None else block.annotations.audience
    if audience and "assistant" not in audience:
        return None
    if isinstance(block, types.EmbeddedResource):
        resource = block.resource
        return resource.text if isinstance(resource, types.TextResourceContents) else None
    return block.text if isinstance(block, types.TextContent) else None


def _with_text(block: types.ContentBlock, text: str) -> types.ContentBlock:
    if isinstance(block, types.EmbeddedResource):
        resource = block.resource.model_copy(update={"text": text})
        return block.model_copy(update={"resource": resource})
    return block.model_copy(update={"text": text})
