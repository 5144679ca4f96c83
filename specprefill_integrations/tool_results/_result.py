"""A tool result before and after compression, as all frameworks' integrations translate it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from specprefill_integrations._arguments import checked
from specprefill_integrations.tool_results._outcome import Outcome
from specprefill_integrations.tool_results._question import ToolRequest
from specprefill_integrations.types import SkipReason


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The texts of one tool result, or of one message of a conversation."""

    texts: Sequence[str]
    """The texts that may change."""

    breaks: Sequence[int] = ()
    """Places of the texts that come right after something that stays, such as an image: gap markers
    do not stand for texts on both sides of it."""

    tool_name: str = ""
    """The tool; empty for a message that answers no tool call."""

    find_request: Callable[[], ToolRequest] = ToolRequest
    """Reads the call that they answer; called only if they are to be compressed."""

    skip: SkipReason | None = None
    """A reason of the framework to pass them through unchanged."""

    is_error: bool = False
    """True if the tool failed and the texts say how."""

    user_message_only: bool = False
    """The question is the last user message alone, as where the conversation has moved on."""

    runtime: object = None
    """The framework's runtime of the call, for a function that chooses the store."""

    can_be_recalled: bool = True
    """False if the agent has no tool that fetches originals: then no gap marker names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedResult:
    """The texts after compression, and the counts."""

    texts: tuple[str | None, ...]
    """One for each text of the `ToolResult`, in the same order; None for one that is left out: the
    gap marker before or after it stands for it, too."""

    outcome: Outcome
    """Counts and skip reason."""


def breaks_in(may_change: Sequence[bool]) -> list[int]:
    """Return the `ToolResult.breaks` of a result.

    Args:
        may_change: For each block of the result, True for a text that may change.
    """
    places = accumulate(may_change, initial=0)
    return [
        place
        for place, before, block in zip(places, [True, *may_change], may_change, strict=False)
        if block and not before
    ]


def unchanged(result: ToolResult, outcome: Outcome) -> CompressedResult:
    """Return the texts as they were."""
    return CompressedResult(texts=tuple(result.texts), outcome=outcome)
