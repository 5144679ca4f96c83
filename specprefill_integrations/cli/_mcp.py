"""`specprefill mcp`: tools that compress, or another server's tools with shorter results."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specprefill_integrations.cli._options import (
    Debug,
    Device,
    Draft,
    Dtype,
    KeepFraction,
    Quiet,
    check_max_tokens,
)
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    new_app,
    quiet_libraries,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.originals import InMemoryOriginals, OriginalStore, SqliteOriginals
from specprefill_integrations.serving._api_keys import CALLERS_KEY, KEYS
from specprefill_integrations.tool_results import ToolResultCompressor
from specprefill_integrations.tool_results._recaller import Recaller
from specprefill_integrations.types import Budget

if TYPE_CHECKING:
    from mcp import StdioServerParameters
    from mcp.client import Transport

AUTHORIZATION = "SPECPREFILL_MCP_AUTHORIZATION"
"""The environment variable with the header `Authorization` for the server at `--url`."""

_SECRETS = frozenset({AUTHORIZATION, CALLERS_KEY, KEYS})

_KEEP = 0.3
_RECALLED_TOKENS = 2000
_HOST = "127.0.0.1"

app = new_app()


@app.command()
def mcp(  # noqa: PLR0913 - one parameter per option
    command: Annotated[
        list[str] | None,
        typer.Argument(help="Server to wrap: its command and arguments, after --."),
    ] = None,
    *,
    url: Annotated[str | None, typer.Option(help="Server to wrap: its address.")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Serve over HTTP on this machine, not on standard input."
        ),
    ] = None,
    keep: KeepFraction = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(callback=check_max_tokens, help="Most tokens of a result. Default: --keep."),
    ] = None,
    min_tokens: Annotated[
        int, typer.Option(min=0, help="Results of fewer tokens stay as they are.")
    ] = 500,
    exclude_tool: Annotated[
        list[str] | None,
        typer.Option(help="Name or glob of a tool whose results stay as they are."),
    ] = None,
    goal: Annotated[
        bool, typer.Option(help="Offer the model an argument that says what it looks for.")
    ] = True,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose files compress_file may read. Default: there is no such tool.",
            file_okay=False,
        ),
    ] = None,
    originals: Annotated[
        Path | None, typer.Option(help="SQLite file for originals. Default: in memory.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Address of a scoring service in place of a draft here.")
    ] = None,
    draft: Draft = None,
    device: Device = None,
    dtype: Dtype = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compress for agents that speak the Model Context Protocol.

    Without a server to wrap, the tools are compress_text, compress_file and recall_original; the
    second needs --root.
    Otherwise they are those of that server, with shorter results, and recall_original.
    """
    if command and url:
        fail("give either a command or --url", USAGE_ERROR)
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        compressor = (
            ContextCompressor.from_draft_model(draft, device=device, dtype=dtype)
            if service is None
            else ContextCompressor.from_service(service, api_key=os.environ.get(CALLERS_KEY))
        )
        store = InMemoryOriginals() if originals is None else SqliteOriginals(originals)
        fraction = keep if keep or max_tokens else _KEEP
        results = ToolResultCompressor(
            compressor=compressor,
            budget=Budget(keep_fraction=fraction, max_tokens=max_tokens),
            min_tokens=min_tokens,
            exclude_tools=exclude_tool or [],
            goal_argument=goal,
            originals=store,
        )
        try:
            target = _target(command, url)
            if port is not None and not quiet:
                typer.echo(f"Serving on http://{_HOST}:{port}/mcp", err=True)
            asyncio.run(_serve(target, results, store, root, port))
        except ModuleNotFoundError as error:
            if error.name not in {"mcp", "mcp_types", "httpx2"}:
                raise
            raise MissingDependencyError(error.name, "mcp") from error


def _target(command: list[str] | None, url: str | None) -> StdioServerParameters | Transport | None:
    """Return the server to wrap; None for none."""
    from mcp import StdioServerParameters  # noqa: PLC0415 - `--help` is quick and needs no extra

    if command:
        # What is secret here is none of that server's business.
        env = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        return StdioServerParameters(command=command[0], args=command[1:], env=env)
    if url is None:
        return None
    import httpx2  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    authorization = os.environ.get(AUTHORIZATION)
    headers = {} if authorization is None else {"Authorization": authorization}
    client = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300))
    return streamable_http_client(url, http_client=client)


async def _serve(
    target: StdioServerParameters | Transport | None,
    results: ToolResultCompressor,
    store: OriginalStore,
    root: Path | None,
    port: int | None,
) -> None:
    from mcp import Client  # noqa: PLC0415

    from specprefill_integrations.serving._mcp_proxy import McpProxy  # noqa: PLC0415
    from specprefill_integrations.serving._mcp_tools import McpTools  # noqa: PLC0415

    recaller = Recaller(originals=store, max_tokens=_RECALLED_TOKENS, compressor=results.compressor)
    if target is None:
        await _run(McpTools(results=results, recaller=recaller, root=root).server(), port)
        return
    async with Client(target) as upstream:
        proxy = McpProxy(upstream=upstream, results=results, recaller=recaller)
        await _run(proxy.server(), port)


async def _run(server: Any, port: int | None) -> None:  # noqa: ANN401 - of mcp, two classes
    from mcp.server.stdio import stdio_server  # noqa: PLC0415

    from specprefill_integrations.serving._server import server_of  # noqa: PLC0415

    if port is not None:
        await server_of(server.streamable_http_app(), host=_HOST, port=port).serve()
        return
    # mcp takes the process's own standard output for itself, and sends prints elsewhere.
    with redirect_stdout(sys.__stdout__):
        if hasattr(server, "run_stdio_async"):
            await server.run_stdio_async()
            return
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
