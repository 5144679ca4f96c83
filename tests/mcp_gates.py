"""An MCP server for tests, for both major versions of `mcp`; run as a script, it speaks stdio."""

from __future__ import annotations

try:
    from mcp.server import MCPServer as Server
    from mcp.server.mcpserver import Image
except ImportError:  # before 2.0
    from mcp.server.fastmcp import FastMCP as Server
    from mcp.server.fastmcp import Image

ERROR = "2024-05-01 12:06:00 ERROR lost gate 7"
LOG = "\n".join([*(f"2024-05-01 12:00:00 INFO gate {n} is open" for n in range(100)), ERROR])
PICTURE = b"a picture of gate 7"

server = Server("gates", log_level="CRITICAL")


@server.tool()
def read_log(name: str = "gates.log") -> str:
    """Read a log."""
    return LOG


@server.tool()
def show_gate() -> list:
    """Show a log, a picture and a log."""
    return [LOG, Image(data=PICTURE, format="png"), LOG]


@server.tool()
def open_gate() -> str:
    """Fail to open a gate."""
    msg = "The gate is stuck."
    raise ValueError(msg)


if __name__ == "__main__":
    server.run()
