"""Turns a framework's events about model calls into TTFT records.

Knows no framework: events name the call and the app run it belongs to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cachetools import FIFOCache

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.observability._prompt_saving import PromptChange
from specprefill_integrations.observability._ttft_log import TtftLog
from specprefill_integrations.observability._ttft_record import TokenUsage, TtftRecord

# App runs and model calls under way in one process; beyond this the oldest count as abandoned.
_MAX_OPEN = 10_000


@dataclass(slots=True)
class _AppRun:
    """An app run, such as an agent's: its compressions and model calls belong together."""

    waits: list[tuple[float, float]] = field(default_factory=list)
    """Starts and ends of compressions since the last model call."""

    saved_tokens: int = 0
    """Tokens that compression has removed so far."""

    change: PromptChange = field(default_factory=PromptChange)
    """Changes since the last model call."""

    has_ended: bool = False
    """True if only an announced call is still to come, such as a stream not yet read."""


@dataclass(slots=True, kw_only=True)
class _OpenCall:
    """A model call without an answer yet."""

    app_run_id: str
    """The app run it belongs to."""

    model: str | None
    """The model's name."""

    began: float
    """Start by the recorder's clock."""

    started: float
    """Start in seconds since 1970."""

    waits: list[tuple[float, float]]
    """See `_AppRun`."""

    saved_tokens: int
    """See `_AppRun`."""

    change: PromptChange
    """See `_AppRun`, and what it changed for earlier calls."""

    first_token: float | None = None
    """First token by the recorder's clock."""

    def record(self, run_id: str, now: float, usage: TokenUsage) -> TtftRecord:
        """Return the record of the call once its answer is complete."""
        first_token = self.first_token
        return TtftRecord(
            run_id=run_id,
            started=self.started,
            model=self.model,
            total_seconds=now - self.began,
            first_token_seconds=None if first_token is None else first_token - self.began,
            draft_seconds=_covered_seconds(self.waits),
            saved_tokens=self.saved_tokens,
            change=self.change,
            usage=usage,
        )


class TtftRecorder:
    """Writes a record to a log for each answered model call. Thread-safe.

    Unknown ids are ignored: frameworks also report runs that are of no interest here. A copy
    starts with nothing under way and a copy of the log.
    """

    def __init__(self, log: TtftLog, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with nothing under way.

        Args:
            log: Receives the records.
            clock: A monotonic clock, in seconds.
        """
        self.log = log
        self._clock = clock
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def _forget(self) -> None:
        """Start with nothing under way."""
        self._app_runs: FIFOCache[str, _AppRun] = FIFOCache(maxsize=_MAX_OPEN)
        self._calls: FIFOCache[str, _OpenCall] = FIFOCache(maxsize=_MAX_OPEN)

    def compressed(
        self,
        app_run_id: str,
        seconds: float,
        saved_tokens: int = 0,
        resent_tokens: int | None = None,
    ) -> None:
        """Note a compression that has just ended, successful or not.

        Args:
            app_run_id: The app run it happened in.
            seconds: Its duration.
            saved_tokens: Tokens that it removed.
            resent_tokens: Of a message that a model had read before: see `PromptChange`; None for
                a text that none had read.
        """
        if resent_tokens is None:
            change = PromptChange(new_tokens=saved_tokens)
        else:
            change = PromptChange(rewritten_tokens=saved_tokens, resent_tokens=resent_tokens)
        with self._lock:
            now = self._clock()
            app_run = self._app_run(app_run_id)
            app_run.saved_tokens += saved_tokens
            app_run.change += change
            if seconds > 0:
                app_run.waits.append((now - seconds, now))

    def call_started(
        self, run_id: str, app_run_id: str, model: str | None = None, *, removed_tokens: int = 0
    ) -> None:
        """Note a model call. It is charged with all compression since the run's previous call.

        Args:
            run_id: The call.
            app_run_id: The app run it belongs to.
            model: The model's name.
            removed_tokens: Tokens that compression has removed from the prompt, as far as the
                prompt says so: by earlier app runs, too.
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
                change=_with_earlier(app_run, removed_tokens),
            )
            self._calls[run_id] = call
            app_run.waits = []
            app_run.change = PromptChange()
            if app_run.has_ended:
                del self._app_runs[app_run_id]

    def token_came(self, run_id: str) -> None:
        """Note a non-empty piece of the answer; only the first one counts."""
        with self._lock:
            call = self._calls.get(run_id)
            if call is not None and call.first_token is None:
                call.first_token = self._clock()

    def call_ended(self, run_id: str, usage: TokenUsage) -> None:
        """Note a complete answer."""
        with self._lock:
            call = self._calls.pop(run_id, None)
            now = self._clock()
        if call is not None:
            self.log.add(call.record(run_id, now, usage))

    def call_failed(self, run_id: str) -> None:
        """Note a call without a complete answer; the run's next call is charged with its waits."""
        with self._lock:
            call = self._calls.pop(run_id, None)
            if call is None:
                return
            app_run = self._app_runs.get(call.app_run_id)
            if app_run is not None:
                app_run.waits = call.waits + app_run.waits
                app_run.change += replace(call.change, earlier_tokens=0)
        self.log.add_failure()

    def app_run_ended(self, app_run_id: str) -> None:
        """Note the end of an app run; it is kept if its last compression awaits a call."""
        with self._lock:
            app_run = self._app_runs.get(app_run_id)
            if app_run is not None and app_run.waits:
                app_run.has_ended = True
            elif app_run is not None:
                del self._app_runs[app_run_id]

    def awaits_call(self, app_run_id: str) -> bool:
        """Return True if this app run has compressed since its last model call."""
        with self._lock:
            app_run = self._app_runs.get(app_run_id)
            return app_run is not None and bool(app_run.waits)

    def is_under_way(self, run_id: str) -> bool:
        """Return True if this is a model call without an answer yet."""
        with self._lock:
            return run_id in self._calls

    def __reduce__(self) -> tuple[Any, ...]:
        """Recreate the recorder without what is under way: other processes have other clocks."""
        return TtftRecorder, (self.log, self._clock)

    def _app_run(self, app_run_id: str) -> _AppRun:
        if app_run_id not in self._app_runs:
            self._app_runs[app_run_id] = _AppRun()
        return self._app_runs[app_run_id]


def _with_earlier(app_run: _AppRun, removed_tokens: int) -> PromptChange:
    """Return what changed for a call, with what its prompt shows to be removed for earlier ones.

    What other calls of the app run had removed may never have been in this prompt.
    """
    change = app_run.change
    return replace(change, earlier_tokens=max(0, removed_tokens - change.removed_tokens))


def _covered_seconds(waits: list[tuple[float, float]]) -> float:
    """Length of the union of intervals: tools that run at the same time are waited for once."""
    covered, end_so_far = 0.0, float("-inf")
    for start, end in sorted(waits):
        covered += max(0.0, end - max(start, end_so_far))
        end_so_far = max(end_so_far, end)
    return covered
