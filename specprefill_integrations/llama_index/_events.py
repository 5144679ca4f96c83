"""What LlamaIndex's instrumentation hears of compression: counts and reasons, never a text.

Knows nothing about what is compressed or how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events import BaseEvent

from specprefill_integrations.observability._metrics import process_metrics
from specprefill_integrations.types import Compression, SkipReason

Door = Literal["node_postprocessor", "tool", "memory_block", "ingestion"]
"""Which of our classes was called."""

QuerySource = Literal["setting", "caller", "user_message", "tool_call"]
"""Where a part of a question comes from: what the door was told, the caller of the door, the last
message of the user, the tool call with its arguments."""

DoorSkipReason = (
    SkipReason
    | Literal[
        "tool_error",
        "return_direct",
        "recalled",
        "already_compressed",
        "no_text",
        "too_small",
        "never_pays",
        "nothing_kept",
        "not_shorter",
        "no_room",
        "failed",
    ]
)
"""Why all texts of a call stayed whole: for a reason of the compressor, or because the tool failed,
its result is the agent's answer or a handoff, it was fetched back or compressed before, there is no
or little text, compressing pays at no length, nothing of it would be kept, with the marks of what
is missing it would be no shorter, there is no room for anything, or something else went wrong,
which the log says."""

dispatcher = get_dispatcher(__name__)


class _CompressionEvent(BaseEvent):
    """What all three have in common."""

    door: Door
    """Which of our classes was called."""

    tool_name: str | None
    """The tool whose result it is."""

    query_sources: tuple[QuerySource, ...]
    """Where the question comes from; empty where there is none."""

    text_count: int
    """Texts that are open to compression."""


class ContextCompressionStartEvent(_CompressionEvent):
    """The compressor is asked; an end or a skip follows, unless an error is raised."""

    @classmethod
    def class_name(cls) -> str:
        """The name that handlers know it by; it never changes."""
        return "ContextCompressionStartEvent"


class ContextCompressionEndEvent(_CompressionEvent):
    """Something was compressed."""

    original_tokens: int
    """Tokens of all texts before."""

    kept_tokens: int
    """Tokens of all texts after, those included that stayed whole."""

    elapsed_seconds: float
    """Wall-clock time of compressing."""

    @classmethod
    def class_name(cls) -> str:
        """The name that handlers know it by; it never changes."""
        return "ContextCompressionEndEvent"


class ContextCompressionSkippedEvent(_CompressionEvent):
    """All texts of a call stayed whole."""

    reason: DoorSkipReason
    """Why."""

    original_tokens: int | None
    """Tokens of all texts; None where they were not counted."""

    elapsed_seconds: float
    """Wall-clock time of compressing; 0 where the compressor was not asked."""

    @classmethod
    def class_name(cls) -> str:
        """The name that handlers know it by; it never changes."""
        return "ContextCompressionSkippedEvent"


class _About(TypedDict):
    """The fields of `_CompressionEvent`."""

    door: Door
    tool_name: str | None
    query_sources: tuple[QuerySource, ...]
    text_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvents:
    """Sends the events of one call of a door, and adds what became of it to the metrics.

    What a handler of events raises stays with LlamaIndex.
    """

    door: Door
    """Which of our classes was called."""

    tool_name: str | None = None
    """The tool whose result it is."""

    query_sources: tuple[QuerySource, ...] = ()
    """Where the question comes from."""

    text_count: int = 0
    """Texts that are open to compression."""

    def start(self) -> None:
        """Say that the compressor is asked."""
        dispatcher.event(ContextCompressionStartEvent(**self._about))

    def end(self, results: Sequence[Compression]) -> None:
        """Say what became of the texts: that all stayed whole, or what is kept of them.

        Args:
            results: What the compressor answered; at least one.
        """
        original_tokens = sum(result.original_tokens for result in results)
        elapsed_seconds = results[0].elapsed_seconds
        reasons = [result.skipped_because for result in results if result.skipped_because]
        if len(reasons) == len(results):
            self.skip(reasons[0], original_tokens, elapsed_seconds)
            return
        kept_tokens = sum(result.kept_tokens for result in results)
        event = ContextCompressionEndEvent(
            **self._about,
            original_tokens=original_tokens,
            kept_tokens=kept_tokens,
            elapsed_seconds=elapsed_seconds,
        )
        dispatcher.event(event)
        process_metrics().record(
            tokens_before=original_tokens, tokens_after=kept_tokens, draft_seconds=elapsed_seconds
        )

    def skip(
        self,
        reason: DoorSkipReason,
        original_tokens: int | None = None,
        elapsed_seconds: float = 0.0,
    ) -> None:
        """Say that all texts stayed whole.

        Args:
            reason: Why.
            original_tokens: Tokens of all texts; None where they were not counted.
            elapsed_seconds: Wall-clock time of compressing.
        """
        event = ContextCompressionSkippedEvent(
            **self._about,
            reason=reason,
            original_tokens=original_tokens,
            elapsed_seconds=elapsed_seconds,
        )
        dispatcher.event(event)
        process_metrics().record(
            tokens_before=original_tokens or 0,
            tokens_after=original_tokens or 0,
            draft_seconds=elapsed_seconds,
            skipped_because=reason,
        )

    @property
    def _about(self) -> _About:
        return {
            "door": self.door,
            "tool_name": self.tool_name,
            "query_sources": self.query_sources,
            "text_count": self.text_count,
        }
