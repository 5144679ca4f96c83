"""The least number of tokens for which compression pays off: given, computed or measured."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

from specprefill_integrations._arguments import NonNegativeInt, Share, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.observability._break_even import BreakEven, check_budget
from specprefill_integrations.observability._reading_speed import (
    ReadingSpeed,
    Unclear,
    reading_speed,
    scipy_stats,
)
from specprefill_integrations.observability._target_speed import target_reading_speed
from specprefill_integrations.observability._ttft_log import TtftLog
from specprefill_integrations.types import Budget

logger = logging.getLogger(__name__)

DEFAULT_MIN_TOKENS = 500
"""There is little to save on shorter texts."""

DEFAULT_ERROR_MIN_TOKENS = 2000
"""The traceback of a few dozen frames stays whole, the log of a failed build does not."""

MinTokens = NonNegativeInt | Literal["auto"] | BreakEven | tuple[Literal["fraction"], Share]
"""The least number of tokens of a text to compress: a number, a fraction of the tokens that the
model takes, the break-even length computed from given figures, or `"auto"`, the break-even length
measured in this process."""

_LAST = 100
"""Texts, and calls of the model, that a measurement is based on: the last ones."""

_STEP_TOKENS = 100
"""A measured length is rounded up to hundreds: it is not more exact, and changes less often."""


@checked
class Thresholds:
    """The least number of tokens to compress, measured while an app runs. Thread-safe.

    Measured are the time that compression takes, the draft's queue included, and the reading speed
    of the model, from the log of its calls. Until there are 8 of each, of lengths that differ by a
    factor of two, the default of 500 tokens holds. It holds again after 100 texts of which none was
    compressed, to measure anew: the draft may have been slow for a while.
    """

    def __init__(self, ttft_log: TtftLog | None = None, model: object = None) -> None:
        """Start with nothing measured.

        Args:
            ttft_log: The calls of the one model that reads the results; needed for `"auto"`.
            model: That model, for fractions of its window.

        Raises:
            TypeError: `model` is no model.
        """
        if model is not None and not any(hasattr(model, name) for name in ("profile", "metadata")):
            msg = f"model must be a chat model of LangChain or LlamaIndex; got {model!r:.99}."
            raise TypeError(msg)
        self._ttft_log = ttft_log
        self._model = model
        self._lock = ForkSafeLock()
        self._readings: deque[tuple[int, float]] = deque(maxlen=_LAST)
        self._asked_since = 0  # the last text was compressed
        self._logged: dict[Budget, int | None] = {}

    @checked
    def check(self, min_tokens: MinTokens, budget: Budget) -> None:
        """Reject settings for which no length could be found later.

        Args:
            min_tokens: The setting.
            budget: How much is kept of a text.

        Raises:
            BudgetError: `"auto"` with a budget that does not fix the share of a text that is kept.
            TypeError: A setting of another type.
            ValueError: A number below 0, another text than `"auto"`, `"auto"` without a log of the
                model's calls, or a fraction of a window that is not known.
        """
        if isinstance(min_tokens, Sequence) and not isinstance(min_tokens, str):
            window_of(self._model)
        if not isinstance(min_tokens, str):
            return
        if self._ttft_log is None:
            msg = 'min_tokens="auto" needs ttft_log=, which shows how fast the model reads.'
            raise ValueError(msg)
        scipy_stats()  # what is missing is said now, not in the middle of a run
        check_budget(budget)

    def least_tokens(self, min_tokens: MinTokens, budget: Budget) -> int | None:
        """Return the least number of tokens to compress; None if compression never pays off.

        Args:
            min_tokens: The setting.
            budget: How much may be kept of the text.
        """
        if isinstance(min_tokens, BreakEven):
            return min_tokens.least_tokens
        if isinstance(min_tokens, str):
            return self._measured(budget)
        if isinstance(min_tokens, tuple | list):
            _, share = min_tokens
            return math.ceil(share * window_of(self._model))
        return min_tokens

    def note(self, tokens: int, seconds: float) -> None:
        """Add the time that compressing a text took.

        Args:
            tokens: Tokens of the text.
            seconds: The time.
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
            is_new = budget not in self._logged or self._logged[budget] != found
            self._logged[budget] = found
        if is_new:
            logger.info(
                'min_tokens="auto", %s: compressing %s; tokens a second: draft %s, model %s',
                budget,
                "nothing" if found is None else f"from {found:,} tokens on",
                _format_speed(draft),
                _format_speed(target),
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


def window_of(model: object) -> int:
    """Return the tokens that a model takes.

    Args:
        model: A chat model of LangChain, with `profile`, or a model of LlamaIndex, with `metadata`.

    Raises:
        ValueError: It does not say so, or there is none.
    """
    profile = getattr(model, "profile", None)
    tokens = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
    tokens = tokens or getattr(getattr(model, "metadata", None), "context_window", None)
    if isinstance(tokens, int) and tokens > 0:
        return tokens
    what = "there is no model=" if model is None else f"{type(model).__name__} does not say so"
    msg = (
        f"A fraction needs the tokens that the model takes, and {what}. Pass model=, a chat model "
        'with profile={"max_input_tokens": ...} (LangChain) or with metadata.context_window '
        "(LlamaIndex), or a number of tokens."
    )
    raise ValueError(msg)


def _break_even(budget: Budget, draft: ReadingSpeed, target: ReadingSpeed) -> BreakEven:
    return BreakEven.in_seconds(
        budget=budget,
        draft_tokens_per_second=draft.tokens_per_second,
        target_tokens_per_second=target.tokens_per_second,
        overhead_seconds=draft.overhead_seconds,
    )


def _rounded(tokens: int | None) -> int | None:
    return None if tokens is None else -(-tokens // _STEP_TOKENS) * _STEP_TOKENS


def _format_speed(speed: ReadingSpeed | str) -> str:
    if isinstance(speed, ReadingSpeed):
        return f"{speed.tokens_per_second:,.0f}"
    return f"not known ({speed.replace('_', ' ')})"
