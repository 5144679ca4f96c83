"""`specprefill doctor`: check that compression works here, and say what to do if not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.text import Text

from specprefill_integrations.cli._checkup import Finding, check_up
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    Quiet,
    Revision,
    check_revision,
)
from specprefill_integrations.cli._progress import working
from specprefill_integrations.cli._terminal import (
    FAILURE,
    clear_errors,
    new_app,
    printable,
    quiet_libraries,
)

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}

app = new_app()


@app.command()
def doctor(  # noqa: PLR0913 - one parameter per option
    *,
    draft: Draft = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check that compression works here: packages, draft, cache, memory, a short compression.

    The exit code is 0 only if a text was compressed.
    """
    check_revision(draft, revision)
    with clear_errors(debug=debug):
        found: list[Finding] = []
        with quiet_libraries(debug=debug), working("checking", quiet=quiet):
            found += check_up(draft, device=device, dtype=dtype, revision=revision)
        works = not any(one.result == "failed" for one in found)
        if as_json:
            checks = [asdict(one) for one in found]
            typer.echo(json.dumps({"works": works, "checks": checks}, indent=2))
        else:
            _print(found, works=works)
    if not works:
        raise typer.Exit(FAILURE)


def _print(found: Sequence[Finding], *, works: bool) -> None:
    console = Console(highlight=False)
    for one in found:
        line = Text.assemble((f"{one.result:8}", _STYLES[one.result]), f" {one.name:12} ")
        line.append(printable(one.told))
        if one.cure:
            line.append(f"\n{'':22}")
            line.append(printable(one.cure), style="bold")
        console.print(line, soft_wrap=True)
    console.print("Compression works." if works else "Compression does not work.")
