"""One message -> the same message with less text in it, or whole with the reason why.

Translates between messages and the compressor; which messages, and for which question, is for
those to say who hold them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.langchain._message_task import (
    CompressedMessage,
    MessageSkipReason,
    MessageT,
    MessageTask,
)
from specprefill_integrations.langchain._query_source import Query
from specprefill_integrations.langchain._text_blocks import open_texts_of, with_texts
from specprefill_integrations.observability._metrics import CompressionMetrics, process_metrics
from specprefill_integrations.originals._promised_references import PromisedReferences
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.tool_results import Thresholds
from specprefill_integrations.types import Compression, TextHint

logger = logging.getLogger(__name__)


class MessageCompressor:
    """Compresses messages, each for itself, and writes down what happened."""

    def __init__(
        self,
        *,
        compressor: ContextCompressor | None = None,
        metrics: CompressionMetrics | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        """Say who compresses and where it is written down.

        Args:
            compressor: What compresses; None is the shared default, loaded at first use.
            metrics: What adds up what happened; None is the one of this process.
            thresholds: What wants to know how long it took.
        """
        self.compressor = compressor
        self.metrics = process_metrics() if metrics is None else metrics
        self._thresholds = thresholds or Thresholds()

    def compress(self, task: MessageTask[MessageT]) -> CompressedMessage[MessageT]:
        """Compress a message. Raises only where the compressor was told to (`on_error`)."""
        try:
            return self._noted(_whole_at_sight(task) or self._compress(task))
        except Exception as error:  # noqa: BLE001 - whatever fails must not reach the agent
            return self._noted(self._failed(task, error))

    async def acompress(self, task: MessageTask[MessageT]) -> CompressedMessage[MessageT]:
        """`compress`, off the event loop."""
        try:
            return self._noted(_whole_at_sight(task) or await self._acompress(task))
        except Exception as error:  # noqa: BLE001 - see compress
            return self._noted(self._failed(task, error))

    def _compress(self, task: MessageTask[MessageT]) -> CompressedMessage[MessageT]:
        reading = self._begin(task)
        if isinstance(reading, CompressedMessage):
            return reading
        while True:
            results = reading.compressor.compress_documents(
                reading.texts, reading.query.text, budget=task.budget, hints=reading.hints()
            )
            done, cut = reading.finish(results)
            if reading.references.put(cut):
                return done

    async def _acompress(self, task: MessageTask[MessageT]) -> CompressedMessage[MessageT]:
        # Begins with counting tokens, and perhaps with loading the draft.
        reading = await asyncio.to_thread(self._begin, task)
        if isinstance(reading, CompressedMessage):
            return reading
        while True:
            results = await reading.compressor.acompress_documents(
                reading.texts, reading.query.text, budget=task.budget, hints=reading.hints()
            )
            done, cut = await asyncio.to_thread(reading.finish, results)
            if await reading.references.aput(cut):
                return done

    def _begin(
        self, task: MessageTask[MessageT]
    ) -> CompressedMessage[MessageT] | _Reading[MessageT]:
        """Count, and find the question; the message whole where there is too little in it."""
        compressor = self.compressor or shared_compressor()
        texts = open_texts_of(task.message.content)
        tokens = _tokens_of(texts, compressor)
        if tokens < (task.min_tokens or 0):
            return _whole(task, "too_small", tokens=tokens)
        references = PromisedReferences(texts, task.originals)
        return _Reading(task, compressor, texts, tokens, task.query(), references)

    def _failed(self, task: MessageTask[MessageT], error: Exception) -> CompressedMessage[MessageT]:
        """The message whole, or the error where the caller asked for it."""
        if self.compressor is not None and self.compressor.on_error == "raise":
            raise error
        logger.warning("A message could not be compressed.", exc_info=error)
        return _whole(task, "failed")

    def _noted(self, done: CompressedMessage[MessageT]) -> CompressedMessage[MessageT]:
        self.metrics.record(
            tokens_before=done.original_tokens or 0,
            tokens_after=done.kept_tokens or 0,
            draft_seconds=done.elapsed_seconds,
            skipped_because=done.skipped_because,
        )
        if done.skipped_because is None and done.original_tokens is not None:
            self._thresholds.note(done.original_tokens, done.elapsed_seconds)
        logger.debug("A message was looked at: %s", done.counts())
        return done


@dataclass(frozen=True, slots=True)
class _Reading(Generic[MessageT]):
    """A message that the draft is to read."""

    task: MessageTask[MessageT]
    """What is to be done."""

    compressor: ContextCompressor
    """Who does it."""

    texts: Sequence[str]
    """The message's texts."""

    tokens: int
    """What they cost."""

    query: Query
    """The question."""

    references: PromisedReferences
    """What markers in them name."""

    def hints(self) -> list[TextHint]:
        """What is known of each text."""
        return [replace(self.task.hint, reference=named) for named in self.references.named]

    def finish(
        self, results: Sequence[Compression]
    ) -> tuple[CompressedMessage[MessageT], Sequence[int]]:
        """Write what is kept, unless there is a reason to leave the message whole.

        Returns:
            The message, and which of its texts are cut.
        """
        reason = _reason_for_all(results)
        if reason:
            return self._whole(reason, results), []
        gaps = self.compressor.gaps or GapStyle()
        texts = [
            result.text or gaps.in_place_of(text, reference)
            for text, result, reference in zip(
                self.texts, results, self.references.named, strict=True
            )
        ]
        kept_tokens = _tokens_of(texts, self.compressor)
        if kept_tokens >= self.tokens:
            return self._whole("not_shorter", results), []
        cut = [place for place, result in enumerate(results) if result.skipped_because is None]
        done = CompressedMessage(
            message=self.task.message,
            original_tokens=self.tokens,
            kept_tokens=kept_tokens,
            elapsed_seconds=results[0].elapsed_seconds,
            query_sources=self.query.sources,
        )
        content = with_texts(self.task.message.content, texts)
        return replace(done, message=done.stamped(content)), cut

    def _whole(
        self, reason: MessageSkipReason, results: Sequence[Compression]
    ) -> CompressedMessage[MessageT]:
        seconds = results[0].elapsed_seconds
        return _whole(self.task, reason, tokens=self.tokens, seconds=seconds, query=self.query)


