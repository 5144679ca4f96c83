"""A store of originals in the memory of one process."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

from cachetools import TTLCache

from specprefill_integrations._arguments import check, checked
from specprefill_integrations._concurrency import ForkSafeLock, run_in_thread
from specprefill_integrations.originals._original_store import check_limits, new_key, reference_of


class _Timer:
    """A clock that never steps back, which a `TTLCache` could not bear."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest = -math.inf

    def __call__(self) -> float:
        self._latest = max(self._latest, self._clock())
        return self._latest


class InMemoryOriginals:
    """Keeps originals until the process ends; the least recently used are dropped first.

    Safe to use from many threads and event loops at once. A copy starts with the same texts and
    references and is independent afterwards.
    """

    @checked
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
        self._key = new_key()
        self._timer = _Timer(clock)
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. A text longer than `max_chars` is not kept."""
        reference = self.reference_of(text)
        if reference is not None:
            with self._lock:
                self._texts[reference] = text
        return reference

    def get(self, reference: str) -> str | None:
        """Return the text, or None; see `OriginalStore.get`."""
        check("reference", reference, str)
        with self._lock:
            text: str | None = self._texts.get(reference)
            return text

    def reference_of(self, text: str) -> str | None:
        """Return the reference of a text; None if it is longer than `max_chars`."""
        check("text", text, str)
        return None if len(text) > self.max_chars else reference_of(text, self._key)

    async def areference_of(self, text: str) -> str | None:
        """Return the reference of a text, in a thread."""
        return await run_in_thread(lambda: self.reference_of(text))

    async def aput(self, text: str) -> str | None:
        """Keep a text, in a thread: hashing a long text takes time."""
        return await run_in_thread(lambda: self.put(text))

    async def aget(self, reference: str) -> str | None:
        """Return the text, or None; never blocks."""
        return self.get(reference)

    def _forget(self) -> None:
        """Start with no texts."""
        max_age = math.inf if self.max_age_seconds is None else self.max_age_seconds
        self._texts: TTLCache[str, str] = TTLCache(
            self.max_chars, max_age, timer=self._timer, getsizeof=len
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of one moment, although other threads may put texts."""
        with self._lock:
            texts = copy.deepcopy(self._texts, {id(self._timer): self._timer})  # the same clock
        return {**self.__dict__, "_texts": texts}
