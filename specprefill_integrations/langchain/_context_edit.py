"""LangChain's context editing: old messages shrink instead of being cleared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from langchain_core.messages import AnyMessage, BaseMessage

from specprefill_integrations.langchain._history import HistoryCompressor


@dataclass(kw_only=True, eq=False)
class SpecPrefillContextEdit(HistoryCompressor):
    """An edit for `ContextEditingMiddleware`; what shrinks is what `HistoryCompressor` says.

    `trigger_tokens` is measured by the middleware's counter. That middleware edits on the event
    loop, with no way to wait: in asynchronous agents, prefer `SpecPrefillMiddleware`, or
    `compress_messages` in a node of your own.
    """

    trigger_tokens: int = 100_000
    """A conversation of no more tokens than this is left as it is."""

    def apply(
        self, messages: list[AnyMessage], *, count_tokens: Callable[[Sequence[BaseMessage]], int]
    ) -> None:
        """Replace messages in the list; the messages themselves are not changed.

        Args:
            messages: The conversation.
            count_tokens: Counts what `trigger_tokens` is about.
        """
        shown = self.compress(messages, count_tokens=count_tokens)
        messages[:] = cast("list[AnyMessage]", shown)  # of the same types as before
