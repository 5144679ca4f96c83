"""Reads the windows of several requests with a draft, batch by batch.

While a device reads one batch, the host prepares and queues the next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._draft_device import free_bytes, in_halves
from specprefill_integrations.scoring._draft_layers import reading_bytes
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer, without_middle
from specprefill_integrations.scoring._prompt_reader import PromptReader, RangeSums
from specprefill_integrations.scoring._prompts import Prompt, QuestionTokens
from specprefill_integrations.scoring._request_reading import RequestReading
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._transfers import one_ahead
from specprefill_integrations.scoring._windows import Window, plan_batches
from specprefill_integrations.scoring.readouts import Readout, SpanReadings

ResultT = TypeVar("ResultT")
InSlices = Generator[None, None, ResultT]

GENERIC_QUESTION = "What are the main points?"
"""The question of a call without a query."""

# Models attend to the first tokens of a prompt whatever they are: these belong to no text.
_CONTEXT_START = "Context:\n\n"

# The rest is for what is kept of windows, for other programs, and for errors of the estimate.
_SHARE_OF_MEMORY = 0.5

_QUESTION_START = "\n\nQuestion: "
_QUESTION_END = "\nAnswer:"


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A window of a request, to be read with the request's question."""

    reading: RequestReading
    """Collects what is read of the request."""

    window: Window
    """The window."""

    question: QuestionTokens
    """The question."""

    longest_tokens: int
    """See `Prompt.longest_tokens`."""

    @property
    def tokens(self) -> int:
        """Tokens of the window's texts."""
        return sum(piece.end - piece.start for piece in self.window)


