"""Counts of one compression, for metrics, events and metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations._metadata import metadata_of, own_metadata
from specprefill_integrations._telemetry import OpenSpan
from specprefill_integrations.observability import CompressionMetrics, process_metrics
from specprefill_integrations.pipeline._summary import shared_reason, shared_warnings
from specprefill_integrations.tool_results._question import QuerySource
from specprefill_integrations.types import Compression, LanguageWarning, SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Counts of one compression; it holds no text."""

    original_tokens: int | None = None
    """Tokens of all texts before; None where they were not counted."""

    kept_tokens: int | None = None
    """Tokens of all texts after, gap markers included; None where they were not counted."""

    elapsed_seconds: float = 0.0
    """Wall-clock time of compressing; 0 where the compressor was not called."""

    query_sources: tuple[QuerySource, ...] = ()
    """Sources of the question; empty where there is none."""

    skipped_because: SkipReason | None = None
    """Why all texts passed through unchanged or, with `nothing_kept`, why documents and nodes are
    left out; None where they were compressed."""

    references: tuple[str, ...] = ()
    """References to the originals, in the gap markers of the texts."""

    language_warnings: tuple[LanguageWarning, ...] = ()
    """Warnings about the languages of question and texts, each once."""

    def as_metadata(self) -> dict[str, object]:
        """Return the counts as plain values for JSON, without the time: stable bytes."""
        return metadata_of(
            original_tokens=self.original_tokens,
            kept_tokens=self.kept_tokens,
            skipped_because=self.skipped_because,
            query_sources=self.query_sources,
            references=self.references,
        )

    def describe(self, span: OpenSpan, tool_name: str) -> None:
        """Set the counts of a message in its span.

        Args:
            span: The span.
            tool_name: The tool whose result it is; empty if it is none.
        """
        span.set_counts(self.original_tokens, self.kept_tokens, self.skipped_because)
        span.set(
            {
                "gen_ai.conversation.compacted": self.skipped_because is None or None,
                "gen_ai.tool.name": tool_name or None,
                "specprefill.query_sources": self.query_sources,
            }
        )

    def record(self, metrics: CompressionMetrics | None) -> None:
        """Add the counts to metrics; None is those of the process."""
        (process_metrics() if metrics is None else metrics).record(
            tokens_before=self.original_tokens or 0,
            tokens_after=self.kept_tokens or 0,
            draft_seconds=self.elapsed_seconds,
            skipped_because=self.skipped_because,
            language_warnings=self.language_warnings,
        )


def outcome_of(
    results: Sequence[Compression], *, query_sources: tuple[QuerySource, ...] = ()
) -> Outcome:
    """Sum up one call of the compressor.

    Args:
        results: Its results; at least one.
        query_sources: Sources of the question.
    """
    return Outcome(
        original_tokens=sum(result.original_tokens for result in results),
        kept_tokens=sum(result.kept_tokens for result in results),
        elapsed_seconds=results[0].elapsed_seconds,
        query_sources=query_sources,
        skipped_because=shared_reason(results),
        language_warnings=shared_warnings(results),
    )


def is_compressible(text: str, metadata: Mapping[str, object]) -> bool:
    """Return True if a document or node has text and was not compressed before."""
    return bool(text.strip()) and own_metadata(metadata) is None


def outcome_of_skipped(metadata: Iterable[Mapping[str, object]]) -> Outcome:
    """Return the outcome of documents or nodes of which none is compressible.

    Args:
        metadata: The metadata of each.
    """
    was_compressed = any(own_metadata(one) is not None for one in metadata)
    return Outcome(skipped_because="already_compressed" if was_compressed else "no_text")
