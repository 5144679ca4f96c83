"""`specprefill bench`: what scoring costs, against a plain forward pass of the same draft.

Both run in one process, in turn, on the same tokens; medians are compared. Reaches `torch` only
through the draft that it measures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    stderr_console,
)
from specprefill_integrations.evaluation._machine import describe_machine

if TYPE_CHECKING:
    from specprefill_integrations.bench._passes import BenchPasses

QUESTION = "Which exceptions can this statement raise, and when?"

ScorerName = Literal["readout", "specprefill"]
"""As in `ContextCompressor.from_draft_model`."""

# A tool result or a few passages.
_CALLERS_CHARS = 2_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryResult:
    """What the first scoring of a process took."""

    peak_bytes_above_weights: int
    """Most memory that it held beyond what was held before it, weights included there."""

    first_score_seconds: float
    """How long it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesResult:
    """What scoring costs once everything is warm."""

    repeats: int
    """Runs of each; what is reported are medians."""

    score_seconds: float
    """Scoring all units of the text: tokenizing, reading, aggregating."""

    forward_seconds: float
    """One plain forward pass over the same tokens, in one piece where the draft's positions
    allow it, without cache and output head."""

    forward_windows_seconds: float
    """Plain forward passes over the same tokens, cut into the windows that scoring reads."""

    ratio_to_forward: float
    """Median over runs of score_seconds / forward_seconds of the same run."""

    ratio_to_forward_windows: float
    """Median over runs of score_seconds / forward_windows_seconds of the same run."""

    tokens_per_second: float
    """Tokens scored in a second."""


def documentation(characters: int) -> str:
    """Real text that every machine has: Python's own language reference, as often as needed."""
    from pydoc_data.topics import topics  # noqa: PLC0415 - 700 kB of text, for a bench only

    whole = "\n\n".join(topics[name] for name in sorted(topics))
    return (whole * (characters // len(whole) + 1))[:characters]


@app.command()
def bench(  # noqa: PLR0913 - one parameter an option
    *,
    tokens: Annotated[int, typer.Option(min=64, help="Tokens of the text.")] = 2500,
    repeats: Annotated[int, typer.Option(min=1, help="Runs; medians are reported.")] = 5,
    draft: Annotated[str | None, typer.Option(help="As in `compress`.")] = None,
    scorer: Annotated[ScorerName, typer.Option(help="As in `compress`.")] = "readout",
    device: Annotated[str | None, typer.Option(help="cuda, cpu, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 ...")] = None,
    window_tokens: Annotated[int | None, typer.Option(min=1, help="As in `compress`.")] = None,
    memory_only: Annotated[
        bool, typer.Option("--memory-only", help="Score once and measure no times but that.")
    ] = False,
    cold_start: Annotated[
        bool, typer.Option("--cold-start", help="Measure fresh processes instead.")
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, metavar="CALLERS", help="Measure so many callers at once instead."),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="Of each call under --concurrency."),
    ] = None,
    splitting: Annotated[
        bool, typer.Option("--splitting", help="Measure cutting a megabyte of each kind instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Measure what scoring costs."""
    if deadline is not None and concurrency is None:
        fail("--deadline goes with --concurrency", USAGE_ERROR)
    with clear_errors(debug=debug), stderr_console().status("measuring ..."):
        if cold_start:
            found: dict[str, object] = {**measure_cold_start(repeats)}
        else:
            passes = prepare_passes(
                tokens=tokens,
                draft=draft,
                scorer=scorer,
                device=device,
                dtype=dtype,
                window_tokens=window_tokens,
            )
            found = {
                "draft": passes.draft.name,
                "scorer": scorer,
                **describe_machine(passes.draft),
            }
            if concurrency is not None:
                found |= _measure_callers(passes, concurrency, repeats, deadline)
            elif splitting:
                found |= _measure_splitting(passes, repeats)
            else:
                # Memory first of all: what was freed is used again later on and does not show.
                found |= {"tokens": passes.tokens, **asdict(measure_memory(passes))}
                found |= {} if memory_only else asdict(measure_times(passes, repeats))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(show_header=False)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), _in_words(value))
    Console().print(table)


def _measure_callers(
    passes: BenchPasses, callers: int, repeats: int, deadline_seconds: float | None
) -> dict[str, object]:
    """What callers who share the draft get, two calls each."""
    from specprefill_integrations.bench._concurrency import (  # noqa: PLC0415 - imports this
        concurrent_requests,
        measure_concurrency,
    )

    requests = concurrent_requests(2 * callers, _CALLERS_CHARS)
    found = measure_concurrency(
        passes.scorer,
        requests,
        callers=callers,
        repeats=repeats,
        deadline_seconds=deadline_seconds,
    )
    return asdict(found)


def _measure_splitting(passes: BenchPasses, repeats: int) -> dict[str, object]:
    """What cutting a megabyte of each kind costs, against scoring it."""
    from specprefill_integrations.bench._splitting import (  # noqa: PLC0415 - needed here alone
        measure_splitting,
    )

    speed = measure_times(passes, repeats).tokens_per_second
    results = measure_splitting(tokens_per_second=speed, repeats=repeats)
    return {
        "tokens_per_second": speed,
        "splitting": {
            result.kind: {
                "seconds_per_megabyte": result.split_seconds * 1_000_000 / result.chars,
                "share_of_scoring": result.share_of_scoring,
            }
            for result in results
        },
    }


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_in_words(part)}" for name, part in value.items())
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def prepare_passes(  # noqa: PLR0913 - mirrors the options
    *,
    tokens: int,
    draft: str | None = None,
    scorer: ScorerName = "readout",
    device: str | None = None,
    dtype: str | None = None,
    window_tokens: int | None = None,
) -> BenchPasses:
    """Load the draft and make ready what is measured: that many tokens of documentation.

    Args:
        tokens: Tokens of the text.
        draft: See `ContextCompressor.from_draft_model`.
        scorer: Likewise.
        device: Likewise.
        dtype: Likewise.
        window_tokens: Likewise.
    """
    from specprefill_integrations.bench._passes import BenchPasses  # noqa: PLC0415

    return BenchPasses.prepare(
        documentation(tokens * 8),
        QUESTION,
        tokens=tokens,
        draft=draft,
        scorer=scorer,
        device=device,
        dtype=dtype,
        window_tokens=window_tokens,
    )


