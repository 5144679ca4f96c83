"""Reads a few rows of a model's attention while it runs, for any architecture of transformers 5.

Nearly all model files of transformers call one table of attention functions with queries and keys
ready to multiply (RoPE applied, cached keys included, grouped heads not repeated). Within
`capture_attention` a model's own function is looked up there as before and its result handed back
untouched; beside it the wanted rows are computed. Never M x M: O(rows x M) a layer.

Knows nothing about prompts, tokens or what the rows are for.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.errors import DraftModelUnsupportedError

OnLayer = Callable[[int, Tensor], None]
"""Called after each attention layer with its index and the captured attention weights.

Shape of the weights: (batch, heads, rows, keys), float32.
"""

_Attend = Callable[..., tuple[Tensor, Tensor | None]]

_PREFIX = "specprefill_"

_model_locks: WeakKeyDictionary[nn.Module, ForkSafeLock] = WeakKeyDictionary()
_registry_lock = ForkSafeLock()


@dataclass(frozen=True, slots=True)
class _Capture:
    """What is read while one `with` is open."""

    rows: int
    on_layer: OnLayer
    layers: Container[int] | None


_active: ContextVar[_Capture | None] = ContextVar("specprefill_capture", default=None)


@contextmanager
def capture_attention(
    model: PreTrainedModel,
    *,
    rows: int,
    on_layer: OnLayer,
    layers: Container[int] | None = None,
) -> Iterator[None]:
    """Within the block, hand the last `rows` rows of attention layers to `on_layer`.

    The model computes what it always does, bit for bit. One capture at a time runs on one model;
    another thread that runs the same model meanwhile is neither captured nor disturbed.

    Args:
        model: Any model whose layers use transformers' attention interface.
        rows: How many of the last query positions of a forward pass are read (fewer where the
            pass has fewer).
        on_layer: Gets each layer's rows as soon as they are there.
        layers: Which layers are read; None for all.

    Raises:
        DraftModelUnsupportedError: The model does not use the attention interface.
    """
    with _lock_of(model):
        configs = _attention_configs(model)
        before = [config._attn_implementation for config in configs]  # noqa: SLF001
        token = _active.set(_Capture(rows, on_layer, layers))
        try:
            for config, implementation in zip(configs, before, strict=True):
                config._attn_implementation_internal = _capturing_name(implementation)  # noqa: SLF001
            yield
        finally:
            for config, implementation in zip(configs, before, strict=True):
                config._attn_implementation_internal = implementation  # noqa: SLF001
            _active.reset(token)


def attention_rows(  # noqa: PLR0913 - what an attention layer is made of
    query: Tensor,
    key: Tensor,
    attention_mask: Tensor | None,
    *,
    rows: int,
    scaling: float | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
    softcap: float | None = None,
    sinks: Tensor | None = None,
    position_bias: Tensor | None = None,
) -> Tensor:
    """Compute the last rows of softmax(q k^T) as an eager layer would, and no others.

    Args:
        query: Queries with positions applied. Shape: (batch, heads, query, dim).
        key: Keys with positions applied, cached ones first, grouped heads not repeated.
            Shape: (batch, key_value_heads, keys, dim).
        attention_mask: None (causal), or which keys are seen: bool or additive float, of shape
            (batch, 1 or heads, query, keys), or padding only, of shape (batch, keys).
        rows: How many of the last query positions to compute.
        scaling: Factor of the scores; 1 / sqrt(dim) where None.
        is_causal: Whether later keys are hidden where `attention_mask` does not say.
        sliding_window: Keys that a position sees, itself included, where the mask does not say.
        softcap: Scores are squeezed into (-softcap, softcap) by tanh (Gemma 2).
        sinks: A score per head that takes part in the softmax but belongs to no key (gpt-oss).
            Shape: (heads,).
        position_bias: Added to the scores (ALiBi, T5). Shape: (1 or batch, heads, query, keys).

    Returns:
        Attention weights in float32 or better. Shape: (batch, heads, rows, keys).
    """
    batch, heads, queries, dim = query.shape
    key_heads, keys = key.shape[1], key.shape[2]
    rows = min(rows, queries)
    wide = torch.promote_types(query.dtype, torch.float32)
    # Heads of a group share their keys: they become more rows of one product.
    grouped = query[:, :, queries - rows :].to(wide).reshape(batch, key_heads, -1, dim)
    scores = (grouped @ key.to(wide).transpose(2, 3)).view(batch, heads, rows, keys)
    scores = scores * (dim**-0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if position_bias is not None:
        scores = scores + position_bias[:, :, -rows:, :keys].to(wide)
    if attention_mask is not None and attention_mask.ndim == 4:  # noqa: PLR2004
        scores = _apply_mask(scores, attention_mask[:, :, -rows:, :keys])
    else:
        scores = _hide(scores, queries, is_causal=is_causal, sliding_window=sliding_window)
        if attention_mask is not None:
            scores = _apply_mask(scores, attention_mask[:, None, None, -keys:].bool())
    return _softmax_with_sinks(scores, sinks)


def _apply_mask(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -math.inf)
    return scores + mask.to(scores.dtype)


def _hide(scores: Tensor, queries: int, *, is_causal: bool, sliding_window: int | None) -> Tensor:
    """Hide later keys, and keys before the window; the last query stands at the last key."""
    rows, keys = scores.shape[-2:]
    if not is_causal or (queries == 1 and sliding_window is None):
        return scores
    position = torch.arange(keys - rows, keys, device=scores.device)[:, None]
    other = torch.arange(keys, device=scores.device)[None, :]
    hidden = other > position
    if sliding_window is not None:
        hidden |= other <= position - sliding_window
    return scores.masked_fill(hidden, -math.inf)


def _softmax_with_sinks(scores: Tensor, sinks: Tensor | None) -> Tensor:
    if sinks is None:
        return scores.softmax(dim=-1)
    batch, heads, rows, _ = scores.shape
    column = sinks.to(scores.dtype).view(1, heads, 1, 1).expand(batch, heads, rows, 1)
    return torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]


def _lock_of(model: nn.Module) -> ForkSafeLock:
    with _registry_lock:
        return _model_locks.setdefault(model, ForkSafeLock())


def _attention_configs(model: PreTrainedModel) -> list[PretrainedConfig]:
    """Every config object that some layer of the model reads its attention function's name from."""
    configs: dict[int, PretrainedConfig] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PretrainedConfig) and config._attn_implementation:  # noqa: SLF001
            configs[id(config)] = config
    return list(configs.values())


