"""The compressed messages of long conversations, so that the next turn shows the same texts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cachetools import LRUCache
from langchain_core.messages import BaseMessage, ToolMessage

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.langchain._messages import open_texts_of
from specprefill_integrations.originals import OriginalStore, reference_of
from specprefill_integrations.tool_results import CompressedResult

# Messages whose results are remembered; the least recently used are forgotten first.
_MAX_REMEMBERED = 10_000

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The result of a message, and the store that its gap markers refer to."""

    store: OriginalStore | None
    done: CompressedResult

    def is_for(self, store: OriginalStore | None) -> bool:
        return self.store is store or self.store == store


class MessageMemory:
    """The results of messages. Safe to use from many threads; a copy has the same results."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def get(self, key: _Key, store: OriginalStore | None) -> CompressedResult | None:
        """Return the result for a store."""
        with self._lock:
            found: Remembered | None = self._results.get(key)
            return found.done if found and found.is_for(store) else None

    def add(self, key: _Key, new: Remembered) -> CompressedResult:
        """Add a result, unless there is one for its store, and return the one that is kept."""
        with self._lock:
            found: Remembered | None = self._results.get(key)
            if found is None or not found.is_for(new.store):
                self._results[key] = found = new
            return found.done

    def _forget(self) -> None:
        self._results: LRUCache[_Key, Remembered] = LRUCache(_MAX_REMEMBERED)

    def __getstate__(self) -> list[tuple[_Key, Remembered]]:
        """Return the results of one moment, although other threads may add some."""
        with self._lock:
            return list(self._results.items())

    def __setstate__(self, state: list[tuple[_Key, Remembered]]) -> None:
        """Restore the results."""
        MessageMemory.__init__(self)
        self._results.update(state)


def key_of(message: BaseMessage) -> _Key:
    """Return the key of a message: its id and its texts, because others may edit it."""
    call = message.tool_call_id if isinstance(message, ToolMessage) else ""
    return message.id or call, reference_of(json.dumps(open_texts_of(message.content)))
