"""One line on stderr for what takes more than two seconds, where somebody looks at it.

That is in a terminal or a notebook. A service, a thread pool or a log never sees one: outside a
notebook only the main thread shows a line, and not while an event loop runs in it. The environment
variable `SPECPREFILL_PROGRESS=0` turns it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from specprefill_integrations._concurrency import ForkSafeLock

AFTER_SECONDS = 2.0
"""Time before the line is shown."""

EVERY_SECONDS = 1.0
"""Time between two updates."""

logger = logging.getLogger(__name__)

_SWITCH = "SPECPREFILL_PROGRESS"

ItemT = TypeVar("ItemT")

_lock = ForkSafeLock()
_shown: list[_Line] = []
_hidden = 0


class _Line:
    """A line that a thread writes again and again."""

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        self._started = monotonic()
        self._width = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Remove the line."""
        self._is_over.set()
        self._thread.join()
        self._remove()

    def _remove(self) -> None:
        if self._width:
            self._write("")
            self._write("")

    def _keep_writing(self) -> None:
        seconds = AFTER_SECONDS
        while not _wait(self._is_over, seconds):
            seconds = EVERY_SECONDS
            if self.text is not None:
                self._write(f"{self.text} ... {monotonic() - self._started:.0f} s")
            else:
                self._remove()

    def _write(self, text: str) -> None:
        # Without escape codes, which not every notebook knows; blanks cover what was longer.
        line = f"\r{text.ljust(self._width)}"
        self._width = len(text)
        with contextlib.suppress(OSError, ValueError):  # closed, or the reader is gone
            sys.stderr.write(line)
            sys.stderr.flush()


def _wait(is_over: threading.Event, seconds: float) -> bool:
    return is_over.wait(seconds)


@contextmanager
def progress_line(text: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done, if it takes long and nothing else is shown.

    Args:
        text: What is being done, such as `Compressing 3 texts`.

    Yields:
        Function that changes the text.
    """
    with _lock:
        line = None if _shown or _hidden else _line(text)
        if line is not None:
            _shown.append(line)

    def change(text: str) -> None:
        if line is not None:
            line.text = text

    try:
        yield change
    finally:
        if line is not None:
            with _lock:
                _shown.remove(line)
            line.close()


@contextmanager
def no_progress_line() -> Iterator[None]:
    """Show no line in the block, as where a command shows its own progress."""
    global _hidden  # noqa: PLW0603 - of the whole process, as stderr is
    with _lock:
        _hidden += 1
    try:
        yield
    finally:
        with _lock:
            _hidden -= 1


@contextmanager
def shown_instead(text: str | None) -> Iterator[bool]:
    """Change the line that is shown, if there is one; a log message would run into it.

    Args:
        text: What is being done in the block, on whatever thread; None hides the line.

    Yields:
        True if there is a line.
    """
    with _lock:
        before = [(line, line.text) for line in _shown]
        for line, _ in before:
            line.text = text
    try:
        yield bool(before)
    finally:
        for line, former in before:
            line.text = former


@contextmanager
def counted(items: Sequence[ItemT], text: str) -> Iterator[Iterator[ItemT]]:
    """Show a line with the number of items that are done.

    Args:
        items: The items.
        text: What is being done, such as `Reading cases`.

    Yields:
        Iterator over the items.
    """
    with progress_line(text) as change:

        def each() -> Iterator[ItemT]:
            for number, item in enumerate(items):
                change(f"{text}: {number:,} of {len(items):,}")
                yield item

        yield each()


def _line(text: str) -> _Line | None:
    """Begin a line, if somebody looks."""
    try:
        return _Line(text) if _is_looked_at() else None
    except Exception:
        logger.debug("No line of progress can be shown", exc_info=True)
        return None


def _is_looked_at() -> bool:
    if os.environ.get(_SWITCH) == "0":
        return False
    if _is_in_notebook():
        return True
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_main = threading.current_thread() is threading.main_thread()
    return is_terminal and is_main and not _is_in_event_loop()


def _is_in_notebook() -> bool:
    """Return True in a process of Jupyter; imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