@dataclass(frozen=True, slots=True)
class ReadSpans:
    """The readings of the spans of a request."""

    readings: SpanReadings
    """See `RequestReading.readings`."""

    is_read: NDArray[np.bool_]
    """Marks of the spans that were read. Shape: (spans,)."""

    words: NDArray[np.float64] | None
    """See `RequestReading.words`."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows whose prompts a device was given."""

    readings: Sequence[tuple[RequestReading, NDArray[np.int64]]]
    """Of each window: what collects its sums, and what they belong to there."""

    prompts: Sequence[Prompt]
    """The prompt of each window."""

    sums: Sequence[RangeSums]
    """The sums of all prompts, on their way."""

    def add(self) -> None:
        """Wait for the sums, and add them to what was read of the requests."""
        found = [one for part in self.sums for one in part.wait()]
        for (reading, inside), prompt, sums in zip(self.readings, self.prompts, found, strict=True):
            reading.add(inside, prompt.ranges, sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReader:
    """Reads requests with one draft, for one readout."""

    draft: DraftModel
    """The draft that is read, perhaps without its last layers."""

    readout: Readout
    """The readout."""

    reader: PromptReader
    """Reads prompts with both."""

    window_tokens: int
    """Context tokens of a window, if the draft has positions for them."""

    alone_tokens: int | None
    """Tokens from which a text shares no window with others."""

    batch_tokens: int
    """Context tokens of the windows read together."""

    fits_memory: bool
    """True to read fewer together where the free memory of a CUDA device does not suffice."""

    max_question_tokens: int
    """The middle of longer questions is cut out."""

    prefilter: float | None
    """See `ReadingPlan.prefilter`."""

    def read(self, requests: Sequence[ScoreRequest]) -> InSlices[list[ReadSpans]]:
        """Read the windows of all requests. See `RequestReading.readings`.

        The first slice tokenizes. Each further one queues a batch, and then waits for the one
        before.
        """
        tokenizer = DraftTokenizer(self.draft.tokenizer)
        around = self.readout.around_tokens
        readings = [RequestReading(request, tokenizer, around) for request in requests]
        for reading in readings:
            if self.prefilter is not None and reading.request.query:
                reading.read_only(self.prefilter)
        start = _start_ids(tokenizer)
        null = self.readout.null_question
        null_question = None if null is None else self._question(tokenizer, null)
        yield from one_ahead(
            self.batches(readings, tokenizer),
            lambda batch: self._queue(batch, start, null_question),
        )
        return [ReadSpans(*reading.readings(), reading.words) for reading in readings]

    def batches(
        self, readings: Sequence[RequestReading], tokenizer: DraftTokenizer
    ) -> list[list[PlannedWindow]]:
        """Cut requests into windows, and return those that are read together.

        Args:
            readings: The requests.
            tokenizer: The draft's tokenizer.
        """
        start = len(_start_ids(tokenizer))
        windows = [one for found in readings for one in self.planned(found, tokenizer, start)]
        batches = plan_batches(
            [window.tokens for window in windows],
            [len(window.question.ids) for window in windows],
            self._tokens_together(windows),
        )
        return [[windows[index] for index in batch] for batch in batches]

    def planned(
        self, reading: RequestReading, tokenizer: DraftTokenizer, start_tokens: int
    ) -> list[PlannedWindow]:
        """Cut a request's texts into windows.

        Args:
            reading: The request.
            tokenizer: The draft's tokenizer.
            start_tokens: Tokens before the texts.
        """
        question = self._question(tokenizer, reading.request.query or GENERIC_QUESTION)
        around = start_tokens + len(question.ids)
        windows = reading.windows(self._tokens_beside(around), self.alone_tokens)
        longest = around + max(map(reading.count, windows), default=0)
        return [PlannedWindow(reading, window, question, longest) for window in windows]

    def _tokens_together(self, windows: Sequence[PlannedWindow]) -> int:
        """Return the context tokens that are read together: at least one window."""
        draft = self.draft
        if not self.fits_memory or draft.device.type != "cuda":
            return self.batch_tokens
        weights = draft.model  # loaded before memory is measured
        layers = draft.layers or weights.config.get_text_config().num_hidden_layers
        longest = max((len(window.question.ids) for window in windows), default=0)
        each = reading_bytes(draft.config, layers, longest, draft.dtype.itemsize)
        free = free_bytes(draft.device) or 0
        return max(1, min(self.batch_tokens, int(free * _SHARE_OF_MEMORY) // each))

    def _queue(
        self,
        windows: Sequence[PlannedWindow],
        start: list[int],
        null_question: QuestionTokens | None,
    ) -> Callable[[], None]:
        """Let the device read windows; return the function that waits for the sums."""
        prompts, readings = [], []
        for one in windows:
            ids, is_text = one.reading.tokens(one.window)
            inside, ranges = one.reading.ranges(one.window, len(start) + len(ids))
            readings.append((one.reading, inside))
            prompts.append(
                Prompt(
                    start + ids,
                    [False] * len(start) + is_text,
                    one.question,
                    one.longest_tokens,
                    ranges,
                )
            )
        sums = in_halves(
            lambda part: [self.reader.read(part, null_question)], prompts, self.reader.release
        )
        return _Batch(readings, prompts, sums).add

    def _question(self, tokenizer: DraftTokenizer, question: str) -> QuestionTokens:
        """Return a question's tokens as they follow the context, leaving room for a text."""
        most, positions = self.max_question_tokens, self.draft.max_positions
        most = most if positions is None else min(most, positions // 2)
        ids = without_middle(tokenizer.ids(question), most)
        start, end = tokenizer.ids(_QUESTION_START), tokenizer.ids(_QUESTION_END)
        return QuestionTokens(start + ids + end, slice(len(start), len(start) + len(ids)))

    def _tokens_beside(self, other_tokens: int) -> int:
        """Return the context tokens that fit beside the question and generated tokens."""
        positions = self.draft.max_positions
        if positions is None:
            return self.window_tokens
        room = positions - other_tokens - self.readout.lookahead_tokens
        return max(1, min(self.window_tokens, room))


def _start_ids(tokenizer: DraftTokenizer) -> list[int]:
    """Return the tokens before a window's texts."""
    return tokenizer.start_ids + tokenizer.ids(_CONTEXT_START)


def finished(slices: InSlices[ResultT], is_wanted: Callable[[], bool] | None = None) -> ResultT:
    """Do all slices of some work.

    Raises:
        CancelledError: `is_wanted` returned False.
    """
    while is_wanted is None or is_wanted():
        try:
            next(slices)
        except StopIteration as end:  # noqa: PERF203 - it ends the loop
            result: ResultT = end.value
            return result
    raise CancelledError
