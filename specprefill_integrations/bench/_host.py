"""Cost of everything but the draft's forward pass, stage by stage, and how it grows."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.bench._sample_texts import sample_text
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.pipeline import _steps as steps
from specprefill_integrations.pipeline._step_values import Call
from specprefill_integrations.types import Budget, Kind, TextHint

HOST_KINDS: tuple[Kind, ...] = ("prose", "markdown", "json", "code", "log")

_CHARS_PER_TOKEN = 4
_QUESTION = "Which request failed because of an expired token, and when?"
_BUDGET = Budget(keep_fraction=0.25)

# Parts of the longest text that are measured, too, to see how the cost grows.
_PARTS = (0.25, 0.5, 1.0)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeconds:
    """Processor seconds of the stages of one call."""

    count: float
    """Counting the text."""

    split: float
    """Finding its kind, splitting it into units and counting them."""

    score: float
    """Tokenizing, planning windows, averaging over units, matching words; no forward pass."""

    fit: float
    """Selecting units within the budget."""

    render: float
    """Writing the result, language warnings included."""

    @property
    def total(self) -> float:
        """All stages."""
        return self.count + self.split + self.score + self.fit + self.render


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """Cost of one kind of text."""

    kind: Kind
    """Kind of the text."""

    chars: int
    """Length of the longest text in characters."""

    tokens: int
    """Its tokens."""

    seconds: HostSeconds
    """Median processor seconds of its stages."""

    exponent: float
    """The power of its length with which the total grows, from a quarter of the text on."""

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of one core."""
        return self.tokens / self.seconds.total


@checked
def measure_host(
    *,
    tokens: PositiveInt,
    repeats: PositiveInt,
    draft: str | None = None,
    kinds: Sequence[Kind] = HOST_KINDS,
) -> list[HostResult]:
    """Measure the stages of a compression to a quarter, with random numbers for attention.

    The draft's tokenizer and profile are used, its weights are not read.

    Args:
        tokens: Tokens of the longest text of each kind, about.
        repeats: Runs of each.
        draft: See `ContextCompressor.from_draft_model`.
        kinds: Kinds to measure.
    """
    from specprefill_integrations.bench._unread_scorer import UnreadScorer  # noqa: PLC0415

    compressor = ContextCompressor(UnreadScorer.of(draft), on_error="raise")
    _measured(compressor, "prose", 2_000)  # loads the tokenizer and what is imported late
    return [_result(compressor, kind, tokens, repeats) for kind in kinds]


def _result(compressor: ContextCompressor, kind: Kind, tokens: int, repeats: int) -> HostResult:
    lengths, totals = [], []
    for part in _PARTS:
        chars = int(tokens * _CHARS_PER_TOKEN * part)
        # Another text each time, since splitters keep what they found in a text.
        runs = [_measured(compressor, kind, chars, seed) for seed in range(repeats)]
        seconds = HostSeconds(
            **{
                field.name: statistics.median(getattr(run, field.name) for run, _ in runs)
                for field in fields(HostSeconds)
            }
        )
        lengths.append(math.log(chars))
        totals.append(math.log(seconds.total))
    slope, _ = statistics.linear_regression(lengths, totals)
    return HostResult(kind=kind, chars=chars, tokens=runs[-1][1], seconds=seconds, exponent=slope)


def _measured(
    compressor: ContextCompressor, kind: Kind, chars: int, seed: int = 0
) -> tuple[HostSeconds, int]:
    """Compress a text; return the seconds of the stages and its tokens."""
    stages, scorer = compressor.stages, compressor.scorer
    text = sample_text(kind, chars, seed)
    call = Call.of([text], _QUESTION, _BUDGET, [TextHint(kind=kind)])
    counted, count = _timed(lambda: steps.count(call, stages))
    split, split_seconds = _timed(lambda: steps.split(counted, stages))
    request = split.request
    scores, score = _timed(lambda: scorer.score_request(request))
    selected, fit = _timed(lambda: steps.select(steps.scored(split, scores, scorer), stages))
    _, render = _timed(lambda: steps.render(selected, scorer))
    seconds = HostSeconds(count=count, split=split_seconds, score=score, fit=fit, render=render)
    return seconds, counted.tokens[0]


def _timed(run: Callable[[], ResultT]) -> tuple[ResultT, float]:
    started = time.process_time()
    found = run()
    return found, time.process_time() - started
