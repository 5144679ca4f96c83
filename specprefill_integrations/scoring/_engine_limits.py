"""The limits of a scoring engine, and its counters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Limits of a scoring engine.

    Raises:
        TypeError: A limit is no whole number.
        ValueError: A limit is too low.
    """

    max_waiting: int | None = 4_096
    """Maximum number of waiting requests; another one is refused with `EngineBusyError`. None: no
    limit, every caller waits for its turn."""

    max_batch_chars: int | None = None
    """Characters of texts scored together; a longer request is scored alone. None: the scorer's own
    choice. 1: every request is scored alone, with exactly the same scores as without an engine."""

    cache_entries: int = 256
    """Requests whose scores are kept; 0 for none."""

    exit_seconds: float = 20.0
    """Time that the slice being read gets when the program ends; after that it is abandoned. Ending
    a program within native code may crash it."""

    def __post_init__(self) -> None:
        """Reject limits that mean nothing."""
        for name, least in (("max_waiting", 1), ("max_batch_chars", 1), ("cache_entries", 0)):
            limit = getattr(self, name)
            if limit is None and name != "cache_entries":
                continue
            if isinstance(limit, bool) or not isinstance(limit, Integral):
                msg = f"{name} must be a whole number; got {limit!r}."
                raise TypeError(msg)
            if limit < least:
                msg = f"{name} must be at least {least}; got {limit!r}."
                raise ValueError(msg)
        if isinstance(self.exit_seconds, bool) or not isinstance(self.exit_seconds, Real):
            msg = f"exit_seconds must be a number; got {self.exit_seconds!r}."
            raise TypeError(msg)
        if not 0 <= self.exit_seconds < math.inf:
            msg = f"exit_seconds must be finite and at least 0; got {self.exit_seconds!r}."
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """Counters of a scoring engine."""

    calls: int = 0
    """Calls accepted."""

    cache_hits: int = 0
    """Calls answered from the cache or by a request that was already waiting or being scored."""

    batches: int = 0
    """Batches scored."""

    batched_requests: int = 0
    """Requests in all batches."""

    scoring_seconds: float = 0.0
    """Time spent on scoring."""

    deadline_misses: int = 0
    """Calls that missed their deadline."""

    cancelled: int = 0
    """Calls cancelled for another reason."""

    restarts: int = 0
    """Batches lost to an error that ends threads, such as `SystemExit`."""

    waiting: int = 0
    """Requests waiting now."""

    @property
    def mean_batch_requests(self) -> float:
        """Mean number of requests per batch; 0.0 before the first batch."""
        return self.batched_requests / self.batches if self.batches else 0.0