def _tokens_of(texts: Sequence[str], compressor: ContextCompressor) -> int:
    return sum(count_each(compressor.count_tokens, [encodable(text) for text in texts]))


def _whole_at_sight(task: MessageTask[MessageT]) -> CompressedMessage[MessageT] | None:
    """The message whole, where that can be told without counting tokens."""
    if task.skip:
        return _whole(task, task.skip)
    texts = open_texts_of(task.message.content)
    if not any(text.strip() for text in texts):
        return _whole(task, "no_text")
    if task.min_tokens is None:
        return _whole(task, "never_pays")
    # No tokenizer makes more tokens of a text than it has bytes.
    most_tokens = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return _whole(task, "too_small") if most_tokens < task.min_tokens else None


def _whole(
    task: MessageTask[MessageT],
    reason: MessageSkipReason,
    *,
    tokens: int | None = None,
    seconds: float = 0.0,
    query: Query | None = None,
) -> CompressedMessage[MessageT]:
    done = CompressedMessage(
        message=task.message,
        original_tokens=tokens,
        kept_tokens=tokens,
        elapsed_seconds=seconds,
        query_sources=query.sources if query else (),
        skipped_because=reason,
    )
    return replace(done, message=done.stamped(task.message.content))


def _reason_for_all(results: Sequence[Compression]) -> MessageSkipReason | None:
    """Why nothing was cut, or why what was cut is not to be used."""
    reasons = [r.skipped_because for r in results if r.skipped_because != "empty_text"]
    if None not in reasons:
        return reasons[0] if reasons else "no_text"
    return None if any(result.kept for result in results) else "nothing_kept"
