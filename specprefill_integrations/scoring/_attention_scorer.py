"""Span scores from a draft model's attention.

Texts are cut into windows, windows are read in batches, and what a readout makes of the attention
is averaged over spans. Knows nothing about budgets, selection or frameworks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations._arguments import NonNegativeInt, PositiveInt, Share, checked
from specprefill_integrations.scoring._draft_layers import layers_needed
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._languages import language_warnings
from specprefill_integrations.scoring._prefilter import split_by_text
from specprefill_integrations.scoring._profiles import ReadoutProfile
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.scoring._span_scorer import (
    CHARS_PER_TOKEN,
    EncodedText,
    ScoreRequest,
    Slices,
    SpanScorer,
)
from specprefill_integrations.scoring._window_reading import ReadSpans, WindowReader, finished
from specprefill_integrations.scoring.readouts import (
    CalibratedDifferenceReadout,
    Readout,
    SpanReadings,
)
from specprefill_integrations.types import LanguageWarning, Span

# On a CPU larger batches save no time per token, but their padding costs some.
_CPU_BATCH_TOKENS = 1_024
_GPU_BATCH_TOKENS = 32_768
# On a CPU of 14,000 tokens with the embedded draft, in float32; on a GPU of 100,000, in bfloat16.
_CPU_CACHE_BYTES = 512 * 1024**2
_GPU_CACHE_BYTES = 2 * 1024**3


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """Sizes of windows, batches, questions and of what is kept of them."""

    window_tokens: PositiveInt | None = None
    """Context tokens of a window, fewer if the draft has too few positions; None for the readout's
    own choice."""

    alone_tokens: PositiveInt | None = None
    """Tokens from which a text shares no window with the other texts of a call, so that what was
    read of it is found again in other company. None: texts of any length share windows."""

    batch_tokens: PositiveInt | None = None
    """Context tokens of the windows read together; None for 1,024 on a CPU, and on a GPU for 32,768
    or as many as fit into half of its free memory."""

    max_question_tokens: PositiveInt = 512
    """The middle of longer questions is cut out, also if a question takes more than half of the
    draft's positions."""

    cache_bytes: NonNegativeInt | None = None
    """Memory for keys and values of windows that were read, and for the attention to them from the
    question without content, on the draft's device: another question about such a window takes one
    short pass. Least recently used windows are dropped first. 0: none are kept. None: 512 MB on a
    CPU, 2 GB on a GPU. All scorers with the same draft (device, dtype and layers) share it.
    Encoders, and drafts with layers that keep no keys (state-space, linear), keep nothing."""

    prefilter: Share | None = None
    """Share of the tokens that the draft reads, or 512 tokens if that is more: stretches of about
    100 tokens that match the question's words best. The others rank behind them, by their words.
    All is read without a question, and if fewer than half of its words occur in the texts. What is
    kept of windows serves another question only where the same parts are read. Scores are not
    calibrated then: there is no `Budget(target_recall=)`. None: the draft reads all."""


