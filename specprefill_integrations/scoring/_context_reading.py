"""Reads contexts with a draft: computes their keys and values, or finds those that are kept.

Knows token ids, neither texts nor questions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from specprefill_integrations.errors import DraftModelUnsupportedError
from specprefill_integrations.scoring._context_cache import (
    context_cache,
    context_key,
    holds_all_keys,
    joined,
    joined_rows,
    moved,
    row_of,
)
from specprefill_integrations.scoring._draft_layers import all_attend
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._transformers_versions import cache_name


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts of which the first `length` tokens have been read."""

    mask: Tensor
    """True for real tokens, False for padding. Shape: (batch, length)."""

    cache: Any
    """Keys and values of these tokens."""

    is_padded: bool
    """True if `mask` hides anything; known without a device synchronization."""

    keys: Sequence[bytes] = ()
    """The contexts' keys in the draft's `ContextCache`; none if nothing is kept."""

    @property
    def length(self) -> int:
        """Tokens read so far, padding included."""
        return self.mask.shape[1]

    def values(self, layer: int) -> Tensor:
        """Return the values of all tokens read so far in a layer.

        Shape: (batch, key_value_heads, length, dim).

        Raises:
            DraftModelUnsupportedError: The layer does not keep them all.
        """
        layers = self.cache.layers
        if layer >= len(layers) or type(layers[layer]) is not DynamicLayer:
            msg = (
                f"The values of layer {layer} are needed, and this draft does not keep them: it "
                f"may share those of another layer, or keep a state or a window."
            )
            raise DraftModelUnsupportedError(msg)
        values: Tensor = layers[layer].values
        return values

    def branch(self) -> PromptBatch:
        """Copy the cache, so that the next pass leaves the original unchanged.

        Growing a `DynamicLayer` makes new tensors, so the old ones can be shared; other layers work
        in place.
        """
        cache = copy.copy(self.cache)
        cache.layers = [
            copy.copy(layer) if type(layer) is DynamicLayer else copy.deepcopy(layer)
            for layer in self.cache.layers
        ]
        return replace(self, cache=cache)


class ContextReader:
    """Reads batches of contexts with one draft; no attention is captured."""

    def __init__(self, draft: DraftModel, cache_bytes: int) -> None:
        """Take a draft, which is loaded at the first `read`.

        Args:
            draft: The draft.
            cache_bytes: See `PromptReader`.
        """
        self._draft = draft
        self._cache_bytes = cache_bytes
        self._reading = object()  # not the reader itself, which would keep the draft alive

    def read(self, contexts: Sequence[Sequence[int]], ids: Tensor, lengths: Tensor) -> PromptBatch:
        """Read contexts, padded on the left. The draft's lock must be held.

        Args:
            contexts: Token ids of each.
            ids: The same on the device, padded on the right. Shape: (batch, context).
            lengths: Tokens of each. Shape: (batch,).
        """
        if not self._cache_bytes:
            return self._computed(contexts, ids, lengths)
        kept = context_cache(self._draft)
        kept.check_weights(self._draft.model)
        keys = [context_key(context) for context in contexts]
        found = {key: kept.get(key, self._reading) for key in keys}
        new = {key: row for row, key in enumerate(keys) if found[key] is None}
        if new:
            batch = self._computed(*_chosen(list(new.values()), contexts, ids, lengths))
            can_keep = holds_all_keys(batch.cache)
            if can_keep:
                for row, (key, source) in enumerate(new.items()):
                    padding = batch.length - len(contexts[source])
                    found[key] = row_of(batch.cache, row, padding=padding)
                    kept.put(key, found[key], self._reading, self._cache_bytes)
            if len(new) == len(contexts):
                return replace(batch, keys=keys)
            if not can_keep:  # the same context twice
                return self._computed(contexts, ids, lengths)
        batch = _batch(contexts, lengths, joined([found[key] for key in keys]))
        return replace(batch, keys=keys)

    def kept_rows(
        self, batch: PromptBatch, question: Sequence[int], layers: frozenset[int]
    ) -> dict[int, Tensor]:
        """Return rows of attention from a question that all contexts of a batch were asked before.

        Args:
            batch: What `read` returned.
            question: The question's token ids.
            layers: The layers to return.

        Returns:
            The rows by layer, in ascending order; empty if any is missing.
            Shape of each: (batch, heads, rows, keys).
        """
        kept = context_cache(self._draft)
        found = [kept.rows(key, question) for key in batch.keys]
        if not found or not all(layers <= rows.keys() for rows in found):
            return {}
        return {layer: joined_rows([rows[layer] for rows in found]) for layer in sorted(layers)}

    def keep_rows(
        self,
        batch: PromptBatch,
        contexts: Sequence[Sequence[int]],
        question: Sequence[int],
        rows: Mapping[int, Tensor],
    ) -> None:
        """Keep rows of attention for `kept_rows`.

        Args:
            batch: What `read` returned.
            contexts: The contexts.
            question: The question's token ids.
            rows: The rows by layer. Shape of each: (batch, heads, rows, keys).
        """
        kept = context_cache(self._draft)
        for row, (key, ids) in enumerate(zip(batch.keys, contexts, strict=True)):
            padding = batch.length - len(ids)
            own = {layer: found[row : row + 1, ..., padding:] for layer, found in rows.items()}
            kept.put_rows(key, question, own, self._cache_bytes)

    def _computed(
        self, contexts: Sequence[Sequence[int]], ids: Tensor, lengths: Tensor
    ) -> PromptBatch:
        """Compute the keys and values of contexts. See `read`."""
        model = self._draft.model
        batch = _batch(contexts, lengths, _empty_cache(model))
        if not batch.is_padded:
            forward(model.base_model, batch, ids)
            return batch
        longest = batch.length
        places = torch.arange(longest, device=ids.device) - (longest - lengths)[:, None]
        places = places % longest  # (batch, context), of each token of a row padded on the left
        if not all_attend(model.config.get_text_config()):
            forward(model.base_model, batch, ids.gather(1, places))
            return batch
        # No token sees padding that comes after it: without a mask, attention is fastest.
        forward(model.base_model, replace(batch, is_padded=False), ids)
        return replace(batch, cache=moved(batch.cache, places))


