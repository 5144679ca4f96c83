"""From how many tokens on a text is compressed: as it was said, or as this process measures it.

Knows no framework: doors ask before they compress a text, and say afterwards how long it took.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Literal

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.observability._break_even import BreakEven, check_budget
from specprefill_integrations.observability._reading_speed import (
    ReadingSpeed,
    Unclear,
    reading_speed,
    scipy_stats,
)
from specprefill_integrations.observability._target_speed import target_reading_speed
from specprefill_integrations.observability._ttft_log import TtftLog
from specprefill_integrations.tool_results._question import DEFAULT_MIN_TOKENS
from specprefill_integrations.types import Budget

logger = logging.getLogger(__name__)

MinTokens = int | Literal["auto"] | BreakEven
"""From how many tokens on a text is compressed: a number; where a `BreakEven` says that it pays; or
`"auto"`, where it pays by what was measured so far."""

_LAST = 100
"""So many of the last texts, and of the model's last calls, are what a measurement rests on."""

_STEP_TOKENS = 100
"""What is measured is rounded up to hundreds: it is no more exact, and holds still."""


class Thresholds:
    """Says from how many tokens on texts are compressed. Safe to use from many threads.

    What it measures: how long texts took to compress, the draft's queue included; and how fast the
    model reads, by the log of its calls. Until there are 8 of each, of lengths that differ twofold,
    the default of 500 tokens holds, and so it does again, to measure anew, after 100 texts of which
    none was compressed: the draft may have been slow for a while. It never looks back: what was
    compressed or left whole remains so.
    """

    def __init__(self, ttft_log: TtftLog | None = None) -> None:
        """Start with nothing measured.

        Args:
            ttft_log: The calls of the one model that reads what is kept; needed for `"auto"`.
        """
        self._ttft_log = ttft_log
        self._lock = ForkSafeLock()
        self._readings: deque[tuple[int, float]] = deque(maxlen=_LAST)
        self._asked_since = 0  # the last text was compressed
        self._said: dict[Budget, int | None] = {}

    def check(self, min_tokens: MinTokens, budget: Budget) -> None:
        """Refuse now what could not be answered later.

        Args:
            min_tokens: What a door was told.
            budget: How much it keeps.

        Raises:
            BudgetError: `"auto"` with a budget that does not say how much is kept of a text.
            ValueError: It is another word than `"auto"`, or there is no log of the model's calls.
        """
        if not isinstance(min_tokens, str):
            return
        if min_tokens != "auto":
            msg = f'min_tokens is a number, a BreakEven or "auto"; got {min_tokens!r}.'
            raise ValueError(msg)
        if self._ttft_log is None:
            msg = 'min_tokens="auto" needs ttft_log=: the model is as fast as its calls show it.'
            raise ValueError(msg)
        scipy_stats()  # what is missing is said now, not in the middle of a run
        check_budget(budget)

    def least_tokens(self, min_tokens: MinTokens, budget: Budget) -> int | None:
        """From how many tokens on a text is compressed now; None where none is.

        Args:
            min_tokens: What a door was told.
            budget: How much may be kept of the text.
        """
        if isinstance(min_tokens, BreakEven):
            return min_tokens.least_tokens
        return self._measured(budget) if isinstance(min_tokens, str) else min_tokens

    def note(self, tokens: int, seconds: float) -> None:
        """A text was compressed.

        Args:
            tokens: How long it was.
            seconds: How long that took.
        """
        with self._lock:
            self._readings.append((tokens, seconds))
            self._asked_since = 0

    def _measured(self, budget: Budget) -> int | None:
        draft, target = self._draft_speed(), self._target_speed()
        found: int | None = DEFAULT_MIN_TOKENS
        if isinstance(draft, ReadingSpeed) and isinstance(target, ReadingSpeed):
            found = _rounded(_break_even(budget, draft, target).least_tokens)
        with self._lock:
            is_new = budget not in self._said or self._said[budget] != found
            self._said[budget] = found
        if is_new:
            logger.info(
                'min_tokens="auto", %s: compressing %s; tokens a second: draft %s, model %s',
                budget,
                "nothing" if found is None else f"from {found:,} tokens on",
                _in_words(draft),
                _in_words(target),
            )
        return found

    def _draft_speed(self) -> ReadingSpeed | Unclear:
        with self._lock:
            self._asked_since += 1
            if self._asked_since > _LAST:
                self._readings.clear()
                self._asked_since = 0
            readings = list(self._readings)
        return reading_speed(readings)

    def _target_speed(self) -> ReadingSpeed | Unclear | Literal["several_models"]:
        records = self._ttft_log.records[-_LAST:] if self._ttft_log is not None else ()
        if len({record.model for record in records}) > 1:
            return "several_models"
        return target_reading_speed(records)


def _break_even(budget: Budget, draft: ReadingSpeed, target: ReadingSpeed) -> BreakEven:
    return BreakEven.in_seconds(
        budget=budget,
        draft_tokens_per_second=draft.tokens_per_second,
        target_tokens_per_second=target.tokens_per_second,
        overhead_seconds=draft.overhead_seconds,
    )


def _rounded(tokens: int | None) -> int | None:
    return None if tokens is None else -(-tokens // _STEP_TOKENS) * _STEP_TOKENS


def _in_words(speed: ReadingSpeed | str) -> str:
    if isinstance(speed, ReadingSpeed):
        return f"{speed.tokens_per_second:,.0f}"
    return f"not known ({speed.replace('_', ' ')})"
