"""A store of what a draft computed while it read contexts, for further questions about them.

Knows token ids, not texts.
"""

from __future__ import annotations

import copy
import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor
from transformers.cache_utils import DynamicLayer

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._transfers import Queued


@dataclass(slots=True)
class _Entry:
    """A context's keys and values."""

    cache: Any
    reading: object
    """The reading that used it last."""

    queued: Queued
    """The computation of all tensors."""

    rows: dict[tuple[int, ...], Mapping[int, Tensor]] = field(default_factory=dict)
    """Rows of attention by question and layer. Shape of each: (1, heads, rows, keys)."""

    @property
    def size(self) -> int:
        """Memory of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors())

    def tensors(self) -> Iterator[Tensor]:
        """Yield all tensors."""
        for layer in self.cache.layers:
            yield from (layer.keys, layer.values)
        for rows in self.rows.values():
            yield from rows.values()


class ContextCache:
    """Keys and values of contexts, each without padding, and rows of attention to them.

    Not safe for threads: hold the draft's lock. Tensors stay on the draft's device.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # least recently used first
        self._weights: list[tuple[int, int]] = []
        self.held_bytes = 0
        """Memory of everything that is kept."""

    def __len__(self) -> int:
        """Return the number of contexts."""
        return len(self._entries)

    def get(self, key: bytes, reading: object) -> Any:  # noqa: ANN401 - transformers' classes are untyped
        """Return a context's keys and values, which must not be changed in place; None if unknown.

        Args:
            key: See `context_key`.
            reading: Identifies the call that asks.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.queued.follow(entry.tensors())
        entry.reading = reading
        self._entries.move_to_end(key)
        return entry.cache

    def put(self, key: bytes, cache: Any, reading: object, max_bytes: int) -> None:  # noqa: ANN401
        """Keep a context's keys and values, if there is room.

        Least recently used contexts are dropped, but none that the same reading used: of a text
        larger than the room, the first windows stay, and are found when it is read again.

        Args:
            key: See `context_key`.
            cache: Keys and values; those of layers that keep no keys are not supported, see
                `holds_all_keys`.
            reading: Identifies the call that has read them.
            max_bytes: Memory of everything that is kept.
        """
        self._drop(key)
        size = _size(cache)
        if self._make_room(size, reading, max_bytes):
            owned = _compact(cache)
            self._entries[key] = _Entry(owned, reading, Queued(owned.layers[0].keys.device))
            self.held_bytes += size

    def rows(self, key: bytes, question: Sequence[int]) -> Mapping[int, Tensor]:
        """Return rows of attention to a context by layer; empty if there are none.

        Args:
            key: See `context_key`.
            question: Token ids of the question that the rows belong to.

        Returns:
            Shape of each: (1, heads, rows, keys).
        """
        entry = self._entries.get(key)
        found = {} if entry is None else entry.rows.get(tuple(question), {})
        if entry is not None:
            entry.queued.follow(found.values())
        return found

    def put_rows(
        self,
        key: bytes,
        question: Sequence[int],
        rows: Mapping[int, Tensor],
        max_bytes: int,
    ) -> None:
        """Keep rows of attention with a context that is kept, if there is room. See `put`.

        Args:
            key: See `context_key`.
            question: Token ids of the question that the rows belong to.
            rows: The rows by layer; those that are kept are added to them. Shape of each:
                (1, heads, rows, keys).
            max_bytes: Memory of everything that is kept.
        """
        entry = self._entries.get(key)
        if entry is None:
            return
        before = entry.rows.get(tuple(question), {})
        new = {layer: row for layer, row in rows.items() if layer not in before}
        size = sum(row.nbytes for row in new.values())
        if self._make_room(size, entry.reading, max_bytes):
            owned = {layer: _owned(row) for layer, row in new.items()}
            entry.queued.follow(entry.tensors())
            entry.rows[tuple(question)] = {**before, **owned}
            entry.queued = Queued(entry.cache.layers[0].keys.device)
            self.held_bytes += size

    def clear(self) -> bool:
        """Drop everything; return False if there was nothing."""
        held = bool(self._entries)
        self._entries.clear()
        self.held_bytes = 0
        return held

    def check_weights(self, model: Any) -> None:  # noqa: ANN401
        """Drop everything if the model's weights were changed, as by training."""
        found = [
            (weights.data_ptr(), 0 if weights.is_inference() else weights._version)  # noqa: SLF001
            for weights in model.parameters()
        ]
        if found != self._weights:
            self.clear()
            self._weights = found

    def _make_room(self, size: int, reading: object, max_bytes: int) -> bool:
        """Drop contexts that the reading did not use, for `size` more bytes; False in vain."""
        for oldest in list(self._entries):
            if size > max_bytes or self.held_bytes + size <= max_bytes:
                break
            if self._entries[oldest].reading is reading:
                break
            self._drop(oldest)
        return self.held_bytes + size <= max_bytes

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        self.held_bytes -= entry.size if entry else 0


