"""Results of MCP tools, which LlamaIndex writes as Python does, of both major versions of `mcp`."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.tools import FunctionTool

from specprefill_integrations import Budget
from specprefill_integrations.llama_index import compress_tool
from specprefill_integrations.llama_index._tool_output import opened

RAIN = "Rain fell on the hills. " * 30
EVIDENCE = "The dog barked at noon."
LONG = f"{RAIN}{EVIDENCE} {RAIN}"
PICTURE = b"a picture"
TEXT = SimpleNamespace(type="text", text=LONG)
LOADED = SimpleNamespace(type="resource", resource=SimpleNamespace(text=LONG))
IMAGE = SimpleNamespace(
    type="image", data=base64.b64encode(PICTURE).decode(), mime_type="image/png"
)
OLD_IMAGE = SimpleNamespace(type="image", data=IMAGE.data, mimeType="image/png")
LINK = SimpleNamespace(type="resource_link", uri="https://example.org/dog", name="dog")


class CallToolResult(SimpleNamespace):
    """As `mcp` has it."""


CallToolResult.__module__ = "mcp.types"


@pytest.fixture
def call(compressor):
    """Calls a compressed tool that returns parts of an MCP result."""

    def call(*parts: Any, exclude_tools: Any = (), **fields: Any) -> Any:
        def ask() -> Any:
            """Ask."""
            return CallToolResult(content=list(parts), **fields)

        tool = compress_tool(
            FunctionTool.from_defaults(ask),
            compressor=compressor,
            budget=Budget(max_tokens=40),
            min_tokens=50,
            query="When did the dog bark?",
            exclude_tools=exclude_tools,
        )
        return tool.call()

    return call


def is_whole(output: Any) -> bool:
    return bool(output.content == str(output.raw_output))


@pytest.mark.parametrize("part", [TEXT, LOADED], ids=["text", "resource"])
def test_the_text_itself_is_compressed(call, part) -> None:
    output = call(part, structured_content={"result": LONG})
    assert output.content == f"Rain fell on the hills. [...] {EVIDENCE} [...]"
    assert output.raw_output.content == [part]


@pytest.mark.parametrize("image", [IMAGE, OLD_IMAGE], ids=["2", "1"])
def test_an_image_is_shown_as_one(call, image) -> None:
    before, shown, after = call(TEXT, image, TEXT).blocks
    assert (shown.block_type, shown.image_mimetype) == ("image", "image/png")
    assert shown.resolve_image().read() == PICTURE
    assert EVIDENCE in before.text + after.text


@pytest.mark.parametrize("field", ["is_error", "isError"])
def test_a_failure_is_one(call, field) -> None:
    """Short ones stay, long ones remain failures."""
    assert is_whole(call(TEXT, **{field: True}))
    long = SimpleNamespace(type="text", text=LONG * 20)
    output = call(long, **{field: True})
    assert output.is_error
    assert EVIDENCE in output.content
    assert len(output.content) < len(LONG)


def test_what_is_not_compressed_stays_as_llama_index_writes_it(call) -> None:
    assert is_whole(call(SimpleNamespace(type="text", text="Short.")))
    assert is_whole(call(TEXT, exclude_tools=["ask"]))
    assert is_whole(call())


def test_a_part_of_another_type_is_written_as_llama_index_does(call) -> None:
    whole = call(LINK, SimpleNamespace(type="text", text="Short."))
    assert [block.text for block in opened(whole).blocks] == [str(LINK), "Short."]
