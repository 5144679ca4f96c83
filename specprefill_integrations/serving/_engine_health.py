"""Health of an engine: it is asked to score a text, and may be busy as long as it gets on."""

from __future__ import annotations

import time
from collections.abc import Callable

from specprefill_integrations._deadline import Deadline
from specprefill_integrations.errors import DeadlineExceededError, EngineBusyError
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.types import Span


class EngineHealth:
    """Asks an engine to score a text.

    If the text has to wait too long, the engine is busy. It counts as stuck only if it has read
    nothing at all for a minute.
    """

    def __init__(
        self,
        engine: ScoringEngine,
        *,
        probe_seconds: float = 5.0,
        stuck_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet.

        Args:
            engine: The engine.
            probe_seconds: Time for the text.
            stuck_seconds: Time without any progress after which a busy engine counts as stuck.
            clock: Returns the time in seconds.
        """
        self._engine = engine
        self._probe_seconds = probe_seconds
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._read_seconds = 0.0
        self._still_since: float | None = None

    async def check(self) -> None:
        """Ask the engine.

        Raises:
            DeadlineExceededError: It has scored nothing yet, or is stuck.
            EngineBusyError: The same, with a full queue.
            Exception: The scorer's own.
        """
        started = self._clock()
        self._note_progress()
        # A new text each time, since an engine remembers its answers; but not at each call.
        text = f"Ready at {started // self._probe_seconds:.0f}."
        scoring = self._engine.ascore_spans("Ready?", [text], [[Span(0, len(text))]])
        try:
            await Deadline.after(self._probe_seconds).wait_for(scoring)
        except (DeadlineExceededError, EngineBusyError):
            self._note_progress()
            if self._still_since is None:
                self._still_since = started
            if not self._read_seconds or self._clock() - self._still_since >= self._stuck_seconds:
                raise
        else:
            self._still_since = None

    def _note_progress(self) -> None:
        seconds = self._engine.statistics.scoring_seconds  # grows with each slice of a text
        if seconds != self._read_seconds:
            self._read_seconds = seconds
            self._still_since = None
