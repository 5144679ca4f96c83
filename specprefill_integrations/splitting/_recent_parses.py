"""A cache of parses, from the call that splits a text to the one that links its units."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from specprefill_integrations._fork_safe_lock import ForkSafeLock

Parsed = TypeVar("Parsed")

# Total characters of the cached texts; a longer text is parsed again.
_MOST_CHARS = 2_000_000


class RecentParses(Generic[Parsed]):
    """Parses of the most recent texts, each until it is taken out or evicted.

    Thread-safe. A copy starts empty.
    """

    def __init__(self, *, keeps_last: bool = False) -> None:
        """Start empty.

        Args:
            keeps_last: True to keep the last text whatever its length.
        """
        self._least = int(keeps_last)
        self._found: OrderedDict[str, Parsed] = OrderedDict()
        self._chars = 0
        self._lock = ForkSafeLock()

    def __reduce__(self) -> tuple[Callable[[], RecentParses[Parsed]], tuple[()]]:
        return (partial(type(self), keeps_last=bool(self._least)), ())

    def keep(self, text: str, found: Parsed) -> None:
        """Add the parse of a text, and evict the oldest if necessary."""
        with self._lock:
            self._forget(text)
            self._found[text] = found
            self._chars += len(text)
            while self._chars > _MOST_CHARS and len(self._found) > self._least:
                self._forget(next(iter(self._found)))

    def get(self, text: str) -> Parsed | None:
        """The parse of a text, which stays in the cache; None if there is none."""
        with self._lock:
            return self._found.get(text)

    def take(self, text: str) -> Parsed | None:
        """Remove and return the parse of a text; None if there is none."""
        with self._lock:
            return self._forget(text)

    def _forget(self, text: str) -> Parsed | None:
        found = self._found.pop(text, None)
        if found is not None:
            self._chars -= len(text)
        return found
