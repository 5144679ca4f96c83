"""The compressed messages of long conversations, so that the next turn shows the same texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cachetools import LRUCache
from langchain_core.messages import BaseMessage, ToolMessage

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.originals import OriginalStore, reference_of
from specprefill_integrations.tool_results import CompressedResult, Outcome
from specprefill_integrations.tool_results._content import open_texts_of

# Messages whose results are remembered; the least recently used are forgotten first.
_MAX_REMEMBERED = 10_000

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """The result of a message, without the texts that did not change."""

    store: OriginalStore | None
    """The store that its gap markers refer to."""

    changed: Mapping[int, str | None]
    """The texts that changed or are left out, by their place in the message."""

    outcome: Outcome
    """Counts and skip reason."""

    @classmethod
    def of(
        cls, texts: Sequence[str], done: CompressedResult, store: OriginalStore | None
    ) -> _Remembered:
        pairs = enumerate(zip(texts, done.texts, strict=True))
        changed = {index: new for index, (old, new) in pairs if new != old}
        return cls(store, changed, done.outcome)

    def result(self, texts: Sequence[str]) -> CompressedResult:
        shown = [self.changed.get(index, text) for index, text in enumerate(texts)]
        return CompressedResult(texts=tuple(shown), outcome=self.outcome)

    def is_for(self, store: OriginalStore | None) -> bool:
        return self.store is store or self.store == store


class MessageMemory:
    """The results of messages. Safe to use from many threads; a copy has the same results.

    A message is recognized by its id and a digest of its texts.
    """

    def __init__(self) -> None:
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def get(self, message: BaseMessage, store: OriginalStore | None) -> CompressedResult | None:
        """Return the result of a message for a store."""
        texts = open_texts_of(message.content)
        key = _key_of(message, texts)
        with self._lock:
            found: _Remembered | None = self._results.get(key)
        return found.result(texts) if found and found.is_for(store) else None

    def add(
        self, message: BaseMessage, done: CompressedResult, store: OriginalStore | None
    ) -> CompressedResult:
        """Add a result, unless there is one for its store, and return the one that counts."""
        texts = open_texts_of(message.content)
        key, new = _key_of(message, texts), _Remembered.of(texts, done, store)
        with self._lock:
            found: _Remembered | None = self._results.get(key)
            if found is None or not found.is_for(store):
                self._results[key] = found = new
        return found.result(texts)

    def _forget(self) -> None:
        self._results: LRUCache[_Key, _Remembered] = LRUCache(_MAX_REMEMBERED)

    def __getstate__(self) -> list[tuple[_Key, _Remembered]]:
        """Return the results of one moment, although other threads may add some."""
        with self._lock:
            return list(self._results.items())

    def __setstate__(self, state: list[tuple[_Key, _Remembered]]) -> None:
        """Restore the results."""
        MessageMemory.__init__(self)
        self._results.update(state)


def _key_of(message: BaseMessage, texts: Sequence[str]) -> _Key:
    """Return the key of a message: its id and its texts, because others may edit it."""
    call = message.tool_call_id if isinstance(message, ToolMessage) else ""
    return message.id or call, reference_of(json.dumps(texts))
