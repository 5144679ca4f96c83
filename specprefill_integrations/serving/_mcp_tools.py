"""A server of the Model Context Protocol whose tools compress texts and files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.originals._recall import AROUND_HELP, RECALL_HELP, REFERENCE_HELP
from specprefill_integrations.tool_results import ToolRequest, ToolResult, ToolResultCompressor
from specprefill_integrations.tool_results._recaller import Recaller
from specprefill_integrations.types import Budget

RECALL_TOOL = "recall_original"
"""The name of the tool that recalls originals, as in the integrations."""

_MAX_FILE_BYTES = 8 * 1024 * 1024

_TEXT_HELP = (
    "Shorten a long text to the parts that a question needs, word for word. Gaps are marked; some "
    "name a reference, with which recall_original returns the whole text."
)
_FILE_HELP = (
    "Read a text file and return the parts that a question needs, word for word, in place of the "
    "whole file. Gaps are marked; some name a reference, with which recall_original returns the "
    "whole text."
)
_Question = Annotated[
    str, Field(description="What you need from the text, with the names and numbers that matter.")
]
_MaxTokens = Annotated[int, Field(gt=0, description="Most tokens to return.")]
_Path = Annotated[str, Field(description="The file, in the folder that this server may read.")]
_Reference = Annotated[str, Field(description=REFERENCE_HELP)]
_Around = Annotated[str, Field(description=AROUND_HELP)]


@dataclass(frozen=True, slots=True, kw_only=True)
class McpTools:
    """The tools."""

    results: ToolResultCompressor
    """Compresses; its budget is replaced by what a call asks for."""

    recaller: Recaller
    """Recalls originals."""

    root: Path | None
    """The folder whose files may be read; None: there is no tool for files."""

    def server(self) -> MCPServer:
        """Build the server."""
        server = MCPServer(
            "specprefill", version=version("specprefill-integrations"), log_level="WARNING"
        )
        for tool, help_ in (
            (self.compress_text, _TEXT_HELP),
            (self.compress_file, _FILE_HELP),
            (self.recall_original, RECALL_HELP),
        ):
            if tool != self.compress_file or self.root is not None:
                server.add_tool(tool, description=help_, structured_output=False)
        return server

    async def compress_text(
        self, text: str, question: _Question, max_tokens: _MaxTokens = 1000
    ) -> str:
        """Return what is kept of a text."""
        return await self._compress(text, question, max_tokens)

    async def compress_file(
        self, path: _Path, question: _Question, max_tokens: _MaxTokens = 1000
    ) -> str:
        """Return what is kept of a file.

        Raises:
            ToolError: The file cannot be read, or may not.
        """
        assert self.root is not None
        root = self.root.resolve()
        text = await run_in_thread(lambda: _read(root, path))
        return await self._compress(text, question, max_tokens, path)

    async def recall_original(self, reference: _Reference, around: _Around = "") -> str:
        """Return an original, or a part of it."""
        return await self.recaller.aanswer(reference, around)

    async def _compress(
        self, text: str, question: str, max_tokens: int, path: str | None = None
    ) -> str:
        # Under this name, the kind of a text is found by the name of its file.
        arguments = {} if path is None else {"path": path}
        request = ToolRequest(arguments=arguments, goal=question)
        results = replace(self.results, budget=Budget(max_tokens=max_tokens), min_tokens=0)
        result = ToolResult(texts=[text], find_request=lambda: request)
        [kept] = (await results.acompress(result)).texts
        return kept or ""


def _read(root: Path, path: str) -> str:
    try:
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            msg = f"This server reads files in {root} only."
            raise ToolError(msg)
        with file.open("rb") as opened:
            data = opened.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            msg = f"The file has more than {_MAX_FILE_BYTES} bytes."
            raise ToolError(msg)
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # also a path that no file can have
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else type(error).__name__
        msg = f"The file cannot be read: {reason}."
        raise ToolError(msg) from error