def _batch(
    contexts: Sequence[Sequence[int]],
    lengths: Tensor,
    cache: Any,  # noqa: ANN401
) -> PromptBatch:
    """Describe contexts that are padded on the left. Shape of `lengths`: (batch,)."""
    longest, shortest = max(map(len, contexts)), min(map(len, contexts))
    place = torch.arange(longest, device=lengths.device)  # (context,)
    mask = place >= (longest - lengths)[:, None]  # (batch, context)
    return PromptBatch(mask, cache, is_padded=shortest < longest)


def _chosen(
    rows: Sequence[int], contexts: Sequence[Sequence[int]], ids: Tensor, lengths: Tensor
) -> tuple[list[Sequence[int]], Tensor, Tensor]:
    """Return some of the contexts. See `ContextReader.read`."""
    chosen = [contexts[row] for row in rows]
    if len(rows) == len(contexts):
        return chosen, ids, lengths
    longest = max(map(len, chosen))
    # Views rather than indexing by a list, which would be copied to the device.
    return (
        chosen,
        torch.stack([ids[row, :longest] for row in rows]),
        torch.stack([lengths[row] for row in rows]),
    )


def forward(model: Any, batch: PromptBatch, ids: Tensor, **options: Any) -> Any:  # noqa: ANN401
    """Run a draft over the last tokens of prompts; the cache grows in place.

    Args:
        model: The draft with or without its output head.
        batch: The prompts, these tokens included.
        ids: The tokens. Shape: (batch, ids).
        options: Further arguments of the model.
    """
    # Without padding no mask is needed, and attention may use its fastest kernel.
    if batch.is_padded:
        options["attention_mask"] = batch.mask.long()  # (batch, length)
        positions = batch.mask.long().cumsum(dim=1) - 1  # (batch, length)
        options["position_ids"] = positions.clamp_min(0)[:, -ids.shape[1] :]  # (batch, ids)
    options[cache_name(model)] = batch.cache
    return model(input_ids=ids, use_cache=True, **options)


def _empty_cache(model: Any) -> Any:  # noqa: ANN401
    """Create a cache that keeps all keys, so that rows of all layers have the same length.

    Layers without attention (state-space, linear) need the cache that their config asks for.
    """
    if all_attend(model.config.get_text_config()):
        return DynamicCache()
    return DynamicCache(config=model.config)
