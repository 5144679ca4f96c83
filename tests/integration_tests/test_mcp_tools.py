"""Tools of a real MCP server over stdio, as agents of both frameworks load them.

LangChain has two adapters: one needs mcp 1, the other one fastmcp; `make mcp-adapters` runs both.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="needs the extra `mcp`")

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from llama_index.core.agent.workflow import FunctionAgent
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import SpecPrefillMiddleware
from specprefill_integrations.llama_index import compress_tools
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.mcp_gates import ERROR, LOG, PICTURE
from tests.unit_tests.langchain.agents import calls, scripted, stamp, tool_messages
from tests.unit_tests.llama_index import scripted as llama_index

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:`langchain.mcp` is in beta"
)

SERVER = Path(__file__).parents[1] / "mcp_gates.py"
ASK = HumanMessage("Which gate was lost?")
LIMIT = Budget(max_tokens=40)


@asynccontextmanager
async def tools_of_adapters() -> AsyncIterator[list[BaseTool]]:
    client = pytest.importorskip(
        "langchain_mcp_adapters.client",
        reason="needs langchain-mcp-adapters and mcp before 2.0 (make mcp-adapters)",
        exc_type=ImportError,
    )
    of_server = {"transport": "stdio", "command": sys.executable, "args": [str(SERVER)]}
    yield await client.MultiServerMCPClient({"gates": of_server}).get_tools()


@asynccontextmanager
async def tools_of_langchain() -> AsyncIterator[list[BaseTool]]:
    mcp = pytest.importorskip(
        "langchain.mcp", reason="needs fastmcp (make mcp-adapters)", exc_type=ImportError
    )
    async with mcp.MCPAdapter(SERVER) as adapter:
        yield await adapter.list_tools()


def middleware() -> SpecPrefillMiddleware:
    return SpecPrefillMiddleware(
        compressor=ContextCompressor(KeywordScorer()),
        budget=LIMIT,
        min_tokens=50,
        originals=InMemoryOriginals(),
    )


def holds(message: ToolMessage) -> None:
    """What is true of all results that are compressed."""
    assert ERROR in message.text
    assert len(message.text) < len(LOG) / 4
    assert stamp(message)["skipped_because"] is None


@pytest.mark.parametrize("tools", [tools_of_adapters, tools_of_langchain])
class TestLangChain:
    async def test_an_agent_reads_short_results(self, tools) -> None:
        async with tools() as loaded:
            model = scripted(calls("read_log:1"), calls("show_gate:2"), calls("open_gate:3"))
            agent = create_agent(model, loaded, middleware=[middleware()])
            state = await agent.ainvoke({"messages": [ASK]})
        log, gate, stuck = tool_messages(state)
        holds(log)
        assert [block["type"] for block in log.content] == ["text"]
        assert log.artifact["structured_content"] == {"result": LOG}
        holds(gate)
        kinds = [block["type"] for block in gate.content]
        assert "image" in kinds
        assert base64.b64encode(PICTURE).decode() in str(gate.content)
        assert stuck.status == "error"
        assert "open_gate" in stuck.text or "stuck" in stuck.text

    async def test_so_does_a_graph_with_a_tool_node(self, tools) -> None:
        async with tools() as loaded:
            node = ToolNode(loaded, awrap_tool_call=middleware().awrap_tool_call)
            graph = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools")
            state = await graph.compile().ainvoke({"messages": [ASK, calls("read_log")]})
        holds(tool_messages(state)[0])


class TestLlamaIndex:
    @pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
    async def test_an_agent_reads_short_results(self) -> None:
        of_mcp: Any = pytest.importorskip(
            "llama_index.tools.mcp", reason="needs llama-index-tools-mcp", exc_type=ImportError
        )
        turns = (llama_index.calls("read_log", name="gates.log"), llama_index.calls("show_gate"))
        script = llama_index.Script(
            *turns, llama_index.calls("open_gate"), llama_index.says("Gate 7.")
        )
        of_server = StdioServerParameters(command=sys.executable, args=[str(SERVER)])
        async with stdio_client(of_server) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = compress_tools(
                await of_mcp.McpToolSpec(client=session).to_tool_list_async(),
                compressor=ContextCompressor(KeywordScorer()),
                budget=LIMIT,
                min_tokens=50,
                originals=InMemoryOriginals(),
            )
            agent = FunctionAgent(tools=tools, llm=script.llm)
            run = await agent.run(ASK.text)
        log, gate, stuck = [call.tool_output for call in run.tool_calls]
        for short in (log, gate):
            assert ERROR in short.content
            assert len(short.content) < len(LOG) / 4
        assert log.raw_output.content[0].text == LOG
        [image] = [block for block in gate.blocks if block.block_type == "image"]
        assert image.resolve_image().read() == PICTURE
        assert "open_gate" in stuck.content
        assert "recall_original" in [tool.metadata.name for tool in tools]
