"""A store of originals in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cachetools import LRUCache

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.originals._original_store import check_limits, reference_of


class _Kept(NamedTuple):
    """A kept text."""

    text: str
    put_at: float


class InMemoryOriginals:
    """Keeps originals until the process ends; the least recently used are dropped first.

    Safe to use from many threads and event loops at once. A copy starts with the same texts and
    is independent afterwards.
    """

    def __init__(
        self,
        *,
        max_chars: int = 20_000_000,
        max_age_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            max_chars: Characters of all texts together.
            max_age_seconds: Seconds after its latest `put` for which a text is kept; None for no
                limit.
            clock: Returns the time in seconds.

        Raises:
            OriginalStoreError: A limit is not above 0.
        """
        check_limits(max_chars=max_chars, max_age_seconds=max_age_seconds)
        self.max_chars = max_chars
        self.max_age_seconds = max_age_seconds
        self._clock = clock
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. A text longer than `max_chars` is not kept."""
        if len(text) > self.max_chars:
            return None
        reference = reference_of(text)
        with self._lock:
            for old in [one for one, kept in self._kept.items() if self._is_old(kept)]:
                del self._kept[old]
            self._kept.pop(reference, None)  # so that it counts as used now
            self._kept[reference] = _Kept(text, self._clock())
        return reference

    def get(self, reference: str) -> str | None:
        """Return the text, or None; see `OriginalStore.get`."""
        with self._lock:
            kept = self._kept.get(reference)
        return None if kept is None or self._is_old(kept) else kept.text

    async def aput(self, text: str) -> str | None:
        """Keep a text, in a thread: hashing a long text takes time."""
        return await asyncio.to_thread(self.put, text)

    async def aget(self, reference: str) -> str | None:
        """Return the text, or None; never blocks."""
        return self.get(reference)

    def _forget(self) -> None:
        """Start with no texts."""
        self._kept: LRUCache[str, _Kept] = LRUCache(
            self.max_chars, getsizeof=lambda kept: len(kept.text)
        )

    def _is_old(self, kept: _Kept) -> bool:
        age = self._clock() - kept.put_at
        return self.max_age_seconds is not None and age >= self.max_age_seconds

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of one moment, although other threads may put texts."""
        with self._lock:
            return {**self.__dict__, "_kept": list(self._kept.items())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the texts, the least recently used first."""
        vars(self).update(state)
        self._lock = ForkSafeLock(self._forget)
        self._forget()
        self._kept.update(state["_kept"])
