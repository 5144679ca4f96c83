"""The limits of a scoring engine, and its counters."""

from __future__ import annotations

from dataclasses import dataclass

from specprefill_integrations._arguments import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    checked,
)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Limits of a scoring engine.

    Raises:
        TypeError: A limit is no whole number.
        ValueError: A limit is too low.
    """

    max_waiting: PositiveInt | None = 4_096
    """Maximum number of waiting requests; another one is refused with `EngineBusyError`. None: no
    limit, every caller waits for its turn."""

    max_batch_chars: PositiveInt | None = None
    """Characters of texts scored together; a longer request is scored alone. None: the scorer's own
    choice. 1: every request is scored alone, with exactly the same scores as without an engine."""

    cache_entries: NonNegativeInt = 256
    """Requests whose scores are kept; 0 for none."""

    exit_seconds: NonNegativeFloat = 20.0
    """Time that the slice being read gets when the program ends; after that it is abandoned. Ending
    a program within native code may crash it."""


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
    """Time in which any thread was scoring."""

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
