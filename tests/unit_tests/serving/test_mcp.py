"""The tools for agents that speak the Model Context Protocol, and the proxy before servers."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="needs the extra `mcp`")

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.server.mcpserver import MCPServer

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.serving._mcp_proxy import McpProxy
from specprefill_integrations.serving._mcp_tools import McpTools
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import ToolResultCompressor
from specprefill_integrations.tool_results._recaller import Recaller
from tests.unit_tests.serving.running import listening, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FACT = "The treasury holds four hundred ducats."
TEXT = " ".join(["The cat sat on the mat.", "A dog barked at the moon.", FACT] * 8)
QUESTION = "How many ducats are in the treasury?"


def parts_of(**settings: Any) -> dict[str, Any]:
    compressor = ContextCompressor(KeywordScorer())
    originals = InMemoryOriginals()
    defaults: dict[str, Any] = {"min_tokens": 0, "goal_argument": True}
    results = ToolResultCompressor(
        compressor=compressor,
        budget=Budget(max_tokens=40),
        originals=originals,
        **{**defaults, **settings},
    )
    recaller = Recaller(originals=originals, max_tokens=2000, compressor=compressor)
    return {"results": results, "recaller": recaller}


def text_of(result: types.CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, types.TextContent)
    return block.text


def check_cut(text: str) -> str:
    """Check a text that was cut; its reference."""
    assert FACT in text
    assert len(text) < len(TEXT) / 2
    found = re.search(r"reference ([0-9a-f]{12})", text)
    assert found
    return found[1]


class TestTools:
    @pytest.fixture
    def tools(self, tmp_path: Path) -> MCPServer:
        return McpTools(**parts_of(), root=tmp_path).server()

    async def test_a_text_is_shortened_and_recalled(self, tools: MCPServer) -> None:
        async with Client(tools) as client:
            asked = {"text": TEXT, "question": QUESTION, "max_tokens": 40}
            reference = check_cut(text_of(await client.call_tool("compress_text", asked)))
            found = await client.call_tool("recall_original", {"reference": reference})
            assert text_of(found) == TEXT
            part = {"reference": reference, "around": "moon"}
            assert "moon" in text_of(await client.call_tool("recall_original", part))
            gone = await client.call_tool("recall_original", {"reference": "0" * 12})
            assert "not kept" in text_of(gone)

    async def test_a_short_text_comes_back_whole(self, tools: MCPServer) -> None:
        async with Client(tools) as client:
            found = await client.call_tool("compress_text", {"text": TEXT, "question": QUESTION})
        assert text_of(found) == TEXT
        assert found.structured_content is None

    async def test_a_file_is_split_by_its_kind(self, tools: MCPServer, tmp_path: Path) -> None:
        rows = "\n".join(f"{name},{n}" for n, name in enumerate(["name", "cat", "dog"] * 20))
        (tmp_path / "rows.csv").write_text(f"\ufeff{rows}", "utf-8")
        async with Client(tools) as client:
            asked = {"path": "rows.csv", "question": "dog,5", "max_tokens": 60}
            text = text_of(await client.call_tool("compress_file", asked))
        assert text.startswith("name,0\n")
        assert "dog,5" in text
        assert len(text) < len(rows)

    @pytest.mark.parametrize(
        "path", ["../secret", "/etc/passwd", "link", "none", "", ".", "a\0b", "bytes", "a" * 9_000]
    )
    async def test_other_files_are_not_read(
        self, tools: MCPServer, tmp_path: Path, path: str
    ) -> None:
        secret = tmp_path.parent / "secret"
        secret.write_text("secret")
        (tmp_path / "link").symlink_to(secret)
        (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\xd8secret")
        async with Client(tools) as client:
            found = await client.call_tool("compress_file", {"path": path, "question": "?"})
        assert found.is_error
        assert "secret" not in text_of(found).replace(str(tmp_path.parent), "").lower()

    @pytest.mark.parametrize("asked", [{}, {"text": TEXT}, {"text": 7, "question": 7}])
    async def test_wrong_arguments_are_an_error(self, tools: MCPServer, asked: Any) -> None:
        async with Client(tools) as client:
            assert (await client.call_tool("compress_text", asked)).is_error


def wrapped_server() -> MCPServer:
    """A server to wrap; it notes the arguments of its calls."""
    server = MCPServer("wrapped", instructions="Read.", version="7", log_level="ERROR")

    @server.tool()
    def read(path: str) -> dict[str, str]:
        """Read a file."""
        return {"path": path, "text": TEXT}

    @server.tool(structured_output=False)
    def blocks() -> list[Any]:
        """Return several blocks."""
        hidden = types.Annotations(audience=["user"])
        resource = types.TextResourceContents(uri="a://b", text=TEXT)
        return [
            types.TextContent(text=TEXT, annotations=hidden),
            types.TextContent(text=TEXT),
            types.ImageContent(data="AA==", mime_type="image/png"),
            types.EmbeddedResource(resource=resource),
        ]

    @server.tool(structured_output=False)
    def fail() -> str:
        """Fail."""
        raise ValueError(TEXT)

    @server.tool(structured_output=False)
    def search(goal: str) -> str:
        """Search."""
        return f"{goal}: {TEXT}"

    @server.resource("text://a")
    def resource() -> str:
        return TEXT

    @server.prompt()
    def ask(topic: str) -> str:
        return f"About {topic}"

    return server


@asynccontextmanager
async def proxied(**settings: Any) -> AsyncIterator[Client]:
    async with Client(wrapped_server()) as upstream:
        proxy = McpProxy(upstream=upstream, **parts_of(**settings))
        async with Client(proxy.server()) as client:
            yield client


class TestProxy:
    async def test_tools_are_those_of_the_wrapped_server(self) -> None:
        async with Client(wrapped_server()) as plain, proxied() as client:
            before = {tool.name: tool for tool in (await plain.list_tools()).tools}
            after = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert client.instructions == "Read."
        assert list(after) == [*before, "recall_original"]
        for name, tool in before.items():
            assert after[name].description == tool.description
            assert after[name].output_schema is None
            properties = after[name].input_schema["properties"]
            assert properties.keys() == {*tool.input_schema["properties"], "goal"}
            assert after[name].input_schema.get("required") == tool.input_schema.get("required")

    @pytest.mark.parametrize("is_listed", [True, False])
    async def test_a_result_is_shortened_for_the_goal(self, *, is_listed: bool) -> None:
        async with proxied() as client:
            if is_listed:
                await client.list_tools()
            asked = {"path": "a.txt", "goal": QUESTION}
            found = await client.call_tool("read", asked)
            reference = check_cut(text_of(found))
            assert found.structured_content is None
            original = await client.call_tool("recall_original", {"reference": reference})
            assert TEXT in text_of(original)

    async def test_only_texts_for_the_model_change(self) -> None:
        async with proxied() as client:
            found = await client.call_tool("blocks", {"goal": QUESTION})
        hidden, text, image, resource = found.content
        assert isinstance(hidden, types.TextContent)
        assert hidden.text == TEXT
        assert isinstance(image, types.ImageContent)
        assert isinstance(text, types.TextContent)
        assert isinstance(resource, types.EmbeddedResource)
        assert isinstance(resource.resource, types.TextResourceContents)
        assert resource.resource.uri == "a://b"
        assert len(text.text) + len(resource.resource.text) < len(TEXT)
        assert FACT in text.text + resource.resource.text

    async def test_a_tools_own_goal_reaches_it(self) -> None:
        async with proxied(min_tokens=10_000) as client:
            found = await client.call_tool("search", {"goal": "ducats"})
        assert text_of(found) == f"ducats: {TEXT}"

    async def test_excluded_tools_stay_as_they_are(self) -> None:
        async with Client(wrapped_server()) as plain, proxied(exclude_tools=["re*"]) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert "goal" not in listed["read"].input_schema["properties"]
            expected = await plain.call_tool("read", {"path": "a"})
            found = await client.call_tool("read", {"path": "a"})
        assert (found.content, found.structured_content) == (
            expected.content,
            expected.structured_content,
        )

    async def test_errors_stay_errors(self) -> None:
        async with proxied() as client:
            assert (await client.call_tool("fail", {})).is_error
            assert (await client.call_tool("none", {})).is_error

    async def test_what_is_no_tool_is_passed_on(self) -> None:
        async with proxied() as client:
            assert [one.uri for one in (await client.list_resources()).resources] == ["text://a"]
            [content] = (await client.read_resource("text://a")).contents
            assert isinstance(content, types.TextResourceContents)
            assert content.text == TEXT
            assert [one.name for one in (await client.list_prompts()).prompts] == ["ask"]
            prompt = await client.get_prompt("ask", {"topic": "cats"})
            assert isinstance(prompt.messages[0].content, types.TextContent)
            assert prompt.messages[0].content.text == "About cats"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serving(ContextCompressor(KeywordScorer())) as url:
        yield url


def command(service: str, *words: str) -> StdioServerParameters:
    root = str(Path(__file__).parents[3])
    shared = ["--service", service, "--max-tokens", "40", "--min-tokens", "0"]
    return StdioServerParameters(
        command=sys.executable,
        args=[
            "-c",
            "from specprefill_integrations.cli import main; main()",
            "mcp",
            *shared,
            *words,
        ],
        env={"PYTHONPATH": root},
    )


SCRIPT = "from tests.unit_tests.serving.test_mcp import wrapped_server; wrapped_server().run()"


class TestCommand:
    """`specprefill mcp`, as a client starts it."""

    async def test_the_tools(self, service: str, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text(TEXT)
        async with Client(command(service, "--root", str(tmp_path))) as client:
            asked = {"path": "a.txt", "question": QUESTION, "max_tokens": 40}
            check_cut(text_of(await client.call_tool("compress_file", asked)))

    async def test_a_wrapped_command(self, service: str) -> None:
        words = ["--", sys.executable, "-c", SCRIPT]
        async with Client(command(service, *words)) as client:
            asked = {"path": "a.txt", "goal": QUESTION}
            check_cut(text_of(await client.call_tool("read", asked)))

    async def test_without_a_folder_there_is_no_tool_for_files(self, service: str) -> None:
        async with Client(command(service)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"compress_text", "recall_original"}

    async def test_a_wrapped_command_gets_no_secrets(self, service: str) -> None:
        secrets = ["SPECPREFILL_API_KEY", "SPECPREFILL_API_KEYS", "SPECPREFILL_MCP_AUTHORIZATION"]
        script = f"import os; assert not {secrets!r} & os.environ.keys(); assert os.environ['A']; "
        script = script.replace("[", "{", 1).replace("]", "}", 1)
        parameters = command(service, "--", sys.executable, "-c", script + SCRIPT)
        parameters.env = {**(parameters.env or {}), "A": "a", **dict.fromkeys(secrets, "secret-a")}
        async with Client(parameters) as client:
            assert (await client.list_tools()).tools

    async def test_a_wrapped_address(self, service: str) -> None:
        with listening(wrapped_server().streamable_http_app()) as url:
            async with Client(command(service, "--url", f"{url}/mcp")) as client:
                asked = {"path": "a.txt", "goal": QUESTION}
                check_cut(text_of(await client.call_tool("read", asked)))

    async def test_over_http(self, service: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = ["--port", str(port), "--", sys.executable, "-c", SCRIPT]
        asked = {"path": "a.txt", "goal": QUESTION}
        parameters = command(service, *words)
        process = await asyncio.create_subprocess_exec(
            parameters.command, *parameters.args, env={**os.environ, **(parameters.env or {})}
        )
        try:
            await until_open(port, process)
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                check_cut(text_of(await client.call_tool("read", asked)))
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)


async def until_open(port: int, process: asyncio.subprocess.Process) -> None:
    for _ in range(600):
        assert process.returncode is None
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    pytest.fail("it does not listen")
