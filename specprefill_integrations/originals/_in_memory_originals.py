"""Originals in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.originals._original_store import check_limits, reference_of


class _Kept(NamedTuple):
    """A text and when it was put."""

    text: str
    put_at: float


class InMemoryOriginals:
    """Keeps originals until the process ends; where room runs out, the longest unused go first.

    Safe to use from many threads and event loops at once.
    """

    def __init__(
        self,
        *,
        max_chars: int = 20_000_000,
        max_age_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say how much is kept, and for how long.

        Args:
            max_chars: Characters of all texts together.
            max_age_seconds: How long after it was last put a text is given back; None is for as
                long as there is room.
            clock: Tells the time in seconds.

        Raises:
            OriginalStoreError: A limit is not above 0.
        """
        check_limits(max_chars=max_chars, max_age_seconds=max_age_seconds)
        self.max_chars = max_chars
        self.max_age_seconds = max_age_seconds
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the longest unused first
        self._chars = 0
        self._lock = ForkSafeLock()

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. One of more than `max_chars` is not kept."""
        if len(text) > self.max_chars:
            return None
        reference = reference_of(text)
        with self._lock:
            self._drop(reference)
            self._kept[reference] = _Kept(text, self._clock())
            self._chars += len(text)
            self._make_room()
        return reference

    def get(self, reference: str) -> str | None:
        """The text, or None; see `OriginalStore.get`."""
        with self._lock:
            kept = self._kept.get(reference)
            if kept is None or self._is_old(kept):
                return None
            self._kept.move_to_end(reference)
            return kept.text

    async def aput(self, text: str) -> str | None:
        """`put`, in a thread: a long text takes a while to hash."""
        return await asyncio.to_thread(self.put, text)

    async def aget(self, reference: str) -> str | None:
        """`get`, which waits for nothing."""
        return self.get(reference)

    def _make_room(self) -> None:
        """Drop what is too old, then the longest unused; the lock is held."""
        if self.max_age_seconds is not None:
            for reference in [one for one, kept in self._kept.items() if self._is_old(kept)]:
                self._drop(reference)
        while self._chars > self.max_chars:
            self._drop(next(iter(self._kept)))

    def _drop(self, reference: str) -> None:
        kept = self._kept.pop(reference, None)
        if kept is not None:
            self._chars -= len(kept.text)

    def _is_old(self, kept: _Kept) -> bool:
        age = self._clock() - kept.put_at
        return self.max_age_seconds is not None and age >= self.max_age_seconds
