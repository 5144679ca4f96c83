"""Progress on stderr: spinners and bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from specprefill_integrations.cli._terminal import printable, stderr_console

LINE_SECONDS = 15.0
"""Time between two lines of progress outside a terminal."""

_PATIENCE_SECONDS = 0.9


@contextmanager
def working(
    message: str, *, quiet: bool, patience: float = _PATIENCE_SECONDS
) -> Iterator[Callable[[str], None]]:
    """Say what is being done, for as long as it takes.

    Args:
        message: What is being done, such as `loading the draft`.
        quiet: Say nothing.
        patience: Seconds before the line is printed, outside a terminal.

    Yields:
        Function that changes the message; outside a terminal, each one is a line of its own.
    """
    shown = f"{printable(message)} ..."
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with stderr_console().status(shown) as status:
            yield lambda text: status.update(f"{printable(text)} ...")
    else:
        timer = _start_timer(shown, patience)

        def change(text: str) -> None:
            nonlocal timer
            timer.cancel()
            timer = _start_timer(f"{printable(text)} ...", LINE_SECONDS)

        try:
            yield change
        finally:
            timer.cancel()


def _start_timer(line: str, seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, _print_line, [line, stderr_console()])
    timer.daemon = True
    timer.start()
    return timer


def _print_line(line: str, console: Console) -> None:
    console.print(line, markup=False, soft_wrap=True)


def progress_bar(*, quiet: bool) -> Progress:
    """Progress of tasks: a bar in a terminal, elsewhere a line every `LINE_SECONDS`."""
    if not quiet and not sys.stderr.isatty():
        return _ProgressLines()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr_console(),
        disable=quiet,
    )


class _ProgressLines(Progress):
    """Progress as lines for a log, such as `reading: 12 of 150, 0:03:20 left`."""

    def __init__(self) -> None:
        # Updated by each step instead of by a thread, so that the last line is never late.
        super().__init__(console=stderr_console(), disable=True, auto_refresh=False)
        self._next_line = monotonic() + LINE_SECONDS

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Count a step, and print a line if the last one is some time ago."""
        super().advance(task_id, advance)
        if monotonic() < self._next_line:
            return
        self._next_line = monotonic() + LINE_SECONDS
        task = self._tasks[task_id]
        left = TimeRemainingColumn(elapsed_when_finished=True).render(task)
        total = "?" if task.total is None else f"{task.total:,.0f}"
        line = f"{task.description}: {task.completed:,.0f} of {total}, {left} left"
        _print_line(line, self.console)
