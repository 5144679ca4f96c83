"""What a splitter found in a text, kept from the call that cuts it to the one that links it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from specprefill_integrations._fork_safe_lock import ForkSafeLock

Parsed = TypeVar("Parsed")

# As many texts are kept as have this many characters together; a longer one is parsed again.
_MOST_CHARS = 2_000_000


class RecentParses(Generic[Parsed]):
    """What was found in the texts that were parsed last, each until it is taken out or too old.

    Any number of threads may use it. A copy starts empty.
    """

    def __init__(self, *, keeps_last: bool = False) -> None:
        """Start with none.

        Args:
            keeps_last: Whether the text that was parsed last is kept however long it is.
        """
        self._least = int(keeps_last)
        self._found: OrderedDict[str, Parsed] = OrderedDict()
        self._chars = 0
        self._lock = ForkSafeLock()

    def __reduce__(self) -> tuple[Callable[[], RecentParses[Parsed]], tuple[()]]:
        return (partial(type(self), keeps_last=bool(self._least)), ())

    def keep(self, text: str, found: Parsed) -> None:
        """Keep what was found in a text, in place of the oldest if need be."""
        with self._lock:
            self._forget(text)
            self._found[text] = found
            self._chars += len(text)
            while self._chars > _MOST_CHARS and len(self._found) > self._least:
                self._forget(next(iter(self._found)))

    def get(self, text: str) -> Parsed | None:
        """Look up what was found in a text, which is kept; None where that is not known."""
        with self._lock:
            return self._found.get(text)

    def take(self, text: str) -> Parsed | None:
        """Take out what was found in a text; None where that is not known any more."""
        with self._lock:
            return self._forget(text)

    def _forget(self, text: str) -> Parsed | None:
        found = self._found.pop(text, None)
        if found is not None:
            self._chars -= len(text)
        return found
