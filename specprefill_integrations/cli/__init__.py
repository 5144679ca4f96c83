"""Command line `specprefill`; each command is imported when it runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

from specprefill_integrations import __version__
from specprefill_integrations._progress_line import no_progress_line
from specprefill_integrations.errors import MissingDependencyError

try:
    import typer
except ImportError as error:
    _MISSING: MissingDependencyError | None = MissingDependencyError(error.name or "typer", "cli")
else:
    _MISSING = None

__all__ = ["build_app", "main"]

_INTERRUPTED = 130
"""Exit code after Ctrl-C, as in a shell."""

COMMANDS: dict[str, tuple[str, str]] = {
    "compress": ("_compress", "Compress files to the parts that a question needs."),
    "evaluate": ("_evaluate", "Measure compression: evidence, answers, time and cost."),
    "calibrate": ("_calibrate", "Fit a readout to a draft model."),
    "warmup": ("_warmup", "Fetch, convert and load the draft."),
    "doctor": ("_doctor", "Check that compression works here."),
    "serve": ("_serve", "Serve compression over HTTP."),
    "playground": ("_playground", "Try compression on a local page."),
    "load-test": ("_load_test", "Measure a service under load."),
    "mcp": ("_mcp", "Compress for agents that speak MCP; wrap other MCP servers."),
    "bench": ("_bench", "Measure what scoring costs."),
}
"""Module and help line of each command, in the order of `--help`. The module holds a Typer
application `app`."""


def main() -> None:
    """Run the command line."""
    if _MISSING is not None:
        sys.exit(f"error: {_MISSING}")
    try:
        build_app()()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            # Without waiting for threads that still read or call a model.
            os._exit(_INTERRUPTED)
        raise


def build_app() -> typer.Typer:
    """Build the application without importing its commands."""
    from specprefill_integrations.cli._terminal import new_app  # noqa: PLC0415 - needs typer

    app = new_app(is_group=True)
    app.callback()(_common)
    forwarded = {
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
    }
    for name, (_, help_line) in COMMANDS.items():
        app.command(name, help=help_line, add_help_option=False, context_settings=dict(forwarded))(
            _forward
        )
    return app


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(f"specprefill {__version__}")
        raise typer.Exit


def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Prompt compression by the attention of a small draft model."""
    del version


def _forward(context: typer.Context) -> None:
    """Run a command with the arguments as typed."""
    module, _ = COMMANDS[str(context.info_name)]
    app: typer.Typer = import_module(f"{__name__}.{module}").app
    with no_progress_line():  # commands show their own
        app(args=context.args, prog_name=context.command_path)
