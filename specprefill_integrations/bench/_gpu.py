"""Speed and memory on a GPU, for drafts of several sizes and texts of several lengths."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.bench._random_draft import LARGE_SHAPES, SHAPES, RandomDraft
from specprefill_integrations.bench._sample_texts import sample_text
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import SpecPrefillError
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_device import resolved_dtype
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Budget, TextHint

_QUESTION = "Which exceptions can this statement raise, and when?"
_BUDGET = Budget(keep_fraction=0.25)
_HINT = TextHint(kind="prose")
_CHARS_PER_TOKEN = 8  # more than the text has
_WARM_UP_TOKENS = 4_000
_LENGTHS = (8_000, 128_000, 1_000_000)

# Dense bfloat16 operations per second, in units of 10^12, as their maker states them. The first
# name that occurs in the device's counts.
_PEAKS = {
    "B200": 2250,
    "GH200": 989,
    "H200": 989,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "H800": 989,
    "A100": 312,
    "A800": 312,
    "A30": 165,
    "A10G": 70,
    "A10": 125,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "RTX 4090": 165,
    "RTX 3090": 71,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuResult:
    """Speed and memory of one draft on one text."""

    shape: str
    """Name of the draft's shape."""

    tokens: int
    """Tokens of the text."""

    compress_tokens_per_second: float
    """Tokens per second of a whole compression to a quarter: splitting, scoring, selecting."""

    score_tokens_per_second: float
    """Tokens per second of scoring: tokenizing, reading, averaging."""

    forward_tokens_per_second: float
    """Tokens per second of the forward pass alone, over as many windows in the same batches,
    without a question."""

    score_share_of_peak: float
    """Operations per second of the forward pass while scoring, as a share of `peak_flops`."""

    forward_share_of_peak: float
    """The same for the forward pass alone."""

    peak_flops: float
    """Operations per second that the device can do in this data type."""

    peak_bytes: int | None
    """Largest memory in use while scoring, weights included; None on a CPU."""

    weight_bytes: int
    """Memory of the weights."""


@checked
def measure_gpu(
    *,
    repeats: PositiveInt,
    shapes: Sequence[str] = LARGE_SHAPES,
    lengths: Sequence[PositiveInt] = _LENGTHS,
    device: str | None = None,
    dtype: str | None = None,
) -> list[GpuResult]:
    """Measure drafts with random weights on invented prose; no keys and values are kept.

    Args:
        repeats: Runs of each; medians are returned.
        shapes: Names in `SHAPES`.
        lengths: Tokens of the texts.
        device: See `DraftModel.from_source`; None for a CUDA device.
        dtype: See `DraftModel.from_source`.

    Raises:
        SpecPrefillError: `device` is None, and there is no CUDA device.
        ValueError: There is no such shape or dtype.
    """
    unknown = sorted(set(shapes) - set(SHAPES))
    if unknown:
        msg = f"shapes= takes {', '.join(SHAPES)}; got {unknown[0]!r}."
        raise ValueError(msg)
    resolved_dtype(dtype, torch.device("cpu"))  # refused before a device is looked for
    if device is None and not torch.cuda.is_available():
        msg = "There is no CUDA device here that PyTorch can use; device='cpu' measures the CPU."
        raise SpecPrefillError(msg)
    found = []
    for shape in shapes:
        draft = RandomDraft.of(shape, device or "cuda", dtype)
        scorer = AttentionScorer(draft, plan=ReadingPlan(cache_bytes=0))
        text = _text(scorer, _WARM_UP_TOKENS)
        scorer.score_spans(_QUESTION, [text], [ProseSplitter()(text)])
        peak = peak_flops(draft.device, draft.dtype)
        found += [_measured(scorer, count, repeats, peak) for count in lengths]
    return found


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations per second that a device can do: as stated, else as measured."""
    if device.type == "cuda" and dtype is torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        stated = [peak for known, peak in _PEAKS.items() if re.search(rf"\b{known}\b", name)]
        if stated:
            return stated[0] * 1e12
    width = 8_192 if device.type == "cuda" else 512
    square = torch.ones((width, width), device=device, dtype=dtype)
    _ = square @ square
    times = [_seconds(lambda: square @ square, device) for _ in range(5)]
    return 2 * width**3 / min(times)


def forward_flops(model: nn.Module, window_tokens: int) -> float:
    """Return the operations of a forward pass for each token of a window."""
    config: Any = model.config
    weights = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear))
    width = config.num_attention_heads * (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    # Scores and weighted sums over the keys before a token: on average half of the window.
    attention = 2 * 2 * config.num_hidden_layers * width * window_tokens / 2
    return float(2 * weights + attention)


def _measured(scorer: AttentionScorer, count: int, repeats: int, peak: float) -> GpuResult:
    draft = scorer.draft
    device = draft.device
    text = _text(scorer, count)
    units = ProseSplitter()(text)
    compressor = ContextCompressor(scorer, on_error="raise")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    score = _median(lambda: scorer.score_spans(_QUESTION, [text], [units]), device, repeats)
    held = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    # With white space at its end, since splitters keep texts that they know.
    whole = _median(
        lambda: compressor.compress(text + " ", _QUESTION, budget=_BUDGET, hint=_HINT),
        device,
        repeats,
    )
    window = min(scorer.active_readout.window_tokens, count)
    batches = _batches(count, window, scorer.window_reader.batch_tokens, draft)
    forward = _median(lambda: _read(draft.model, batches), device, repeats)
    flops = forward_flops(draft.model, window)
    return GpuResult(
        shape=draft.name,
        tokens=count,
        compress_tokens_per_second=count / whole,
        score_tokens_per_second=count / score,
        forward_tokens_per_second=count / forward,
        score_share_of_peak=count * flops / score / peak,
        forward_share_of_peak=count * flops / forward / peak,
        peak_flops=peak,
        peak_bytes=held,
        weight_bytes=sum(one.nbytes for one in draft.model.parameters()),
    )


def _text(scorer: AttentionScorer, tokens: int) -> str:
    """Return a text of that many tokens."""
    text = sample_text("prose", tokens * _CHARS_PER_TOKEN)
    return text[: scorer.token_spans(text)[tokens - 1].end]


def _batches(tokens: int, window: int, together: int, draft: DraftModel) -> list[Tensor]:
    """Return batches of windows of random tokens. Shape of each: (batch, window)."""
    generator = np.random.default_rng(0)
    rows = max(1, tokens // window)
    most = max(1, together // window)
    sizes = [min(most, rows - start) for start in range(0, rows, most)]
    return [
        torch.from_numpy(generator.integers(0, draft.config.vocab_size, (size, window))).to(
            draft.device
        )
        for size in sizes
    ]


@torch.inference_mode()
def _read(model: Any, batches: Sequence[Tensor]) -> None:  # noqa: ANN401
    for ids in batches:
        model(input_ids=ids, use_cache=False)


def _median(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    return statistics.median(_seconds(run, device) for _ in range(repeats))


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
