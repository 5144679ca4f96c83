"""Capture of a few rows of a model's attention, for any architecture of transformers 5.

Nearly all model files of transformers look up their attention function in one table and call it
with queries and keys ready to multiply (RoPE applied, cached keys included, grouped heads not
repeated). Within `capture_attention` the model's own function still computes the output; beside it
the requested rows are computed, in O(rows x keys) per layer, never keys x keys.

Knows nothing about prompts, tokens or the use of the rows.
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

from specprefill_integrations._concurrency import ForkSafeLock
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
    """The settings of one open capture."""

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

    The model's output is unchanged, bit for bit. A model has one capture at a time; other threads
    that run it meanwhile are neither captured nor disturbed.

    Args:
        model: A model whose layers use transformers' attention interface.
        rows: Number of last query positions to read in a forward pass, or all if it has fewer.
        on_layer: Receives each layer's rows during the pass.
        layers: The layers to read; None for all.

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


def attention_rows(  # noqa: PLR0913 - the arguments of an attention layer
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
    """Compute the last rows of softmax(q k^T) as an eager layer would.

    Args:
        query: Queries with positions applied. Shape: (batch, heads, query, dim).
        key: Keys with positions applied, cached ones first, grouped heads not repeated.
            Shape: (batch, key_value_heads, keys, dim).
        attention_mask: None (causal); or bool or additive float, of shape
            (batch, 1 or heads, query, keys); or padding only, of shape (batch, keys).
        rows: Number of last query positions to compute.
        scaling: Factor of the scores; None for 1 / sqrt(dim).
        is_causal: True to hide later keys if there is no 4-D mask.
        sliding_window: Keys visible from a position, itself included, if there is no 4-D mask.
        softcap: Bound of the scores, applied by tanh (Gemma 2).
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
    # Heads of a group share their keys, so they become more rows of one product, and keys need not
    # be repeated.
    last = query[:, :, queries - rows :].to(wide)  # (batch, heads, rows, dim)
    grouped = last.reshape(batch, key_heads, -1, dim)  # (batch, key_heads, group * rows, dim)
    scores = grouped @ key.to(wide).transpose(2, 3)  # (batch, key_heads, group * rows, keys)
    scores = scores.view(batch, heads, rows, keys)
    # What models do to scores before the softmax, in their order.
    scores = scores * (dim**-0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if position_bias is not None:
        scores = scores + position_bias[:, :, -rows:, :keys].to(wide)
    # A 4-D mask holds causality and window already; otherwise both are applied here.
    if attention_mask is not None and attention_mask.ndim == 4:  # noqa: PLR2004
        scores = _apply_mask(scores, attention_mask[:, :, -rows:, :keys])
    else:
        scores = _hide(scores, queries, is_causal=is_causal, sliding_window=sliding_window)
        if attention_mask is not None:
            scores = _apply_mask(scores, attention_mask[:, None, None, -keys:].bool())
    return _softmax_with_sinks(scores, sinks)


def _apply_mask(scores: Tensor, mask: Tensor) -> Tensor:
    """Hide keys by a bool or additive mask that broadcasts to (batch, heads, rows, keys)."""
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -math.inf)
    return scores + mask.to(scores.dtype)


def _hide(scores: Tensor, queries: int, *, is_causal: bool, sliding_window: int | None) -> Tensor:
    """Hide later keys, and keys before the window. The last query is at the last key.

    Args:
        scores: Shape: (batch, heads, rows, keys).
        queries: Query positions of the pass.
        is_causal: True to hide later keys.
        sliding_window: Keys visible from a position.
    """
    rows, keys = scores.shape[-2:]
    if not is_causal or (queries == 1 and sliding_window is None):
        return scores
    position = torch.arange(keys - rows, keys, device=scores.device)[:, None]  # (rows, 1)
    other = torch.arange(keys, device=scores.device)[None, :]  # (1, keys)
    hidden = other > position  # (rows, keys)
    if sliding_window is not None:
        hidden |= other <= position - sliding_window
    return scores.masked_fill(hidden, -math.inf)


def _softmax_with_sinks(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax over keys and sinks, without the sinks' column. Shape: (batch, heads, rows, keys)."""
    if sinks is None:
        return scores.softmax(dim=-1)
    batch, heads, rows, _ = scores.shape
    column = sinks.to(scores.dtype).view(1, heads, 1, 1)
    column = column.expand(batch, heads, rows, 1)
    return torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]


def _lock_of(model: nn.Module) -> ForkSafeLock:
    with _registry_lock:
        return _model_locks.setdefault(model, ForkSafeLock())


def _attention_configs(model: PreTrainedModel) -> list[PretrainedConfig]:
    """Return all configs from which layers read the name of their attention function."""
    configs: dict[int, PretrainedConfig] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PretrainedConfig) and config._attn_implementation:  # noqa: SLF001
            configs[id(config)] = config
    return list(configs.values())


def _capturing_name(implementation: str) -> str:
    """Register `implementation` with capture in transformers' tables and return its name there."""
    name = implementation if implementation.startswith(_PREFIX) else _PREFIX + implementation
    with _registry_lock:
        if name not in ALL_ATTENTION_FUNCTIONS:
            ALL_ATTENTION_FUNCTIONS.register(name, _capturing(implementation))
        if name not in ALL_MASK_ATTENTION_FUNCTIONS:
            mask = ALL_MASK_ATTENTION_FUNCTIONS[implementation]
            ALL_MASK_ATTENTION_FUNCTIONS.register(name, _unread(mask))
    return name


def _unread(make_mask: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes masks without reading them from the device.

    transformers leaves out a mask that hides nothing. Within a capture, no such mask is given.
    """

    def make(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - transformers' arguments
        if _active.get() is not None and kwargs.get("attention_mask") is not None:
            kwargs["allow_is_causal_skip"] = False
        return make_mask(*args, **kwargs)

    return make


def _capturing(implementation: str) -> _Attend:
    """Return an attention function that calls `implementation` and feeds an open capture."""

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
    """Return the function that the layer would have called; `eager` is in the model's module."""
    modeling = sys.modules[type(module).__module__]
    if implementation != "eager":
        table = getattr(modeling, "ALL_ATTENTION_FUNCTIONS", ALL_ATTENTION_FUNCTIONS)
        return cast("_Attend", table[implementation])
    own: _Attend | None = getattr(modeling, "eager_attention_forward", None)
    if own is None:
        msg = (
            f"{type(module).__name__} has no eager attention function; load the draft with "
            f"attn_implementation='sdpa'."
        )
        raise DraftModelUnsupportedError(msg)
    return own


def _read(  # noqa: PLR0913, PLR0917 - transformers' arguments
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
