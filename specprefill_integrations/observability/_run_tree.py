"""Which runs of a framework lie in which: chains in agents, calls of models in chains.

Knows ids only.
"""

from __future__ import annotations

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.observability._bounded_dict import BoundedDict


class RunTree:
    """Remembers the path from the outermost run to each that is under way.

    Safe to use from many threads.
    """

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._lock = ForkSafeLock()
        self._paths: BoundedDict[tuple[str, ...]] = BoundedDict()

    def started(self, run_id: str, parent_id: str | None) -> None:
        """A run has begun.

        Args:
            run_id: The run.
            parent_id: The run that it lies in; it may be one that nobody told of.
        """
        with self._lock:
            above = () if parent_id is None else self._paths.get(parent_id, (parent_id,))
            self._paths[run_id] = (*above, run_id)

    def ended(self, run_id: str) -> bool:
        """A run is over. What lies in it may go on, and stays where it is.

        Returns:
            Whether it was an outermost one.
        """
        with self._lock:
            return self._paths.pop(run_id, ()) == (run_id,)

    def path_to(self, run_id: str) -> tuple[str, ...]:
        """The runs that a run lies in, outermost first, and the run itself."""
        with self._lock:
            return self._paths.get(run_id, (run_id,))
