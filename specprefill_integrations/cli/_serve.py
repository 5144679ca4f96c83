"""`specprefill serve`: compression as a service over HTTP."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

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
    USAGE_ERROR,
    clear_errors,
    fail,
    new_app,
    printable,
    quiet_libraries,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.serving import ApiKeys, TenantOriginals  # need no extra
from specprefill_integrations.serving._api_keys import KEYS, given_keys
from specprefill_integrations.serving._limits import limits_of

app = new_app()


@app.command()
def serve(  # noqa: PLR0913 - one parameter per option
    *,
    local: Annotated[
        bool, typer.Option("--local", help="One draft in this process, without Ray.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = 8000,
    keys_file: Annotated[
        Path | None,
        typer.Option(help="File with a TENANT:KEY per line; read again when it changes."),
    ] = None,
    originals: Annotated[
        Path | None,
        typer.Option(help="Folder for originals that callers ask to keep. Default: none are kept."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="A limit of ServiceLimits, such as max_tokens=100000."
        ),
    ] = None,
    max_replicas: Annotated[
        int, typer.Option(min=1, help="With Ray: most processes with a draft; one at first.")
    ] = 1,
    gpus: Annotated[
        float, typer.Option(min=0, help="With Ray: GPUs of a process, such as 0.5.")
    ] = 0.0,
    draft: Draft = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Serve compression over HTTP: with Ray Serve on this machine, or in this process.

    Keys of callers come from SPECPREFILL_API_KEYS, comma-separated, and --keys-file. Without keys,
    everybody on this machine may call, and no other address can be listened on.
    """
    check_revision(draft, revision)
    limits = _limits(limit or [])
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        keys = _keys(keys_file)
        if keys is None and not _is_of_this_machine(host):
            fail(f"--host {host} needs keys: set {KEYS} or give --keys-file", USAGE_ERROR)
        port = port or free_port(host)
        if not quiet:
            name = f"[{host}]" if ":" in host else host
            typer.echo(printable(f"Serving on http://{name}:{port}"), err=True)
        if not local:
            options = {
                "draft": draft,
                "revision": revision,
                "device": device,
                "dtype": dtype,
                "keys_file": keys_file and keys_file.resolve(),
                "needs_keys": keys is not None,
                "originals": originals and originals.resolve(),
                "max_replicas": max_replicas,
                "gpus": gpus,
                "limits": limits,
            }
            _run_on_ray(options, host, port, quiet=quiet)
            return
        # Imported here and below, so that `--help` is quick and needs no extra.
        from specprefill_integrations.serving import build_app  # noqa: PLC0415
        from specprefill_integrations.serving._server import server_of  # noqa: PLC0415

        service = build_app(
            ContextCompressor.from_draft_model(
                draft, device=device, dtype=dtype, revision=revision
            ),
            api_keys=keys,
            limits=limits_of(limits),
            originals=None if originals is None else TenantOriginals(originals),
        )
        server_of(service, host=host, port=port).run()


def _run_on_ray(options: Mapping[str, object], host: str, port: int, *, quiet: bool) -> None:
    try:
        from specprefill_integrations.serving._ray_app import (  # noqa: PLC0415
            RaySettings,
            run_on_ray,
        )
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        fail(f"{MissingDependencyError('ray', 'ray')} Or serve with --local, without Ray.")
    settings = RaySettings.model_validate(options)
    with ExitStack() as starting:
        starting.enter_context(working("starting Ray and loading the draft", quiet=quiet))
        run_on_ray(settings, host=host, port=port, on_ready=starting.close)


def _limits(written: Sequence[str]) -> dict[str, float]:
    """Parse `--limit`."""
    limits = {}
    try:
        for one in written:
            name, _, number = one.partition("=")
            limits[name] = float(number)
        limits_of(limits)
    except ValueError as error:
        fail(f"--limit: {error}", USAGE_ERROR)
    return limits


def _keys(file: Path | None) -> ApiKeys | None:
    try:
        return given_keys(file)
    except (OSError, ValueError) as error:
        fail(f"--keys-file or {KEYS}: {error}", USAGE_ERROR)


def free_port(host: str) -> int:
    """Return a port on which nobody listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def _is_of_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