@checked
@dataclass(frozen=True)
class AttentionScorer(SpanScorer):
    """Scores spans by a draft model's attention to them from the question."""

    draft: DraftModel
    """The draft model."""

    readout: Readout | ReadoutProfile | None = None
    """Turns attention into scores, or the profile of one. None: the readout of the draft's profile,
    else the calibrated difference, which needs no fitting."""

    plan: ReadingPlan = field(default_factory=ReadingPlan)
    """Sizes of windows, batches and questions."""

    @cached_property
    def active_readout(self) -> Readout:
        """The readout in use; to find one, the draft's config is read.

        Raises:
            ReadoutProfileError: The profile is that of a draft of another shape.
        """
        found = self._given
        if isinstance(found, ReadoutProfile):
            return found.readout_for(self.draft.config)
        return CalibratedDifferenceReadout() if found is None else found

    @property
    def scores_are_logarithms(self) -> bool:
        """See `SpanScorer.scores_are_logarithms`."""
        return self.active_readout.scores_are_logarithms

    @property
    def score_calibration(self) -> ScoreCalibration | None:
        """That of the profile; None without one, and with a prefilter, where it does not hold."""
        if self.plan.prefilter is not None:
            return None
        found = self._given
        return found.score_calibration if isinstance(found, ReadoutProfile) else None

    @property
    def may_be_calibrated(self) -> bool:
        """See `SpanScorer.may_be_calibrated`: the draft's own profile is not looked for here."""
        if self.plan.prefilter is not None:
            return False
        return self.readout is None or self.score_calibration is not None

    @cached_property
    def reading_draft(self) -> DraftModel:
        """The part of the draft that the readout needs: no later layers, no output head."""
        if self.active_readout.lookahead_tokens:
            return self.draft
        config = self.draft.config
        return self.draft.first_layers(
            layers_needed(self.active_readout, config, self._wanted_window_tokens)
        )

    @property
    def reader(self) -> PromptReader:
        """A new reader of prompts."""
        return PromptReader(self.reading_draft, self.active_readout, self._cache_bytes)

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by what was read of their tokens. See `SpanScorer.score_spans`.

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft's attention cannot be read.
        """
        [scores] = self.score_batch([ScoreRequest(query, texts, spans)])
        return scores

    def score_batch(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> list[list[list[float]]]:
        """Score several requests, reading their windows together.

        Each request is cut into windows as if it were alone, and no window sees another. Padding
        and batch shape change only the last digits: in float32 by less than 1e-4 of the difference
        between a request's highest and lowest score, see `tests/laws/test_batch_scoring.py`.

        Args:
            requests: The requests. See `SpanScorer.score_batch`.
            is_wanted: Called before each slice.

        Raises:
            CancelledError: `is_wanted` returned False.
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft's attention cannot be read.
        """
        return finished(self.score_in_slices(requests), is_wanted)

    def score_in_slices(
        self,
        requests: Sequence[ScoreRequest],
        *,
        is_wanted: Callable[[], bool] | None = None,  # noqa: ARG002 - the caller drops it
    ) -> Slices:
        """Score as `score_batch` does. See `SpanScorer.score_in_slices`.

        The first slice tokenizes, each further one reads a batch of windows; on CUDA, the batch
        before, while this one is queued. Sums over spans are all that is kept in between.

        Args:
            requests: The requests.
            is_wanted: Not called.

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft's attention cannot be read.
        """
        found = yield from self.window_reader.read(requests)
        return [self._scores(request, read) for request, read in zip(requests, found, strict=True)]

    def read_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[SpanReadings, NDArray[np.bool_]]:
        """Read the values from which the readout computes scores.

        Args:
            query: The question.
            texts: The texts.
            spans: For each text, spans in ascending order.

        Returns:
            The readings of the spans that were read, text after text, and which these are: all
            that have tokens, without `ReadingPlan.prefilter`. Shape of the latter: (spans,).

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft's attention cannot be read.
        """
        [found] = finished(self.window_reader.read([ScoreRequest(query, texts, spans)]))
        return found.readings, found.is_read

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the draft's tokenizer. See `SpanScorer.count_tokens`."""
        return self._tokenizer.count(texts)

    def encode(self, texts: Sequence[str]) -> Sequence[EncodedText] | None:
        """Tokenize texts. See `SpanScorer.encode`."""
        return self._tokenizer.encoded(texts)

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of each token; tokens that share a character share its span."""
        return self._tokenizer.spans(text)

    def language_warnings(
        self, query: str | None, texts: Sequence[str]
    ) -> list[tuple[LanguageWarning, ...]]:
        """Judge by the tokenizer. See `SpanScorer.language_warnings`."""
        return language_warnings(query, texts, self.count_tokens, self.draft.name)

    @property
    def uncached(self) -> AttentionScorer:
        """A copy that reads every window anew. See `SpanScorer.uncached`."""
        return replace(self, plan=replace(self.plan, cache_bytes=0))

    @property
    def replicas(self) -> Sequence[AttentionScorer]:
        """On a GPU, the scorer twice: while the device reads a batch, the next is prepared."""
        return (self, self) if self.draft.device.type == "cuda" else (self,)

    @property
    def batch_chars(self) -> int:
        """Characters of about as many tokens as are read together. See `SpanScorer.batch_chars`."""
        return self._batch_tokens * CHARS_PER_TOKEN

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: cached properties are found again where they are needed."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @cached_property
    def _given(self) -> Readout | ReadoutProfile | None:
        """The readout that was given, or the profile that was given or found."""
        return self.draft.profile if self.readout is None else self.readout

    @property
    def _tokenizer(self) -> DraftTokenizer:
        return DraftTokenizer(self.draft.tokenizer)

    def _scores(self, request: ScoreRequest, found: ReadSpans) -> list[list[float]]:
        """Compute the scores of a request's spans, text by text."""
        scores = np.zeros(len(found.is_read))  # (spans,)
        if found.is_read.any():
            read = self.active_readout.score(found.readings)  # (read spans,)
            # A span without tokens gets the lowest score of all.
            scores[:] = read.min()
            scores[found.is_read] = read
        if found.words is not None:
            scores -= np.where(found.is_read, 0, self._below(found.words))
        return [part.tolist() for part in split_by_text(scores, request.spans)]

    def _below(self, words: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute how far below what was read a span ranks by its words. Shape: (spans,)."""
        below: NDArray[np.float64] = words.max() - words
        # Of scores that are no logarithms, a difference says little: only the order is kept.
        return below if self.scores_are_logarithms else 1e-9 * below

    @property
    def window_reader(self) -> WindowReader:
        """A new reader of requests."""
        return WindowReader(
            draft=self.reading_draft,
            readout=self.active_readout,
            reader=self.reader,
            window_tokens=self._wanted_window_tokens,
            alone_tokens=self.plan.alone_tokens,
            batch_tokens=self._batch_tokens,
            fits_memory=self.plan.batch_tokens is None,
            max_question_tokens=self.plan.max_question_tokens,
            prefilter=self.plan.prefilter,
        )

    @property
    def _batch_tokens(self) -> int:
        """Context tokens of a batch, padding included."""
        on_gpu = self.draft.device.type != "cpu"
        return self.plan.batch_tokens or (_GPU_BATCH_TOKENS if on_gpu else _CPU_BATCH_TOKENS)

    @property
    def _cache_bytes(self) -> int:
        """Memory for what is kept of windows."""
        on_gpu = self.draft.device.type != "cpu"
        default = _GPU_CACHE_BYTES if on_gpu else _CPU_CACHE_BYTES
        return default if self.plan.cache_bytes is None else self.plan.cache_bytes

    @property
    def _wanted_window_tokens(self) -> int:
        return self.plan.window_tokens or self.active_readout.window_tokens
