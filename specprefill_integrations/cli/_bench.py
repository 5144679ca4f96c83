"""`specprefill bench`: measure what scoring costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from specprefill_integrations import bench as benchmarks
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    Prefilter,
    Quiet,
    Scorer,
    WindowTokens,
)
from specprefill_integrations.cli._progress import working
from specprefill_integrations.cli._terminal import USAGE_ERROR, clear_errors, fail, new_app
from specprefill_integrations.evaluation._machine import describe_machine

_TOKENS = 2_500
_HOST_TOKENS = 250_000

# A tool result or a few passages.
_CALLERS_CHARS = 2_000

_LEAST_DECIMAL = 0.001

app = new_app()


@app.command()
def bench(  # noqa: PLR0913 - one parameter per option
    *,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="Tokens of the text: 2,500, with --host about 250,000, with --gpu 8,000, 128,000 "
            "and 1,000,000.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs; medians are printed.")] = 5,
    draft: Draft = None,
    scorer: Scorer = "readout",
    device: Device = None,
    dtype: Dtype = None,
    window_tokens: WindowTokens = None,
    prefilter: Prefilter = None,
    memory_only: Annotated[
        bool, typer.Option("--memory-only", help="Score once, and measure the memory it takes.")
    ] = False,
    cold_start: Annotated[
        bool,
        typer.Option(
            "--cold-start", help="Measure new processes instead, from start to first score."
        ),
    ] = False,
    second_question: Annotated[
        bool,
        typer.Option(
            "--second-question", help="Measure another question about a text that was read instead."
        ),
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, metavar="CALLERS", help="Measure concurrent callers instead."),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="Time limit per call of --concurrency."),
    ] = None,
    splitting: Annotated[
        bool,
        typer.Option("--splitting", help="Measure the splitting of one megabyte of each kind."),
    ] = False,
    host: Annotated[
        bool,
        typer.Option(
            "--host",
            help="Measure everything but the forward pass instead, stage by stage: prose, "
            "markdown, JSON, code and logs, compressed to a quarter.",
        ),
    ] = False,
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="Measure a GPU instead, with random weights: whole compressions, scoring and the "
            "forward pass alone, of several drafts and lengths. Exit 1 without a GPU.",
        ),
    ] = False,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Draft of --gpu: smollm2-135m, qwen2.5-0.5b, qwen2.5-1.5b or tiny; may be "
            "repeated. By default all but the last.",
        ),
    ] = None,
    faults: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="CALLS",
            help="Make concurrent calls of a scorer with faults instead, without a draft; exit 1 "
            "if one is lost or gets another's scores.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure what scoring costs, compared with a plain forward pass of the draft."""
    if deadline is not None and concurrency is None:
        fail("--deadline goes with --concurrency", USAGE_ERROR)
    is_sound = True
    with clear_errors(debug=debug), working("measuring", quiet=quiet):
        if cold_start:
            found: dict[str, object] = {**benchmarks.measure_cold_start(repeats)}
        elif host:
            found = _host(tokens or _HOST_TOKENS, repeats, draft)
        elif gpu:
            found = _gpu(tokens, repeats, shape, device, dtype)
        elif faults is not None:
            under_faults = benchmarks.measure_faults(calls=faults)
            found, is_sound = asdict(under_faults), under_faults.is_sound
        else:
            passes = benchmarks.prepare_passes(
                tokens=tokens or _TOKENS,
                draft=draft,
                scorer=scorer,
                device=device,
                dtype=dtype,
                window_tokens=window_tokens,
                prefilter=prefilter,
            )
            found = {
                "draft": passes.draft.name,
                "scorer": scorer,
                **describe_machine(passes.draft),
            }
            if concurrency is not None:
                measured = benchmarks.measure_concurrency(
                    passes.scorer,
                    benchmarks.concurrent_requests(2 * concurrency, _CALLERS_CHARS),
                    callers=concurrency,
                    repeats=repeats,
                    deadline_seconds=deadline,
                )
                found |= asdict(measured)
            elif second_question:
                again = benchmarks.measure_second_question(passes, repeats)
                found |= {"tokens": passes.tokens, **asdict(again)}
            elif splitting:
                speed = benchmarks.measure_times(passes, repeats).tokens_per_second
                found |= {"tokens_per_second": speed, "splitting": _splitting(speed, repeats)}
            else:
                memory = benchmarks.measure_memory(passes)
                found |= {"tokens": passes.tokens, **asdict(memory)}
                found |= {} if memory_only else asdict(benchmarks.measure_times(passes, repeats))
    _print(found, as_json=as_json)
    if not is_sound:
        fail("calls were lost, answered twice, or got the scores of others")


def _print(found: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(show_header=False)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), _format(value))
    Console().print(table)


def _splitting(tokens_per_second: float, repeats: int) -> dict[str, dict[str, float]]:
    results = benchmarks.measure_splitting(tokens_per_second=tokens_per_second, repeats=repeats)
    return {
        result.kind: {
            "seconds_per_megabyte": result.split_seconds * 1_000_000 / result.chars,
            "share_of_scoring": result.share_of_scoring,
        }
        for result in results
    }


def _host(tokens: int, repeats: int, draft: str | None) -> dict[str, object]:
    results = benchmarks.measure_host(tokens=tokens, repeats=repeats, draft=draft)
    return {
        result.kind: {
            "tokens": result.tokens,
            "tokens_per_second": result.tokens_per_second,
            **{f"{name}_seconds": spent for name, spent in asdict(result.seconds).items()},
            "exponent": result.exponent,
        }
        for result in results
    }


def _gpu(
    tokens: int | None,
    repeats: int,
    shapes: list[str] | None,
    device: str | None,
    dtype: str | None,
) -> dict[str, object]:
    options: dict[str, Any] = {"shapes": shapes} if shapes else {}
    options |= {"lengths": [tokens]} if tokens else {}
    results = benchmarks.measure_gpu(repeats=repeats, device=device, dtype=dtype, **options)
    found: dict[str, object] = dict(describe_machine())
    for result in results:
        figures = asdict(result)
        found[f"{figures.pop('shape')}, {figures.pop('tokens')} tokens"] = figures
    return found


def _format(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_format(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < _LEAST_DECIMAL else f"{value:,.3f}"
    return str(value)
