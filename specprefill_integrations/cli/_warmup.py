"""`specprefill warmup`: fetch, convert and load the draft before it is needed."""

from __future__ import annotations

from time import perf_counter

import typer

from specprefill_integrations.cli._checkup import is_prepared
from specprefill_integrations.cli._options import (
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
    clear_errors,
    new_app,
    printable,
    quiet_libraries,
)

app = new_app()


@app.command()
def warmup(  # noqa: PLR0913 - one parameter per option
    *,
    draft: Draft = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fetch, convert and load the draft, so that the first compression need not wait for it.

    What takes long is done once for all processes: a second run says that the draft is ready.
    """
    check_revision(draft, revision)
    started = perf_counter()
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        # Imported here, so that `--help` is quick.
        from specprefill_integrations.scoring import DraftModel  # noqa: PLC0415

        model = DraftModel.from_source(draft, device=device, dtype=dtype, revision=revision)
        was_ready = is_prepared(draft, revision)
        doing = "loading" if was_ready else "preparing"
        with working(f"{doing} {model.name}", quiet=quiet):
            model.load()
    seconds = perf_counter() - started
    done = "was ready" if was_ready else "is ready"
    if not quiet:
        typer.echo(printable(f"{model.name} {done}: loaded on {model.device} in {seconds:.1f} s"))
