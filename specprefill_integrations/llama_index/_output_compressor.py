"""One output of a tool -> the same output with less text in it, or as it is with the reason why.

Asks the compressor and sends the events; which question, and what a tool is, is for others to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llama_index.core.tools import ToolOutput

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.llama_index._events import CallEvents, DoorSkipReason
from specprefill_integrations.llama_index._tool_output import (
    holds_compressed_nodes,
    open_blocks,
    texts_of,
    with_texts,
)
from specprefill_integrations.llama_index._tool_request import (
    MakeQuery,
    Query,
    ToolRequest,
    query_of,
)
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.originals._promised_references import PromisedReferences
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.tool_results import MinTokens, Thresholds
from specprefill_integrations.types import Budget, Compression, Kind, TextHint

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCompressor:
    """Compresses outputs, one at a time, for as long as a tool lives."""

    compressor: ContextCompressor | None
    """What compresses; None is the shared default, loaded at first use."""

    budget: Budget
    """How much may be kept of all texts of an output together."""

    min_tokens: MinTokens
    """An output of fewer tokens is left whole."""

    thresholds: Thresholds
    """Says how many that are now, and wants to know how long compressing took."""

    query: str | MakeQuery | None
    """The question, or what makes one of a call."""

    kind: Kind | None
    """What the texts are cut as; by their looks where this is not given."""

    originals: OriginalStore | None
    """Where the originals go; None where nobody could fetch them back."""

    def compress(
        self, output: ToolOutput, request: ToolRequest, skip: DoorSkipReason | None = None
    ) -> ToolOutput:
        """Compress an output. Raises only where the compressor was told to (`on_error`).

        Args:
            output: What the tool gave; it is not changed.
            request: The call that it answers.
            skip: Why it is to be left whole.
        """
        least_tokens = self.thresholds.least_tokens(self.min_tokens, self.budget)
        reason = skip or _reason_at_sight(output, least_tokens)
        if reason:
            return _left_whole(output, request, reason)
        try:
            work = self._begin(output, request, least_tokens)
            if isinstance(work, ToolOutput):
                return work
            work.events.start()
            while True:
                found = work.compressor.compress_documents(
                    work.texts, work.query.text, budget=self.budget, hints=self._hints(work)
                )
                results = work.marked(found)
                if work.references.put(work.cut(results)):
                    break
            self._note(results)
            return work.finish(results)
        except Exception as error:  # noqa: BLE001 - whatever fails must not cost the result
            return self._failed(output, request, error)

    async def acompress(
        self, output: ToolOutput, request: ToolRequest, skip: DoorSkipReason | None = None
    ) -> ToolOutput:
        """`compress`, off the event loop."""
        least_tokens = self.thresholds.least_tokens(self.min_tokens, self.budget)
        reason = skip or _reason_at_sight(output, least_tokens)
        if reason:
            return _left_whole(output, request, reason)
        try:
            work = await asyncio.to_thread(self._begin, output, request, least_tokens)
            if isinstance(work, ToolOutput):
                return work
            work.events.start()
            while True:
                found = await work.compressor.acompress_documents(
                    work.texts, work.query.text, budget=self.budget, hints=self._hints(work)
                )
                results = await asyncio.to_thread(work.marked, found)
                if await work.references.aput(work.cut(results)):
                    break
            self._note(results)
            return work.finish(results)
        except Exception as error:  # noqa: BLE001 - see compress
            return self._failed(output, request, error)

    def _begin(
        self, output: ToolOutput, request: ToolRequest, least_tokens: int | None
    ) -> _Work | ToolOutput:
        """Count, and find the question; this may load the draft."""
        compressor = self.compressor or shared_compressor()
        texts = texts_of(output)
        tokens = sum(_tokens_of(texts, compressor))
        if tokens < (least_tokens or 0):
            return _left_whole(output, request, "too_small", tokens)
        references = PromisedReferences(texts, self.originals)
        return _Work(output, request, compressor, texts, query_of(request, self.query), references)

    def _hints(self, work: _Work) -> list[TextHint]:
        """What is known of each text."""
        tool = work.request.tool_name
        return [
            TextHint(kind=self.kind, tool=tool, reference=named) for named in work.references.named
        ]

    def _note(self, results: Sequence[Compression]) -> None:
        """Tell how long it took to compress the texts, where they were."""
        if any(result.skipped_because is None for result in results):
            tokens = sum(result.original_tokens for result in results)
            self.thresholds.note(tokens, results[0].elapsed_seconds)

    def _failed(self, output: ToolOutput, request: ToolRequest, error: Exception) -> ToolOutput:
        """The output whole, or the error where the caller asked for it."""
        if self.compressor is not None and self.compressor.on_error == "raise":
            raise error
        logger.warning("A result of %s could not be compressed.", request.tool_name, exc_info=error)
        return _left_whole(output, request, "failed")


@dataclass(frozen=True, slots=True)
class _Work:
    """An output that the draft is to read."""

    output: ToolOutput
    """The output."""

    request: ToolRequest
    """The call that it answers."""

    compressor: ContextCompressor
    """Who reads it."""

    texts: Sequence[str]
    """Its texts."""

    query: Query
    """The question."""

    references: PromisedReferences
    """What markers in its texts name."""

    @property
    def events(self) -> CallEvents:
        """Says what happens to it."""
        return CallEvents(
            door="tool",
            tool_name=self.request.tool_name,
            query_sources=self.query.sources,
            text_count=len(self.texts),
        )

    def marked(self, results: Sequence[Compression]) -> list[Compression]:
        """The results, with a gap marker for a text of which nothing is kept: it must be seen."""
        if all(result.text for result in results):
            return list(results)
        gaps = self.compressor.gaps or GapStyle()
        texts = [
            result.text or gaps.in_place_of(text, reference)
            for text, result, reference in zip(
                self.texts, results, self.references.named, strict=True
            )
        ]
        counted = zip(results, texts, _tokens_of(texts, self.compressor), strict=True)
        return [replace(result, text=text, kept_tokens=n) for result, text, n in counted]

    def cut(self, results: Sequence[Compression]) -> list[int]:
        """Which of the texts are handed out cut."""
        if self._reason(results):
            return []
        return [place for place, result in enumerate(results) if result.skipped_because is None]

    def finish(self, results: Sequence[Compression]) -> ToolOutput:
        """Write the output, unless there is a reason to leave it whole."""
        if all(result.skipped_because for result in results):
            self.events.end(results)
            return self.output
        reason = self._reason(results)
        if reason:
            tokens = sum(result.original_tokens for result in results)
            self.events.skip(reason, tokens, results[0].elapsed_seconds)
            return self.output
        self.events.end(results)
        return with_texts(self.output, [result.text for result in results])

    def _reason(self, results: Sequence[Compression]) -> DoorSkipReason | None:
        """Why what was cut is not to be used."""
        if not any(result.kept for result in results):
            return "nothing_kept"
        tokens = sum(result.original_tokens for result in results)
        kept_tokens = sum(result.kept_tokens for result in results)
        return "not_shorter" if kept_tokens >= tokens else None


def _tokens_of(texts: Sequence[str], compressor: ContextCompressor) -> list[int]:
    return count_each(compressor.count_tokens, [encodable(text) for text in texts])


def _reason_at_sight(output: ToolOutput, least_tokens: int | None) -> DoorSkipReason | None:
    """Why an output is left whole, where that can be seen without counting tokens."""
    if output.is_error:
        return "tool_error"
    if holds_compressed_nodes(output):
        return "already_compressed"
    blocks = open_blocks(output)
    if not blocks:
        return "no_text"
    if least_tokens is None:
        return "never_pays"
    # No tokenizer makes more tokens of a text than it has bytes.
    most_tokens = sum(len(block.text.encode("utf-8", "surrogatepass")) for block in blocks)
    return "too_small" if most_tokens < least_tokens else None


def _left_whole(
    output: ToolOutput, request: ToolRequest, reason: DoorSkipReason, tokens: int | None = None
) -> ToolOutput:
    """The output as it is, and an event that says why."""
    events = CallEvents(
        door="tool", tool_name=request.tool_name, text_count=len(open_blocks(output))
    )
    events.skip(reason, tokens)
    return output
