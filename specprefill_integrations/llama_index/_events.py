"""Events for LlamaIndex's instrumentation: counts and reasons, never a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events import BaseEvent

from specprefill_integrations.tool_results import Outcome, QuerySource
from specprefill_integrations.types import LanguageWarning, SkipReason

Integration = Literal["node_postprocessor", "tool", "memory_block", "ingestion"]
"""The class of ours that was called."""

dispatcher = get_dispatcher(__name__)


class _CompressionEvent(BaseEvent):
    """The fields of all three events."""

    integration: Integration
    """The class of ours that was called."""

    tool_name: str | None
    """The tool whose result it is."""

    query_sources: tuple[QuerySource, ...]
    """Sources of the question; empty where there is none."""

    text_count: int
    """Number of texts that may change."""


class ContextCompressionStartEvent(_CompressionEvent):
    """The compressor is called; an end or a skip follows, unless an error is raised."""

    @classmethod
    def class_name(cls) -> str:
        """The name for handlers; it never changes."""
        return "ContextCompressionStartEvent"


class ContextCompressionEndEvent(_CompressionEvent):
    """Texts were compressed."""

    original_tokens: int
    """Tokens of all texts before."""

    kept_tokens: int
    """Tokens of all texts after, unchanged ones included."""

    elapsed_seconds: float
    """Wall-clock time of compressing."""

    language_warnings: tuple[LanguageWarning, ...]
    """Warnings about the languages of question and texts; mostly none."""

    @classmethod
    def class_name(cls) -> str:
        """The name for handlers; it never changes."""
        return "ContextCompressionEndEvent"


class ContextCompressionSkippedEvent(_CompressionEvent):
    """All texts of a call passed through unchanged, or nothing of them was kept."""

    skipped_because: SkipReason
    """The reason."""

    original_tokens: int | None
    """Tokens of all texts before; None where they were not counted."""

    kept_tokens: int | None
    """Tokens of all texts after; None where they were not counted."""

    elapsed_seconds: float
    """Wall-clock time of compressing; 0 where the compressor was not called."""

    @classmethod
    def class_name(cls) -> str:
        """The name for handlers; it never changes."""
        return "ContextCompressionSkippedEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvents:
    """Sends the events of one call. LlamaIndex swallows the errors of handlers."""

    integration: Integration
    """The class of ours that was called."""

    tool_name: str | None = None
    """The tool whose result it is."""

    text_count: int = 0
    """Number of texts that may change."""

    def start(self, query_sources: tuple[QuerySource, ...]) -> None:
        """Send the event before the compressor is called."""
        dispatcher.event(ContextCompressionStartEvent(**self._fields(query_sources)))

    def finish(self, outcome: Outcome) -> None:
        """Send the event of the outcome."""
        fields = self._fields(outcome.query_sources) | {
            "original_tokens": outcome.original_tokens,
            "kept_tokens": outcome.kept_tokens,
            "elapsed_seconds": outcome.elapsed_seconds,
        }
        if outcome.skipped_because is None:
            warnings = outcome.language_warnings
            dispatcher.event(ContextCompressionEndEvent(**fields, language_warnings=warnings))
        else:
            reason = outcome.skipped_because
            dispatcher.event(ContextCompressionSkippedEvent(**fields, skipped_because=reason))

    def _fields(self, query_sources: tuple[QuerySource, ...]) -> dict[str, Any]:
        return {
            "integration": self.integration,
            "tool_name": self.tool_name,
            "query_sources": query_sources,
            "text_count": self.text_count,
        }