def _capturing_name(implementation: str) -> str:
    """The name under which `implementation`, with capture, stands in transformers' tables."""
    name = implementation if implementation.startswith(_PREFIX) else _PREFIX + implementation
    with _registry_lock:
        if name not in ALL_ATTENTION_FUNCTIONS:
            ALL_ATTENTION_FUNCTIONS.register(name, _capturing(implementation))
        if name not in ALL_MASK_ATTENTION_FUNCTIONS:
            mask = ALL_MASK_ATTENTION_FUNCTIONS[implementation]
            ALL_MASK_ATTENTION_FUNCTIONS.register(name, mask)
    return name


def _capturing(implementation: str) -> _Attend:
    """`implementation`, followed by a look at its queries and keys where a capture is open."""

    def attend(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[Tensor, Tensor | None]:
        own = _own_function(module, implementation)
        output = own(module, query, key, value, attention_mask, **kwargs)
        capture = _active.get()
        if capture is not None and _wants(capture, module):
            _read(capture, module, query, key, attention_mask, kwargs)
        return output

    return attend


def _own_function(module: nn.Module, implementation: str) -> _Attend:
    """What the layer would have called; `eager` lives in the model's own file."""
    modeling = sys.modules[type(module).__module__]
    if implementation != "eager":
        table = getattr(modeling, "ALL_ATTENTION_FUNCTIONS", ALL_ATTENTION_FUNCTIONS)
        return cast("_Attend", table[implementation])
    own: _Attend | None = getattr(modeling, "eager_attention_forward", None)
    if own is None:
        msg = (
            f"{type(module).__name__} has no eager attention of its own; load the draft with "
            f"attn_implementation='sdpa'."
        )
        raise DraftModelUnsupportedError(msg)
    return own


def _read(  # noqa: PLR0913, PLR0917 - transformers' arguments, passed on
    capture: _Capture,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    attention_mask: Tensor | None,
    kwargs: dict[str, Any],
) -> None:
    is_causal = kwargs.get("is_causal")
    weights = attention_rows(
        query,
        key,
        attention_mask,
        rows=capture.rows,
        scaling=kwargs.get("scaling"),
        is_causal=getattr(module, "is_causal", True) if is_causal is None else is_causal,
        sliding_window=kwargs.get("sliding_window"),
        softcap=kwargs.get("softcap"),
        sinks=kwargs.get("s_aux"),
        position_bias=kwargs.get("position_bias"),
    )
    capture.on_layer(_layer_of(module), weights)


def _wants(capture: _Capture, module: nn.Module) -> bool:
    return capture.layers is None or _layer_of(module) in capture.layers


def _layer_of(module: nn.Module) -> int:
    return int(module.layer_idx)  # type: ignore[arg-type]
