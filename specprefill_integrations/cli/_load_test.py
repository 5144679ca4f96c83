"""`specprefill load-test`: measure a service under load, and what a number of requests needs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

from specprefill_integrations.cli._options import AsJson, Debug, Device, Draft, Dtype, Quiet
from specprefill_integrations.cli._progress import working
from specprefill_integrations.cli._serve import free_port
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    new_app,
    quiet_libraries,
    stderr_console,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.serving._api_keys import CALLERS_KEY

if TYPE_CHECKING:
    from specprefill_integrations.serving._load_test import LoadResult

_START_SECONDS = 180.0

app = new_app()


@app.command()
def load_test(  # noqa: PLR0913 - one parameter per option
    *,
    url: Annotated[
        str | None, typer.Option(help="Service. Default: one is started in a process of its own.")
    ] = None,
    clients: Annotated[str, typer.Option(help="Numbers of clients.")] = "1,8,64,256",
    calls: Annotated[
        int,
        typer.Option(min=1, help="Calls for each number of clients; at least one of each client."),
    ] = 500,
    requests_per_day: Annotated[
        float, typer.Option(min=1, help="Requests for which replicas are computed.")
    ] = 1e6,
    as_json: AsJson = False,
    draft: Draft = None,
    device: Device = None,
    dtype: Dtype = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a service under load.

    Without --url, the same draft is measured in this process, too, one after the other.
    """
    numbers = _numbers(clients)
    inside: list[LoadResult] = []
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        if url is None:
            compressor = ContextCompressor.from_draft_model(draft, device=device, dtype=dtype)
            options = [*_options(draft, device, dtype), *_admitting(max(numbers))]
            with _started(options, quiet=quiet) as address:
                found, inside = _measure(address, numbers, calls, compressor, quiet=quiet)
        else:
            found, _ = _measure(url, numbers, calls, None, quiet=quiet)
    if not all(one.calls_per_second for one in (*found, *inside)):
        fail("no text was shortened")
    rows = [
        {
            **asdict(one),
            "calls_per_second": one.calls_per_second,
            "inside_calls_per_second": None if own is None else own.calls_per_second,
            "inside_cpu_seconds": None if own is None else own.cpu_seconds,
        }
        for one, own in zip_longest(found, inside)
    ]
    replicas = _replicas(found, requests_per_day)
    if as_json:
        typer.echo(json.dumps({"results": rows, "replicas": replicas}))
        return
    typer.echo(_table(found, inside))
    typer.echo(
        f"\n{requests_per_day:,.0f} requests a day need {replicas} such replicas at their peak."
    )


def _numbers(written: str) -> list[int]:
    try:
        numbers = [int(one) for one in written.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        fail(f"--clients takes numbers such as 1,8,64; got {written!r}", USAGE_ERROR)
    return numbers


def _measure(
    url: str, numbers: list[int], calls: int, compressor: ContextCompressor | None, *, quiet: bool
) -> tuple[list[LoadResult], list[LoadResult]]:
    """Measure a service; and a compressor in turns with it, so that both meet the same machine."""
    # Imported here and below, so that `--help` is quick and needs no extra.
    from specprefill_integrations.serving._load_test import (  # noqa: PLC0415
        load_compressor,
        load_service,
    )

    key = os.environ.get(CALLERS_KEY)
    found, inside = [], []
    first = secrets.randbelow(10**12)  # new texts, also for a service that was measured before
    for clients, least in ((1, 4), *((number, calls) for number in numbers)):  # the first warms up
        count = max(least, clients)
        if not quiet:
            stderr_console().print(f"{count} calls of {clients} clients")
        found.append(
            asyncio.run(load_service(url, api_key=key, calls=count, clients=clients, first=first))
        )
        if compressor is not None:
            loading = load_compressor(compressor, calls=count, clients=clients, first=first)
            inside.append(asyncio.run(loading))
        first += count
    return found[1:], inside[1:]


def _replicas(found: list[LoadResult], requests_per_day: float) -> int:
    from specprefill_integrations.serving._load_test import replicas_for  # noqa: PLC0415

    return replicas_for(requests_per_day, max(one.calls_per_second for one in found))


def _options(draft: str | None, device: str | None, dtype: str | None) -> list[str]:
    given = {"--draft": draft, "--device": device, "--dtype": dtype}
    return [word for name, value in given.items() if value for word in (name, value)]


def _admitting(clients: int) -> list[str]:
    """Return the options of a service that refuses none of so many clients."""
    return [
        word
        for name in ("max_calls", "max_calls_per_tenant")
        for word in ("--limit", f"{name}={clients}")
    ]


@contextmanager
def _started(options: list[str], *, quiet: bool) -> Iterator[str]:
    """Start a service on this machine, and return its address."""
    import httpx  # noqa: PLC0415

    port = free_port("127.0.0.1")
    code = "from specprefill_integrations.cli import main; main()"
    words = ["serve", "--local", "--quiet", "--port", str(port), *options]
    process = subprocess.Popen([sys.executable, "-c", code, *words])  # noqa: S603 - Python itself
    url = f"http://127.0.0.1:{port}"
    try:
        with working("starting the service", quiet=quiet):
            ends_at = time.monotonic() + _START_SECONDS
            while True:
                try:
                    if httpx.get(f"{url}/readyz", timeout=10).is_success:
                        break
                except httpx.TransportError:
                    time.sleep(0.2)
                if process.poll() is not None or time.monotonic() > ends_at:
                    fail("the service did not start")
        yield url
    finally:
        process.terminate()
        process.wait()


def _table(found: list[LoadResult], inside: list[LoadResult]) -> str:
    head = ["clients", "calls/s", "in process", "share", "CPU/call", "in process"]
    head += ["p50", "p95", "p99", "whole", "lost", "crossed", "memory"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for one, other in zip_longest(found, inside):
        own = None if other is None else other.calls_per_second
        cells = [
            str(one.clients),
            f"{one.calls_per_second:.1f}",
            "" if own is None else f"{own:.1f}",
            "" if own is None else f"{one.calls_per_second / own:.2f}",
            _cpu(one),
            _cpu(other),
            *(f"{1000 * s:.0f} ms" for s in (one.p50_seconds, one.p95_seconds, one.p99_seconds)),
            str(one.whole),
            str(one.lost),
            str(one.crossed),
            "" if one.memory_bytes is None else f"{one.memory_bytes / 2**20:.0f} MB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cpu(found: LoadResult | None) -> str:
    if found is None or found.cpu_seconds is None:
        return ""
    return f"{1000 * found.cpu_seconds / found.calls:.0f} ms"
