"""Speed and memory on a GPU, for drafts of several sizes and texts of several lengths."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.bench._random_draft import LARGE_SHAPES, SHAPES, RandomDraft
from specprefill_integrations.bench._sample_texts import sample_text
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import SpecPrefillError
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_device import named_dtype
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._request_reading import RequestReading
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._transfers import padded
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Budget, TextHint

InputT = TypeVar("InputT")

_QUESTION = "Which exceptions can this statement raise, and when?"
_BUDGET = Budget(keep_fraction=0.25)
_HINT = TextHint(kind="prose")
_CHARS_PER_TOKEN = 8  # more than the text has
_WARM_UP_TOKENS = 4_000
_LENGTHS = (8_000, 128_000, 1_000_000)

# Dense bfloat16 operations per second, in units of 10^12, as their maker states them. The first
# name that fits the device's counts.
_PEAKS = {
    "B200": 2250,
    "GH200": 989,
    "H200 NVL": 835,
    "H200": 989,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "H800 PCIe": 756,
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

# What a device's name may have around one of these. Anything else is another device, such as a
# laptop's, or a part of one, such as an instance of MIG.
_MAKER = r"(NVIDIA )?(GeForce )?"
_MEMORY = r"([ -](SXM\d?|PCIe|\d+GB?|HBM\d\w?))*"


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
    """Tokens per second of the forward pass alone, over the same windows in the same batches,
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
    if dtype is not None:
        named_dtype(dtype)  # refused before a device is looked for
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
        stated = [
            peak
            for known, peak in _PEAKS.items()
            if re.fullmatch(_MAKER + known + _MEMORY, name, re.IGNORECASE)
        ]
        if stated:
            return stated[0] * 1e12
    width = 8_192 if device.type == "cuda" else 512
    square = torch.ones((width, width), device=device, dtype=dtype)
    _ = square @ square
    times = [_seconds(lambda one: one @ one, square, device) for _ in range(5)]
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
    # Others for each run, since splitters keep what they found in a text.
    texts = [_text(scorer, count, seed) for seed in range(repeats)]
    requests = [ScoreRequest(_QUESTION, [text], [ProseSplitter()(text)]) for text in texts]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    score = _median(lambda request: scorer.score_batch([request]), requests, device)
    held = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    with ScoringEngine(scorer, limits=EngineLimits(cache_entries=0)) as engine:
        compressor = ContextCompressor(engine, on_error="raise")
        whole = _median(
            lambda text: compressor.compress(text, _QUESTION, budget=_BUDGET, hint=_HINT),
            texts,
            device,
        )
    batches = [_batches(scorer, request) for request in requests]
    forward = _median(lambda one: _read(draft.model, one), batches, device)
    rows = sum(len(ids) for found in batches for ids in found)
    flops = forward_flops(draft.model, count * repeats // rows)
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


def _text(scorer: AttentionScorer, tokens: int, seed: int = 0) -> str:
    """Return a text of that many tokens."""
    text = sample_text("prose", tokens * _CHARS_PER_TOKEN, seed)
    return text[: scorer.token_spans(text)[tokens - 1].end]


def _batches(scorer: AttentionScorer, request: ScoreRequest) -> list[Tensor]:
    """Return the windows that scoring reads together. Shape of each: (batch, longest window)."""
    tokenizer = DraftTokenizer(scorer.draft.tokenizer)
    reading = RequestReading(request, tokenizer, scorer.active_readout.around_tokens)
    return [
        torch.from_numpy(padded([reading.tokens(one.window)[0] for one in batch])).to(
            scorer.draft.device
        )
        for batch in scorer.window_reader.batches([reading], tokenizer)
    ]


@torch.inference_mode()
def _read(model: Any, batches: Sequence[Tensor]) -> None:  # noqa: ANN401
    for ids in batches:
        model(input_ids=ids, use_cache=False)


def _median(
    run: Callable[[InputT], object], inputs: Sequence[InputT], device: torch.device
) -> float:
    return statistics.median(_seconds(run, one, device) for one in inputs)


def _seconds(run: Callable[[InputT], object], one: InputT, device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    run(one)
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
