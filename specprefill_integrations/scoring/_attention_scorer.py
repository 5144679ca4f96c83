"""The draft's attention as a score of spans: texts -> windows -> batches -> rows -> spans.

Knows nothing about budgets, selection or frameworks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._profiles import readout_for
from specprefill_integrations.scoring._prompt_reader import (
    Prompt,
    PromptReader,
    QuestionTokens,
    layers_needed,
)
from specprefill_integrations.scoring._request_reading import RequestReading
from specprefill_integrations.scoring._span_scorer import ScoreRequest, SpanScorer
from specprefill_integrations.scoring._windows import Window, plan_batches
from specprefill_integrations.scoring.readouts import Readout, SpanReadings
from specprefill_integrations.types import Span

GENERIC_QUESTION = "What are the main points?"
"""What is asked where the caller asks nothing."""

# Models look at the first tokens of a prompt whatever they say: these belong to no text.
_CONTEXT_START = "Context:\n\n"
# On a CPU more tokens at a time take no less time each, and what pads them is paid for.
_CPU_BATCH_TOKENS = 1_024
_GPU_BATCH_TOKENS = 32_768
_CHARS_PER_TOKEN = 4

_QUESTION_START = "\n\nQuestion: "
_QUESTION_END = "\nAnswer:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """How much the draft reads at a time."""

    window_tokens: int | None = None
    """Context tokens of a window, fewer where the draft has too few positions; None for what the
    readout is made for."""

    batch_tokens: int | None = None
    """Context tokens of the windows that are read together; by default 32,768 on a GPU, 1,024
    elsewhere."""

    max_question_tokens: int = 512
    """Longer questions lose their middle; so do those that take more than half of the draft's
    positions."""


@dataclass(frozen=True, slots=True)
class _WindowPrompt:
    """A window of a request, ready to be read."""

    reading: RequestReading
    """Gets what is read of it."""

    window: Window
    """Which window."""

    prompt: Prompt
    """What the draft reads."""


@dataclass(frozen=True)
class AttentionScorer(SpanScorer):
    """Scores spans by how a draft model attends to them from the question."""

    draft: DraftModel
    """The model that reads."""

    readout: Readout | None = None
    """How its attention becomes a score. None: what was fitted for this draft, else the calibrated
    difference, which needs no fitting."""

    plan: ReadingPlan = field(default_factory=ReadingPlan)
    """How much it reads at a time."""

    @cached_property
    def active_readout(self) -> Readout:
        """The readout in use; the draft's config is read to find it where none was given."""
        return self.readout or readout_for(self.draft)

    @property
    def scores_are_logarithms(self) -> bool:
        """See `SpanScorer.scores_are_logarithms`."""
        return self.active_readout.scores_are_logarithms

    @cached_property
    def reading_draft(self) -> DraftModel:
        """The draft as far as the readout needs it: without further layers and output head."""
        if self.active_readout.lookahead_tokens:
            return self.draft
        config = self.draft.config
        return self.draft.first_layers(
            layers_needed(self.active_readout, config, self._wanted_window_tokens)
        )

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by what was read of their tokens. See `SpanScorer.score_spans`.

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft cannot be read.
        """
        [scores] = self.score_batch([ScoreRequest(query, texts, spans)])
        return scores

    def score_batch(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> list[list[list[float]]]:
        """Score several requests, whose windows are read together.

        Each is cut into windows as if it were alone, and nothing of it sees the others. What
        padding and the shape of a batch change are the last digits: in float32, see
        `tests/laws/test_batch_scoring.py`, less than 1e-4 of the difference between the highest
        and the lowest score of a request.

        Args:
            requests: What is asked. See `SpanScorer.score_batch`.
            is_wanted: Asked before each batch of windows.

        Raises:
            CancelledError: `is_wanted` said no.
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft cannot be read.
        """
        return [
            self._scores(request, *found)
            for request, found in zip(requests, self._read(requests, is_wanted), strict=True)
        ]

    def read_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[SpanReadings, NDArray[np.bool_]]:
        """Read what the readout makes its scores of.

        Args:
            query: The question.
            texts: The texts.
            spans: For each text, some spans in ascending order.

        Returns:
            What was read of all spans, text after text, and which of them have tokens at all.

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft cannot be read.
        """
        [found] = self._read([ScoreRequest(query, texts, spans)])
        return found

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the draft's tokenizer. See `SpanScorer.count_tokens`."""
        return self._tokenizer.count(texts)

    def token_spans(self, text: str) -> list[Span]:
        """Where each token of a text stands; tokens of one character are one span."""
        tokenized = self._tokenizer.tokenize(text, [])
        return list(dict.fromkeys(Span(a, b) for a, b in tokenized.offsets.tolist() if a < b))

    @property
    def _tokenizer(self) -> DraftTokenizer:
        return DraftTokenizer(self.reading_draft.tokenizer)

    def _scores(
        self, request: ScoreRequest, readings: SpanReadings, read: NDArray[np.bool_]
    ) -> list[list[float]]:
        """The scores of a request's spans, made of what was read of them."""
        scores = np.zeros(len(read))
        if read.any():
            scores = self.active_readout.score(readings)
            # A span without a token gets the lowest score of all.
            scores = np.where(read, scores, scores[read].min())
        edges = np.cumsum([len(found) for found in request.spans])[:-1]
        return [part.tolist() for part in np.split(scores, edges)]

    def _read(
        self, requests: Sequence[ScoreRequest], is_wanted: Callable[[], bool] | None = None
    ) -> list[tuple[SpanReadings, NDArray[np.bool_]]]:
        """Read the windows of all requests. See `RequestReading.readings`."""
        tokenizer = self._tokenizer
        around_tokens = self.active_readout.around_tokens
        readings = [RequestReading(request, tokenizer, around_tokens) for request in requests]
        waiting = [found for reading in readings for found in self._prompts(reading, tokenizer)]
        null = self.active_readout.null_question
        null_question = None if null is None else self._question(tokenizer, null)
        batches = plan_batches(
            [sum(piece.end - piece.start for piece in found.window) for found in waiting],
            [len(found.prompt.question.ids) for found in waiting],
            self._batch_tokens,
        )
        for batch in batches:
            if is_wanted is not None and not is_wanted():
                raise CancelledError
            chosen = [waiting[index] for index in batch]
            features = self._read_batch([found.prompt for found in chosen], null_question)
            for found, read in zip(chosen, features, strict=True):
                found.reading.add(found.window, read)
        return [reading.readings() for reading in readings]

    def _read_batch(
        self, prompts: Sequence[Prompt], null_question: QuestionTokens | None
    ) -> list[Tensor]:
        """Read prompts together, or, where the device has not the memory for that, in halves."""
        reader = PromptReader(self.reading_draft, self.active_readout)
        try:
            return reader.read(prompts, null_question)
        except torch.OutOfMemoryError:
            if len(prompts) == 1:
                raise
        # Out here, where the error does not hold what had been read any longer.
        torch.cuda.empty_cache()
        half = len(prompts) // 2
        return [
            features
            for part in (prompts[:half], prompts[half:])
            for features in self._read_batch(part, null_question)
        ]

    def _prompts(self, reading: RequestReading, tokenizer: DraftTokenizer) -> list[_WindowPrompt]:
        """A request's windows as the draft reads them."""
        question = self._question(tokenizer, reading.request.query or GENERIC_QUESTION)
        start = tokenizer.start_ids + tokenizer.ids(_CONTEXT_START)
        around = len(start) + len(question.ids)
        windows = reading.windows(self._window_tokens(around))
        tokens = [reading.tokens(window) for window in windows]
        longest = around + max((len(ids) for ids, _ in tokens), default=0)
        return [
            _WindowPrompt(
                reading,
                window,
                Prompt(start + ids, [False] * len(start) + is_text, question, longest),
            )
            for window, (ids, is_text) in zip(windows, tokens, strict=True)
        ]

    def _question(self, tokenizer: DraftTokenizer, question: str) -> QuestionTokens:
        """A question as it follows the context."""
        ids = tokenizer.ids(question)
        half = self._max_question_tokens // 2
        if len(ids) > 2 * half:
            ids = ids[:half] + ids[-half:]
        start, end = tokenizer.ids(_QUESTION_START), tokenizer.ids(_QUESTION_END)
        return QuestionTokens(start + ids + end, slice(len(start), len(start) + len(ids)))

    @property
    def _max_question_tokens(self) -> int:
        """Tokens of a question beside which the draft has room for a text."""
        most, positions = self.plan.max_question_tokens, self.reading_draft.max_positions
        return most if positions is None else min(most, positions // 2)

    @property
    def batch_chars(self) -> int:
        """Characters of about as many tokens as are read together. See `SpanScorer.batch_chars`."""
        return self._batch_tokens * _CHARS_PER_TOKEN

    @property
    def _batch_tokens(self) -> int:
        """Context tokens of a batch, padding included."""
        on_gpu = self.draft.device.type != "cpu"
        return self.plan.batch_tokens or (_GPU_BATCH_TOKENS if on_gpu else _CPU_BATCH_TOKENS)

    @property
    def _wanted_window_tokens(self) -> int:
        return self.plan.window_tokens or self.active_readout.window_tokens

    def _window_tokens(self, other_tokens: int) -> int:
        """Context tokens that fit beside the question and what is generated."""
        positions = self.reading_draft.max_positions
        if positions is None:
            return self._wanted_window_tokens
        room = positions - other_tokens - self.active_readout.lookahead_tokens
        return max(1, min(self._wanted_window_tokens, room))
