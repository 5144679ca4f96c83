"""Parents of a framework's runs: chains in agents, model calls in chains. Knows ids only."""

from __future__ import annotations

from typing import Any

from cachetools import FIFOCache

from specprefill_integrations._concurrency import ForkSafeLock

# Runs under way in one process; beyond this the oldest count as abandoned.
_MAX_OPEN_RUNS = 10_000


class RunTree:
    """Remembers the path from the outermost run to each run under way. Thread-safe.

    A copy starts empty.
    """

    def __init__(self) -> None:
        """Start with no runs."""
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def _forget(self) -> None:
        self._paths: FIFOCache[str, tuple[str, ...]] = FIFOCache(maxsize=_MAX_OPEN_RUNS)

    def started(self, run_id: str, parent_id: str | None) -> None:
        """Add a run.

        Args:
            run_id: The run.
            parent_id: Its parent, which need not have been reported before.
        """
        with self._lock:
            above = () if parent_id is None else self._paths.get(parent_id, (parent_id,))
            self._paths[run_id] = (*above, run_id)

    def ended(self, run_id: str) -> bool:
        """Remove a run. Its children may go on and keep their path.

        Returns:
            True if it was an outermost run.
        """
        with self._lock:
            return self._paths.pop(run_id, ()) == (run_id,)

    def path_to(self, run_id: str) -> tuple[str, ...]:
        """Return the ancestors of a run, outermost first, then the run itself."""
        with self._lock:
            return self._paths.get(run_id, (run_id,))

    def __reduce__(self) -> tuple[Any, ...]:
        """Recreate the tree without the runs under way."""
        return RunTree, ()
