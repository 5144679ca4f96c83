"""Turns a framework's events about an app's runs into evaluation cases in a file.

Knows no framework: events name a run and its parent.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cachetools import FIFOCache

from specprefill_integrations._arguments import Share, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.observability._app_run import AppRun, FoundText, LeftOutReason
from specprefill_integrations.observability._case_file import CaseFile

# Beyond these limits the oldest app runs under way are abandoned.
_MAX_OPEN_RUNS = 1_000
_MAX_OPEN_CHARS = 50_000_000

# Runs and model calls of the framework under way; beyond this the oldest count as abandoned.
_MAX_OPEN = 10_000


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a framework's run in an app run."""

    app_run_id: str
    """The outermost run, which is the app's."""

    source_id: str | None
    """The innermost retriever or tool that contains the run, or is it."""


@dataclass(slots=True)
class _OpenRun:
    """An app run that has not ended, or whose answer is still to be read."""

    app_run: AppRun
    chars: int = 0
    open_calls: int = 0
    """Model calls without an answer yet."""
    is_promised: bool = False
    """True if it has ended and the next text of a model is its answer."""


class AppRunRecorder:
    """Writes a case for each app run that yields one. Thread-safe.

    Unknown ids are ignored: frameworks also report runs that are of no interest here. A deep copy
    writes to the same file and starts with nothing under way.
    """

    @checked
    def __init__(self, file: CaseFile, *, task: str, sample: Share) -> None:
        """Start with nothing under way.

        Args:
            file: Receives the cases.
            task: The task of all cases.
            sample: The share of runs to record, in (0, 1].

        Raises:
            ValueError: `sample` is not in (0, 1].
        """
        self._file = file
        self._task = task
        self._sample = sample
        self._lock = ForkSafeLock(self._forget)
        self._counts: Counter[str] = Counter()
        self._forget()

    def _forget(self) -> None:
        """Start with nothing under way."""
        self._places: FIFOCache[str, _Place] = FIFOCache(maxsize=_MAX_OPEN)
        self._calls: FIFOCache[str, str] = FIFOCache(maxsize=_MAX_OPEN)
        self._runs: OrderedDict[str, _OpenRun] = OrderedDict()
        self._chars = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of app runs `recorded`, and of others by the reason why they were not."""
        with self._lock:
            return dict(self._counts)

    def began(self, run_id: str, parent_id: str | None, question: Callable[[], str | None]) -> bool:
        """Note the start of a run.

        Args:
            run_id: The run.
            parent_id: Its parent; an unknown one counts as none.
            question: Returns the app's question; called for outermost runs only.

        Returns:
            True if another known run contains it.
        """
        with self._lock:
            outer = self._places.get(parent_id or "")
            self._places[run_id] = outer or _Place(run_id, None)
        if outer is not None:
            return True
        reason = self._why_not_recorded(run_id)
        asked = None if reason else question()
        with self._lock:
            if reason:
                self._counts[reason] += 1
            else:
                self._runs[run_id] = _OpenRun(AppRun(asked))
                self._make_room()
        return False

    def source_began(self, run_id: str, query: str | None = None) -> None:
        """Mark an inner run as a retriever or tool.

        Args:
            run_id: The run.
            query: The retriever's query; None for a tool.
        """
        with self._lock:
            place = self._places.get(run_id)
            open_run = self._runs.get(place.app_run_id) if place else None
            if place is None or open_run is None or place.app_run_id == run_id:
                return
            self._places[run_id] = _Place(place.app_run_id, run_id)
            open_run.app_run.source_began(run_id, place.source_id, query)

    def source_ended(self, run_id: str, found: Callable[[], Sequence[FoundText]]) -> None:
        """Note the end of a retriever or tool.

        Args:
            run_id: The run.
            found: Returns its texts; called only if they are recorded.
        """
        with self._lock:
            place = self._places.get(run_id)
            is_recorded = place is not None and place.app_run_id in self._runs
        if place is None or not is_recorded:
            return
        texts = found()
        with self._lock:
            open_run = self._runs.get(place.app_run_id)
            if open_run is not None:
                open_run.app_run.source_ended(run_id, texts)
                self._chars += open_run.app_run.chars - open_run.chars
                open_run.chars = open_run.app_run.chars
                self._make_room()

    def call_began(self, call_id: str, promised_run_id: str | None = None) -> None:
        """Note the start of a model call.

        Args:
            call_id: The run of the call.
            promised_run_id: An app run whose answer this is, if that run awaits one.
        """
        with self._lock:
            place = self._places.get(call_id)
            app_run_id = place.app_run_id if place else ""
            promised = self._runs.get(promised_run_id or "")
            if promised_run_id and promised is not None and promised.is_promised:
                app_run_id = promised_run_id
            open_run = self._runs.get(app_run_id)
            if open_run is not None:
                open_run.open_calls += 1
                self._calls[call_id] = app_run_id

    def call_ended(self, call_id: str, text: str | None) -> None:
        """Note the end of a model call.

        Args:
            call_id: See `call_began`.
            text: The model's text; None or blank if there is none, as in a tool call.
        """
        with self._lock:
            app_run_id = self._calls.pop(call_id, "")
            open_run = self._runs.get(app_run_id)
            if open_run is None:
                return
            open_run.open_calls -= 1
            has_answered = bool(text and text.strip())
            if has_answered:
                open_run.app_run.last_said = text
            is_complete = has_answered and open_run.is_promised
        if is_complete:
            self._close(app_run_id)

    def ended(self, run_id: str, reply: Callable[[], str | None]) -> None:
        """Note the end of a run.

        Args:
            run_id: The run.
            reply: Returns the app's answer: blank if empty, None if it is the last model's text.
                Called for outermost runs only.
        """
        open_run = self._left(run_id)
        if open_run is None:
            return
        if open_run.open_calls:  # what the model still says is not read
            self._close(run_id, "abandoned")
        else:
            open_run.app_run.reply = reply()
            self._close(run_id)

    def answered(self, run_id: str, reply: str) -> None:
        """Note a stream that was read to its end.

        Args:
            run_id: The run that returned the stream, or one within it.
            reply: Its whole text.
        """
        with self._lock:
            place = self._places.get(run_id)
            open_run = self._runs.get(place.app_run_id) if place else None
            if place is None or open_run is None:
                return
            open_run.app_run.reply = reply
            is_complete = open_run.is_promised
        if is_complete:
            self._close(place.app_run_id)

    def ended_with_promise(self, run_id: str) -> None:
        """Note the end of a run whose answer is a stream that may still be read.

        Runs within it, such as the model call in a reading thread, may begin only now.
        """
        with self._lock:
            open_run = self._runs.get(run_id)
            if open_run is None:
                self._places.pop(run_id, None)
                return
            open_run.app_run.last_said = None  # said by a model that prepared something
            open_run.is_promised = True
            is_complete = open_run.app_run.reply is not None
        if is_complete:
            self._close(run_id)

    def failed(self, run_id: str) -> None:
        """Note a run that raised an exception."""
        if self._left(run_id) is not None:
            self._close(run_id, "failed")

    def __reduce__(self) -> tuple[Any, ...]:
        """Recreate the recorder without the runs under way."""
        return partial(AppRunRecorder, task=self._task, sample=self._sample), (self._file,)

    def _left(self, run_id: str) -> _OpenRun | None:
        """Forget a run's place; return its open app run if it is an outermost one."""
        with self._lock:
            self._places.pop(run_id, None)
            return self._runs.get(run_id)

    def _close(self, app_run_id: str, reason: LeftOutReason | None = None) -> None:
        with self._lock:
            self._places.pop(app_run_id, None)
            open_run = self._runs.pop(app_run_id, None)
            if open_run is None:
                return
            self._chars -= open_run.chars
        case = reason or open_run.app_run.case(app_run_id, self._task)
        outcome = case if isinstance(case, str) else self._write(case)
        with self._lock:
            self._counts[outcome] += 1

    def _write(self, case: Mapping[str, object]) -> str:
        return "recorded" if self._file.add(case) else "no_room"

    def _why_not_recorded(self, run_id: str) -> str | None:
        if not self._file.takes_more:
            return "no_room"
        drawn = int.from_bytes(hashlib.blake2b(run_id.encode(), digest_size=8).digest(), "big")
        return None if drawn < self._sample * 2**64 else "not_sampled"

    def _make_room(self) -> None:
        """Abandon the oldest runs while a limit is exceeded. The lock must be held."""
        while len(self._runs) > _MAX_OPEN_RUNS or (self._chars > _MAX_OPEN_CHARS and self._runs):
            _, oldest = self._runs.popitem(last=False)
            self._chars -= oldest.chars
            self._counts["abandoned"] += 1
