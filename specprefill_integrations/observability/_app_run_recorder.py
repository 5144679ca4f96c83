"""The runs of an app that are under way: what a framework tells of them becomes cases in a file.

Knows no framework: it is told what happens, by the id of a run and of the run that it lies in.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.observability._app_run import AppRun, FoundText, LeftOutReason
from specprefill_integrations.observability._bounded_dict import BoundedDict
from specprefill_integrations.observability._case_file import CaseFile

_MAX_OPEN_RUNS = 1_000
_MAX_OPEN_CHARS = 50_000_000
"""More than this is not held of runs that are under way: the oldest are given up."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run of the framework lies."""

    app_run_id: str
    """The outermost run: the app's."""

    source_id: str | None
    """The innermost retriever or tool that it lies in, or is."""


@dataclass(slots=True)
class _OpenRun:
    """A run of the app that has not ended, or whose answer is still to be read."""

    app_run: AppRun
    chars: int = 0
    open_calls: int = 0
    """Calls of models that have not answered yet."""
    is_promised: bool = False
    """Whether it has ended and its answer comes with the next text of a model."""


class AppRunRecorder:
    """Writes a case for every run of an app that makes one. Safe to use from many threads.

    An id that it does not know, or knows no more, is no error: it is told of all that happens.
    """

    def __init__(self, file: CaseFile, *, task: str, sample: float) -> None:
        """Start with nothing under way.

        Args:
            file: Takes the cases.
            task: What the questions are called, all of them.
            sample: Which share of the runs is recorded, in (0, 1].

        Raises:
            ValueError: `sample` is no such share.
        """
        if not 0 < sample <= 1:
            msg = f"sample must be in (0, 1]; got {sample!r}."
            raise ValueError(msg)
        self._file = file
        self._task = task
        self._sample = sample
        self._lock = ForkSafeLock()
        self._places: BoundedDict[_Place] = BoundedDict()
        self._calls: BoundedDict[str] = BoundedDict()
        self._runs: OrderedDict[str, _OpenRun] = OrderedDict()
        self._chars = 0
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many runs of the app were `recorded`; others by why they were not."""
        with self._lock:
            return dict(self._counts)

    def began(self, run_id: str, parent_id: str | None, question: Callable[[], str | None]) -> bool:
        """A run of the framework has begun.

        Args:
            run_id: The run.
            parent_id: The run that it lies in; one that nobody told of is none.
            question: Says what the app was asked; called for an outermost run alone.

        Returns:
            Whether it lies in another one.
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
        """A run that lies in another one is a retriever or a tool.

        Args:
            run_id: The run.
            query: What a retriever was asked; None for a tool.
        """
        with self._lock:
            place = self._places.get(run_id)
            open_run = self._runs.get(place.app_run_id) if place else None
            if place is None or open_run is None or place.app_run_id == run_id:
                return
            self._places[run_id] = _Place(place.app_run_id, run_id)
            open_run.app_run.source_began(run_id, place.source_id, query)

    def source_ended(self, run_id: str, found: Callable[[], Sequence[FoundText]]) -> None:
        """A retriever or a tool has given its texts.

        Args:
            run_id: The run.
            found: Says what it gave; called where that is recorded.
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
        """A model is called.

        Args:
            call_id: The run that the call is.
            promised_run_id: A run of the app whose answer this may be, if it awaits one.
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
        """A model has answered, or it never will.

        Args:
            call_id: See `call_began`.
            text: What it said to the user; None or blank where it did not, as in a call of a tool.
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
        """A run of the framework is over.

        Args:
            run_id: The run.
            reply: Says what the app answered, blank for nothing, or None where only its last
                model knows; called for an outermost run alone.
        """
        open_run = self._left(run_id)
        if open_run is None:
            return
        if open_run.open_calls:  # nobody reads what the model still says
            self._close(run_id, "abandoned")
        else:
            open_run.app_run.reply = reply()
            self._close(run_id)

    def answered(self, run_id: str, reply: str) -> None:
        """A stream was read to its end.

        Args:
            run_id: The run that it came in, or one within it.
            reply: All that it said.
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
        """A run is over, but its answer is a stream that may still be read.

        What reads it may begin only now, in a thread, and lies in it too.
        """
        with self._lock:
            open_run = self._runs.get(run_id)
            if open_run is None:
                self._places.pop(run_id, None)
                return
            open_run.app_run.last_said = None  # of a model that prepared something
            open_run.is_promised = True
            is_complete = open_run.app_run.reply is not None
        if is_complete:
            self._close(run_id)

    def failed(self, run_id: str) -> None:
        """A run of the framework has raised."""
        if self._left(run_id) is not None:
            self._close(run_id, "failed")

    def _left(self, run_id: str) -> _OpenRun | None:
        """Forget where a run lies; what is open of it, if it is an outermost one."""
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
        """Give up the oldest runs where too much is held; the lock is held."""
        while len(self._runs) > _MAX_OPEN_RUNS or (self._chars > _MAX_OPEN_CHARS and self._runs):
            _, oldest = self._runs.popitem(last=False)
            self._chars -= oldest.chars
            self._counts["abandoned"] += 1