def context_cache(draft: DraftModel) -> ContextCache:
    """Return the cache of a draft: of its weights on its device, with as many layers."""
    with _caches_lock:
        return _caches.setdefault(draft, ContextCache())


def context_key(ids: Sequence[int]) -> bytes:
    """Return a digest that two contexts share if and only if they have the same tokens."""
    return hashlib.blake2b(array("q", ids).tobytes(), digest_size=32).digest()


def holds_all_keys(cache: Any) -> bool:  # noqa: ANN401
    """Return True if a cache holds keys and values of all tokens, in all layers."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def row_of(cache: Any, row: int, padding: int) -> Any:  # noqa: ANN401
    """Return a view of one context of a batch.

    Args:
        cache: Keys and values of the batch. Shape of each: (batch, heads, tokens, dim).
        row: The context's row.
        padding: Tokens before the context.

    Returns:
        Shape of each: (1, heads, tokens - padding, dim).
    """
    return _with_layers(
        cache,
        [
            (layer.keys[row : row + 1, :, padding:], layer.values[row : row + 1, :, padding:])
            for layer in cache.layers
        ],
    )


def moved(cache: Any, places: Tensor) -> Any:  # noqa: ANN401
    """Return a cache with its tokens in other places.

    Args:
        cache: Keys and values. Shape of each: (batch, heads, tokens, dim).
        places: Where each token is taken from. Shape: (batch, tokens).
    """

    def take(tensor: Tensor) -> Tensor:  # (batch, heads, tokens, dim)
        _, heads, _, dim = tensor.shape
        return tensor.gather(2, places[:, None, :, None].expand(-1, heads, -1, dim))

    return _with_layers(cache, [(take(one.keys), take(one.values)) for one in cache.layers])


def joined(caches: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return a batch of contexts, padded on the left to the longest with zeros.

    Args:
        caches: Keys and values. Shape of each: (1, heads, tokens, dim).

    Returns:
        Shape of each: (batch, heads, longest, dim). A single context is returned as it is.
    """
    if len(caches) == 1:
        return _with_layers(caches[0], [(one.keys, one.values) for one in caches[0].layers])
    layers = zip(*(cache.layers for cache in caches), strict=True)
    return _with_layers(
        caches[0],
        [
            (_padded([one.keys for one in parts]), _padded([one.values for one in parts]))
            for parts in layers
        ],
    )


def joined_rows(rows: Sequence[Tensor]) -> Tensor:
    """Return rows of attention to a batch of contexts, padded on the left with zeros.

    Args:
        rows: Shape of each: (1, heads, rows, keys).

    Returns:
        Shape: (batch, heads, rows, longest).
    """
    if len(rows) == 1:
        return rows[0]
    return _padded([row.transpose(2, 3) for row in rows]).transpose(2, 3)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Pad rows on the left. Shapes: (1, heads, tokens, dim) each; (rows, heads, longest, dim)."""
    longest = max(row.shape[2] for row in rows)
    _, heads, _, dim = rows[0].shape
    found = rows[0].new_zeros(len(rows), heads, longest, dim)
    for number, row in enumerate(rows):
        found[number, :, longest - row.shape[2] :] = row[0]
    return found


def _with_layers(cache: Any, layers: Sequence[tuple[Tensor, Tensor]]) -> Any:  # noqa: ANN401
    """Return a copy of a cache with other keys and values."""
    changed = copy.copy(cache)
    changed.layers = []
    for layer, (keys, values) in zip(cache.layers, layers, strict=True):
        own = copy.copy(layer)
        own.keys, own.values = keys, values
        changed.layers.append(own)
    return changed


def _compact(cache: Any) -> Any:  # noqa: ANN401
    """Return a cache whose tensors keep no larger ones in memory."""
    return _with_layers(cache, [(_owned(one.keys), _owned(one.values)) for one in cache.layers])


def _owned(tensor: Tensor) -> Tensor:
    is_part = tensor.untyped_storage().nbytes() > tensor.nbytes
    return tensor.clone() if is_part else tensor


def _size(cache: Any) -> int:  # noqa: ANN401
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


_caches: WeakKeyDictionary[DraftModel, ContextCache] = WeakKeyDictionary()
_caches_lock = ForkSafeLock()
