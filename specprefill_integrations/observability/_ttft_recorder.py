"""Calls of a model that are under way: what a framework tells of them becomes records.

Knows no framework: it is told what happens, by the id of a call and of the run that it belongs to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.observability._bounded_dict import BoundedDict
from specprefill_integrations.observability._ttft_log import TtftLog
from specprefill_integrations.observability._ttft_record import TokenUsage, TtftRecord


@dataclass(slots=True)
class _AppRun:
    """A run of the app, such as an agent's: compression and calls of a model belong together."""

    waits: list[tuple[float, float]] = field(default_factory=list)
    """When compression worked that no call has answered for yet: starts and ends."""

    saved_tokens: int = 0
    """By how much it has shortened texts so far."""

    has_ended: bool = False
    """Whether nothing is left of it but a call that was promised, such as a stream not yet read."""


@dataclass(slots=True, kw_only=True)
class _OpenCall:
    """A call of the model that is not answered yet."""

    app_run_id: str
    """The run of the app that it belongs to."""

    model: str | None
    """The model's name."""

    began: float
    """By the recorder's clock."""

    started: float
    """In seconds since 1970."""

    waits: list[tuple[float, float]]
    """See `_AppRun`."""

    saved_tokens: int
    """See `_AppRun`."""

    first_token: float | None = None
    """By the recorder's clock."""

    def record(self, run_id: str, now: float, usage: TokenUsage) -> TtftRecord:
        """What is told of it once its answer is complete."""
        first_token = self.first_token
        return TtftRecord(
            run_id=run_id,
            started=self.started,
            model=self.model,
            total_seconds=now - self.began,
            first_token_seconds=None if first_token is None else first_token - self.began,
            draft_seconds=_covered_seconds(self.waits),
            saved_tokens=self.saved_tokens,
            usage=usage,
        )


class TtftRecorder:
    """Turns what a framework tells into records of a log. Safe to use from many threads.

    An id that it does not know, or knows no more, is no error: it is told of all that happens, and
    listens to some of it.
    """

    def __init__(self, log: TtftLog, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with nothing under way.

        Args:
            log: Where records go.
            clock: Tells the seconds since any moment, and never goes back.
        """
        self.log = log
        self._clock = clock
        self._lock = ForkSafeLock()
        self._app_runs: BoundedDict[_AppRun] = BoundedDict()
        self._calls: BoundedDict[_OpenCall] = BoundedDict()

    def compressed(self, app_run_id: str, seconds: float, saved_tokens: int = 0) -> None:
        """A text was compressed, or tried to be, and that has just ended.

        Args:
            app_run_id: The run of the app that it happened in.
            seconds: How long it took.
            saved_tokens: By how much the text became shorter.
        """
        with self._lock:
            now = self._clock()
            app_run = self._app_run(app_run_id)
            app_run.saved_tokens += saved_tokens
            if seconds > 0:
                app_run.waits.append((now - seconds, now))

    def call_started(self, run_id: str, app_run_id: str, model: str | None = None) -> None:
        """A model is called: it answers for all compression since the last call of this run.

        Args:
            run_id: The call.
            app_run_id: The run of the app that it belongs to.
            model: The model's name.
        """
        with self._lock:
            app_run = self._app_run(app_run_id)
            call = _OpenCall(
                app_run_id=app_run_id,
                model=model,
                began=self._clock(),
                started=time.time(),
                waits=app_run.waits,
                saved_tokens=app_run.saved_tokens,
            )
            self._calls[run_id] = call
            app_run.waits = []
            if app_run.has_ended:
                del self._app_runs[app_run_id]

    def token_came(self, run_id: str) -> None:
        """A piece of the answer that holds something has come; only the first one counts."""
        with self._lock:
            call = self._calls.get(run_id)
            if call is not None and call.first_token is None:
                call.first_token = self._clock()

    def call_ended(self, run_id: str, usage: TokenUsage) -> None:
        """The answer is complete."""
        with self._lock:
            call = self._calls.pop(run_id, None)
            now = self._clock()
        if call is not None:
            self.log.add(call.record(run_id, now, usage))

    def call_failed(self, run_id: str) -> None:
        """There will be no answer, or no more of it: another call answers for compression."""
        with self._lock:
            call = self._calls.pop(run_id, None)
            if call is None:
                return
            app_run = self._app_runs.get(call.app_run_id)
            if app_run is not None:
                app_run.waits = call.waits + app_run.waits
        self.log.add_failure()

    def app_run_ended(self, app_run_id: str) -> None:
        """Nothing more happens in this run of the app, but for a call that compression awaits."""
        with self._lock:
            app_run = self._app_runs.get(app_run_id)
            if app_run is not None and app_run.waits:
                app_run.has_ended = True
            elif app_run is not None:
                del self._app_runs[app_run_id]

    def awaits_call(self, app_run_id: str) -> bool:
        """Whether there was compression in this run of the app that no call has answered for."""
        with self._lock:
            app_run = self._app_runs.get(app_run_id)
            return app_run is not None and bool(app_run.waits)

    def is_under_way(self, run_id: str) -> bool:
        """Whether this is a call that is not answered yet."""
        with self._lock:
            return run_id in self._calls

    def _app_run(self, app_run_id: str) -> _AppRun:
        if app_run_id not in self._app_runs:
            self._app_runs[app_run_id] = _AppRun()
        return self._app_runs[app_run_id]


def _covered_seconds(waits: list[tuple[float, float]]) -> float:
    """How long at least one of them lasted: tools that run at the same time are waited for once."""
    covered, end_so_far = 0.0, float("-inf")
    for start, end in sorted(waits):
        covered += max(0.0, end - max(start, end_so_far))
        end_so_far = max(end_so_far, end)
    return covered
