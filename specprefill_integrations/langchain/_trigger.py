"""The size of a conversation from which on it is compressed, as LangChain's summaries have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from langchain_core.messages import BaseMessage

from specprefill_integrations._arguments import PositiveInt, Share, check
from specprefill_integrations.tool_results import ToolResultCompressor
from specprefill_integrations.tool_results._thresholds import window_of
from specprefill_integrations.types import SkipReason

CountMessageTokens = Callable[[Sequence[BaseMessage]], int]
"""Counts the tokens of a conversation."""

_Measure = Literal["tokens", "messages", "fraction"]
_Size = tuple[_Measure, float]
_Clause = Mapping[_Measure, float]

Trigger = _Size | _Clause | Sequence[_Size | _Clause]
"""`("tokens", 50_000)`, `("messages", 30)` or `("fraction", 0.5)` of the tokens that the model
takes; a dictionary of several, which must all be reached; or a list, of which any suffices."""


@dataclass(frozen=True, slots=True)
class ContextTrigger:
    """A trigger whose fractions are tokens."""

    clauses: tuple[Mapping[str, int], ...]
    """Tokens and messages that must be reached; those of one clause suffice."""

    @classmethod
    def of(cls, trigger: Trigger, model: object) -> ContextTrigger:
        """Check a trigger.

        Args:
            trigger: The trigger.
            model: The model that reads the conversation.

        Raises:
            TypeError: The trigger has another form, or a number is not whole.
            ValueError: A number is out of range, or the window of the model is not known.
        """
        given: Any = [trigger] if isinstance(trigger, Mapping) or _is_size(trigger) else trigger
        sizes = [one if isinstance(one, Mapping) else dict([one]) for one in given]
        if not sizes or not all(sizes):
            msg = f"trigger must name a size; got {trigger!r:.99}."
            raise ValueError(msg)
        return cls(tuple(_in_tokens(one, model) for one in sizes))

    def is_reached(self, messages: Sequence[BaseMessage], count_tokens: CountMessageTokens) -> bool:
        """Return True for a conversation that is large enough.

        Args:
            messages: The conversation.
            count_tokens: Counts its tokens; called at most once.
        """
        by_messages = [one for one in self.clauses if len(messages) >= one.get("messages", 0)]
        if not by_messages or any("tokens" not in one for one in by_messages):
            return bool(by_messages)
        return count_tokens(messages) >= min(one["tokens"] for one in by_messages)


def reason_to_wait(
    trigger: ContextTrigger | None,
    messages: Sequence[BaseMessage],
    count_tokens: CountMessageTokens,
    results: ToolResultCompressor,
) -> SkipReason | None:
    """Return why a conversation is not compressed yet; None if it is large enough.

    Args:
        trigger: The trigger; None is always reached.
        messages: The conversation.
        count_tokens: Counts its tokens; called at most once. If it fails, the conversation waits.
        results: What the conversation waits for; logs the failure, or raises it.

    Raises:
        Exception: The counter fails, and the compressor of `results` has `on_error="raise"`.
    """
    try:
        is_reached = trigger is None or trigger.is_reached(messages, count_tokens)
    except Exception as error:  # noqa: BLE001 - LangChain's counter fails for unusual blocks
        what = "The tokens of a conversation could not be counted"
        results.report_failure(what, "counter_failed", error)
        return "counter_failed"
    return None if is_reached else "below_trigger"


def _is_size(trigger: Trigger) -> TypeGuard[_Size]:
    return isinstance(trigger, Sequence) and bool(trigger) and isinstance(trigger[0], str)


def _in_tokens(size: Mapping[_Measure, float], model: object) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for measure, number in size.items():
        if measure == "fraction":
            share = check("trigger: fraction", number, Share)
            tokens = max(1, int(share * window_of(model)))
            found["tokens"] = max(tokens, found.get("tokens", 0))
        else:
            least = int(check(f"trigger: {measure}", number, PositiveInt))
            found[measure] = max(least, found.get(measure, 0))
    return found
