"""Time and memory of scoring, compared with a plain forward pass of the same draft.

Both run alternately in one process on the same tokens.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from specprefill_integrations._arguments import PositiveInt, Share, check, checked
from specprefill_integrations.bench._sample_texts import documentation

if TYPE_CHECKING:
    from specprefill_integrations.bench._passes import BenchPasses

_QUESTION = "Which exceptions can this statement raise, and when?"
_FIRST_QUESTION = "What does a class inherit from its bases?"

ScorerName = Literal["readout", "published"]
"""The calibrated readout, or the published SpecPrefill algorithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryResult:
    """Memory and time of a process's first scoring."""

    peak_bytes_above_weights: int
    """Peak memory beyond what was held before, which includes the weights."""

    first_score_seconds: float
    """Duration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesResult:
    """Times of scoring after a warm-up; medians."""

    repeats: int
    """Runs of each."""

    score_seconds: float
    """Scoring all units of the text: tokenizing, reading, aggregating."""

    forward_seconds: float
    """Plain forward pass over the same tokens, in one piece if the draft's positions allow it,
    without cache and output head."""

    forward_windows_seconds: float
    """Plain forward passes over the same tokens, in the windows that scoring reads."""

    ratio_to_forward: float
    """Median over runs of `score_seconds` / `forward_seconds`."""

    ratio_to_forward_windows: float
    """Median over runs of `score_seconds` / `forward_windows_seconds`."""

    tokens_per_second: float
    """Tokens scored per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondQuestionResult:
    """Times of a first and of a second question about a text; medians."""

    repeats: int
    """Runs of each."""

    first_question_seconds: float
    """Scoring a text that was not read before."""

    second_question_seconds: float
    """Scoring the same text for another question."""

    ratio_to_first: float
    """Median over runs of `second_question_seconds` / `first_question_seconds`."""

    largest_difference: float
    """Largest difference between a score of the second question and that of a scorer that keeps
    nothing, as a share of the range of the latter's scores."""


@checked
def prepare_passes(  # noqa: PLR0913 - mirrors from_draft_model
    *,
    tokens: PositiveInt,
    draft: str | None = None,
    scorer: ScorerName = "readout",
    device: str | None = None,
    dtype: str | None = None,
    window_tokens: PositiveInt | None = None,
    prefilter: Share | None = None,
) -> BenchPasses:
    """Load a draft and prepare a text of documentation to measure with.

    Args:
        tokens: Tokens of the text.
        draft: See `ContextCompressor.from_draft_model`.
        scorer: The calibrated readout, or the published algorithm.
        device: See `ContextCompressor.from_draft_model`.
        dtype: See `ContextCompressor.from_draft_model`.
        window_tokens: See `ContextCompressor.from_draft_model`.
        prefilter: See `ContextCompressor.from_draft_model`.
    """
    from specprefill_integrations.bench._passes import BenchPasses  # noqa: PLC0415

    return BenchPasses.prepare(
        documentation(tokens * 8),
        _QUESTION,
        tokens=tokens,
        draft=draft,
        scorer=scorer,
        device=device,
        dtype=dtype,
        window_tokens=window_tokens,
        prefilter=prefilter,
    )


def measure_memory(passes: BenchPasses) -> MemoryResult:
    """Measure the memory of the first scoring.

    Memory that was freed before is reused without showing: call this first.
    """
    _check_passes(passes)
    with _peak_memory(passes) as peak:
        seconds = _seconds(passes.score, passes.wait)
    return MemoryResult(peak_bytes_above_weights=peak[0], first_score_seconds=seconds)


@checked
def measure_times(passes: BenchPasses, repeats: PositiveInt) -> TimesResult:
    """Time scoring and plain forward passes alternately, after a warm-up.

    Args:
        passes: The prepared text.
        repeats: Runs of each.
    """
    _check_passes(passes)
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


@checked
def measure_second_question(passes: BenchPasses, repeats: PositiveInt) -> SecondQuestionResult:
    """Time a first and a second question about a text, after a warm-up.

    Args:
        passes: The prepared text, whose question comes second.
        repeats: Runs of each.
    """
    _check_passes(passes)
    expected = passes.score()  # (units,)
    first, second = passes.keeping(_FIRST_QUESTION), passes.keeping(passes.query)
    times, differences = [], []
    for _ in range(repeats):
        passes.forget()
        times.append([_seconds(one.score, passes.wait) for one in (first, second)])
        differences.append(abs(second.score() - expected).max())
    passes.forget()
    return SecondQuestionResult(
        repeats=repeats,
        first_question_seconds=statistics.median(row[0] for row in times),
        second_question_seconds=statistics.median(row[1] for row in times),
        ratio_to_first=statistics.median(row[1] / row[0] for row in times),
        largest_difference=float(max(differences) / (expected.max() - expected.min())),
    )


@checked
def measure_cold_start(repeats: PositiveInt) -> dict[str, float]:
    """Time fresh processes: imports only, and from start to the first score.

    The default draft must be in the cache already.

    Args:
        repeats: Runs of each; medians are returned.

    Returns:
        Seconds and processor seconds by name, and `repeats`. Windows does not tell the latter.
    """
    imports = "import torch; from transformers import AutoModelForCausalLM as m; "
    imports += "from transformers.models.llama import LlamaForCausalLM"
    score = (
        "from specprefill_integrations import Budget, ContextCompressor as C; "
        "C.from_draft_model(on_error='raise').compress('One cat. Two dogs. Three birds.', "
        "'What?', budget=Budget(max_tokens=8))"
    )
    times = [[_process_seconds(code) for code in (imports, score)] for _ in range(repeats)]
    found: dict[str, float] = {}
    for clock, unit in enumerate(("seconds", "processor_seconds")):
        rows = [(alone[clock], whole[clock]) for alone, whole in times]
        found |= {
            f"imports_{unit}": statistics.median(row[0] for row in rows),
            f"first_score_{unit}": statistics.median(row[1] for row in rows),
            f"difference_{unit}": statistics.median(row[1] - row[0] for row in rows),
        }
    return {**found, "repeats": repeats}


def _check_passes(passes: object) -> None:
    from specprefill_integrations.bench._passes import BenchPasses  # noqa: PLC0415 - slow to import

    check("passes", passes, BenchPasses)


def _process_seconds(code: str) -> tuple[float, float]:
    """Run a new process; return its time, and the processor's for it."""
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code
    seconds, after = time.perf_counter() - started, os.times()
    user = after.children_user - before.children_user
    return seconds, user + after.children_system - before.children_system


def _seconds(run: Callable[[], object], wait: Callable[[], None]) -> float:
    wait()
    started = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - started


@contextmanager
def _peak_memory(passes: BenchPasses) -> Iterator[list[int]]:
    """Sample the peak memory of a block above its start, every 2 ms."""
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
