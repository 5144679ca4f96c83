"""The parts of a draft that are loaded, and the failures of those that could not be."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.errors import DraftModelError

RETRY_SECONDS = 300
"""After this time a failure that may pass, such as an unreachable hub, is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftState:
    """The state of a draft; asking for it loads nothing."""

    location: str
    """The place that the draft comes from, for people."""

    device: str
    """The device that it runs on."""

    dtype: str
    """The type of its weights."""

    layers: int | None
    """Layers that are loaded; None for the whole model."""

    weight_bytes: int | None
    """Memory of its weights; None if they are not loaded."""

    failure: str | None
    """Why it could not be loaded; None if that was not tried, or succeeded."""

    @property
    def is_loaded(self) -> bool:
        """True if the weights are in memory."""
        return self.weight_bytes is not None


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed attempt to load a draft, so that it is not repeated for every call.

    Holds no exception: that would keep the frames of the attempt alive.
    """

    kind: type[DraftModelError]
    message: str
    files: str
    """State of the draft's files at that time."""

    retry_at: float
    """Seconds of `time.monotonic`."""

    @classmethod
    def of(cls, error: DraftModelError, files: str) -> _Failure:
        """Remember an error."""
        retry_at = time.monotonic() + RETRY_SECONDS if error.may_pass else math.inf
        return cls(type(error), str(error), files, retry_at)

    def holds(self, files: str) -> bool:
        """Return True if another attempt would fail alike."""
        return files == self.files and time.monotonic() < self.retry_at

    def error(self) -> DraftModelError:
        """Return the error again."""
        error = self.kind(self.message)
        error.may_pass = self.retry_at < math.inf
        return error


class DraftParts:
    """Parts of a draft by name, each loaded once for all threads.

    A failure is remembered: the part is not tried again before the draft's files change or, if it
    may pass, some minutes are over.
    """

    def __init__(self, **loaded: Any) -> None:  # noqa: ANN401 - transformers' classes are untyped
        """Start with some parts."""
        self._loaded = loaded
        self._failures: dict[str, _Failure] = {}
        self._lock = ForkSafeLock()

    def get(self, name: str, load: Callable[[], Any], files: Callable[[], str]) -> Any:  # noqa: ANN401
        """Return a part, loaded now if it is not yet.

        Args:
            name: The part.
            load: Loads it.
            files: Returns the state of the draft's files.

        Raises:
            DraftModelError: The error of `load`, now or before.
        """
        if name not in self._loaded:
            with self._lock:
                if name not in self._loaded:
                    self._loaded[name] = self._first(name, load, files)
        return self._loaded[name]

    def loaded(self, name: str) -> Any:  # noqa: ANN401
        """Return a part that is loaded, else None."""
        return self._loaded.get(name)

    @property
    def failure(self) -> str | None:
        """The message of a remembered failure; None if there is none."""
        return next((failure.message for failure in list(self._failures.values())), None)

    def _first(self, name: str, load: Callable[[], Any], files: Callable[[], str]) -> Any:  # noqa: ANN401
        before = self._failures.get(name)
        if before is not None and before.holds(files()):
            raise before.error()
        try:
            found = load()
        except DraftModelError as error:
            self._failures[name] = _Failure.of(error, files())
            raise
        self._failures.pop(name, None)
        return found