def measure_memory(passes: BenchPasses) -> MemoryResult:
    """Score once, and watch the memory."""
    with _peak_memory(passes) as peak:
        seconds = _seconds(passes.score, passes.wait)
    return MemoryResult(peak_bytes_above_weights=peak[0], first_score_seconds=seconds)


def measure_times(passes: BenchPasses, repeats: int) -> TimesResult:
    """Time scoring and plain forward passes in turn, after one of each to warm up.

    Args:
        passes: What is measured.
        repeats: Runs of each.
    """
    runs = [passes.score, passes.forward, passes.forward_windows]
    for run in runs:
        run()
    times = [[_seconds(run, passes.wait) for run in runs] for _ in range(repeats)]
    score, forward, windows = (statistics.median(column) for column in zip(*times, strict=True))
    return TimesResult(
        repeats=repeats,
        score_seconds=score,
        forward_seconds=forward,
        forward_windows_seconds=windows,
        ratio_to_forward=statistics.median(row[0] / row[1] for row in times),
        ratio_to_forward_windows=statistics.median(row[0] / row[2] for row in times),
        tokens_per_second=passes.tokens / score,
    )


def measure_cold_start(repeats: int) -> dict[str, float]:
    """Seconds of fresh processes: imports alone, and imports to first score, in turn.

    The draft must have been converted before, as it is after its first use ever.
    """
    imports = "import torch; from transformers import AutoModelForCausalLM as m; "
    imports += "from transformers.models.llama import LlamaForCausalLM"
    score = (
        "from specprefill_integrations import Budget, ContextCompressor as C; "
        "C.from_draft_model(on_error='raise').compress('One cat. Two dogs. Three birds.', "
        "'What?', budget=Budget(max_tokens=8))"
    )
    times = [[_process_seconds(code) for code in (imports, score)] for _ in range(repeats)]
    return {
        "imports_seconds": statistics.median(row[0] for row in times),
        "first_score_seconds": statistics.median(row[1] for row in times),
        "difference_seconds": statistics.median(row[1] - row[0] for row in times),
        "repeats": repeats,
    }


def _process_seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own lines above
    return time.perf_counter() - started


def _seconds(run: Callable[[], object], wait: Callable[[], None]) -> float:
    wait()
    started = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - started


@contextmanager
def _peak_memory(passes: BenchPasses) -> Iterator[list[int]]:
    """Within the block, the most memory above what was held at its start, sampled every 2 ms."""
    held = passes.held_bytes
    start = held(reset_peak=True)
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], held() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak[0] = max(peak[0], held() - start)
