"""The scorer of encoders that read a question with a text and judge every token of the text.

Such encoders are trained for it: Provence (arXiv:2501.16214) and others after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations._arguments import NonNegativeInt, checked
from specprefill_integrations.scoring._attention_scorer import ReadingPlan
from specprefill_integrations.scoring._draft_device import in_halves
from specprefill_integrations.scoring._draft_model import Device, Dtype
from specprefill_integrations.scoring._draft_tokenizer import (
    DraftTokenizer,
    PairFrame,
    TokenizedText,
    without_middle,
)
from specprefill_integrations.scoring._encoder_model import EncoderModel, errors_of_encoders
from specprefill_integrations.scoring._languages import language_warnings
from specprefill_integrations.scoring._request_reading import tokenized, unit_starts
from specprefill_integrations.scoring._span_scorer import (
    CHARS_PER_TOKEN,
    EncodedText,
    ScoreRequest,
    Slices,
    SpanScorer,
)
from specprefill_integrations.scoring._transfers import Received, one_ahead, padded, send
from specprefill_integrations.scoring._window_reading import GENERIC_QUESTION, finished
from specprefill_integrations.scoring._windows import plan_batches, plan_windows
from specprefill_integrations.types import LanguageWarning, Span

Aggregation = Literal["mean", "max"]
"""The way from the log-odds of a span's tokens to its score."""

_WINDOW_TOKENS = 1_024
_CPU_BATCH_TOKENS = 1_024
_GPU_BATCH_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class _TextReading:
    """A text of a request, and what is read of it."""

    tokens: TokenizedText
    """Its tokens."""

    spans: Sequence[Span]
    """The spans to score."""

    log_odds: NDArray[np.float64]
    """The log-odds of each token, filled window by window. Shape: (tokens,)."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A question with a window of a text, as one input."""

    reading: _TextReading
    """Takes the result."""

    start: int
    """The window's first token in the text."""

    length: int
    """Tokens of the window."""

    at: int
    """The window's first token in `ids`."""

    ids: list[int]
    """All token ids."""

    types: list[int]
    """The types of the tokens."""


@checked
@dataclass(frozen=True)
class EncoderSpanScorer(SpanScorer):
    """Scores spans by an encoder that was trained to judge each token of a text for a question.

    Made by `from_pretrained` or `from_pair`. Texts are read apart from each other, so a score does
    not depend on the other texts of a call.
    """

    draft: EncoderModel
    """The encoder, which takes the place of a draft model."""

    aggregation: Aggregation = "mean"
    """The mean or the maximum of the log-odds of a span's tokens is its score."""

    positive_label: str | NonNegativeInt | None = None
    """The name or the index of the class that means "relevant". None: by the names in the config,
    such as RELEVANT, KEEP or ANS; or all classes but O."""

    output_name: str = "logits"
    """The name of the logits in the encoder's output. Shape: (batch, tokens), or with a last
    dimension of classes."""

    plan: ReadingPlan = field(default_factory=ReadingPlan)
    """Sizes of windows, by default 1,024 tokens or what the encoder has positions for, batches and
    questions. An encoder reads all: there is no `prefilter`."""

    def __post_init__(self) -> None:
        """Check the plan.

        Raises:
            ValueError: It has a `prefilter`.
        """
        if self.plan.prefilter is not None:
            msg = "prefilter= is for drafts: an encoder reads all."
            raise ValueError(msg)

    @classmethod
    @checked
    def from_pretrained(  # noqa: PLR0913
        cls,
        source: str | Path,
        *,
        device: Device | None = None,
        dtype: Dtype | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        aggregation: Aggregation = "mean",
        positive_label: str | NonNegativeInt | None = None,
        output_name: str = "logits",
        plan: ReadingPlan | None = None,
    ) -> EncoderSpanScorer:
        """Find a token classifier of transformers; it is loaded at first use.

        Args:
            source: A hub id, or a folder.
            device: The device; by default CUDA if available, else the CPU.
            dtype: The floating-point type; by default bfloat16 on CUDA and on CPUs that are faster
                with it, else float32.
            revision: The branch, tag or commit of an encoder on the hub.
            trust_remote_code: Run Python code that comes with the encoder. Only if you have read
                it: it can do whatever your process can.
            aggregation: See `EncoderSpanScorer.aggregation`.
            positive_label: See `EncoderSpanScorer.positive_label`.
            output_name: See `EncoderSpanScorer.output_name`.
            plan: See `EncoderSpanScorer.plan`.

        Raises:
            DraftModelNotFoundError: `source` is empty, or a path without a model.
            ValueError: Unknown dtype, a device that is unknown or cannot be used here, or a
                revision for an encoder that is not on the hub.
        """
        with errors_of_encoders():
            draft = EncoderModel.from_source(
                source,
                device=device,
                dtype=dtype,
                revision=revision,
                trust_remote_code=trust_remote_code,
            )
        return cls._of(draft, aggregation, positive_label, output_name, plan)

    @classmethod
    @checked
    def from_pair(  # noqa: PLR0913
        cls,
        model: Any,  # noqa: ANN401 - transformers' classes are not typed
        tokenizer: Any,  # noqa: ANN401
        *,
        aggregation: Aggregation = "mean",
        positive_label: str | NonNegativeInt | None = None,
        output_name: str = "logits",
        plan: ReadingPlan | None = None,
    ) -> EncoderSpanScorer:
        """Wrap a loaded encoder and its tokenizer; they stay on their device.

        Args:
            model: The encoder, a model of transformers or a subclass of its `PreTrainedModel`.
            tokenizer: Its tokenizer.
            aggregation: See `EncoderSpanScorer.aggregation`.
            positive_label: See `EncoderSpanScorer.positive_label`.
            output_name: See `EncoderSpanScorer.output_name`.
            plan: See `EncoderSpanScorer.plan`.

        Raises:
            DraftModelDamagedError: The tokenizer has more tokens than the model has embeddings.
            DraftModelUnsupportedError: It is not clear which class means "relevant".
            TypeError: These are no model and tokenizer.
        """
        draft = EncoderModel.from_source((model, tokenizer))
        scorer = cls._of(draft, aggregation, positive_label, output_name, plan)
        scorer.draft.positive_classes(positive_label)
        return scorer

    @classmethod
    def _of(
        cls,
        draft: Any,  # noqa: ANN401 - an `EncoderModel`, which the constructor checks
        aggregation: Aggregation,
        positive_label: str | int | None,
        output_name: str,
        plan: ReadingPlan | None,
    ) -> EncoderSpanScorer:
        return cls(draft, aggregation, positive_label, output_name, plan or ReadingPlan())

    @property
    def scores_are_logarithms(self) -> bool:
        """True: exp(score) is odds, close to a probability where few tokens are relevant."""
        return True

    @property
    def batch_chars(self) -> int:
        """Characters of about as many tokens as are read together. See `SpanScorer.batch_chars`."""
        return self._batch_tokens * CHARS_PER_TOKEN

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by the log-odds of their tokens. See `SpanScorer.score_spans`.

        Raises:
            DraftModelError: The encoder cannot be loaded, or gives no logits of tokens.
        """
        [scores] = self.score_batch([ScoreRequest(query, texts, spans)])
        return scores

    def score_batch(
        self, requests: Sequence[ScoreRequest], *, is_wanted: Callable[[], bool] | None = None
    ) -> list[list[list[float]]]:
        """Score several requests, reading their windows together.

        Padding and batch shape change only the last digits.

        Args:
            requests: The requests. See `SpanScorer.score_batch`.
            is_wanted: Called before each slice.

        Raises:
            CancelledError: `is_wanted` returned False.
            DraftModelError: The encoder cannot be loaded, or gives no logits of tokens.
        """
        return finished(self.score_in_slices(requests), is_wanted)

    def score_in_slices(
        self,
        requests: Sequence[ScoreRequest],
        *,
        is_wanted: Callable[[], bool] | None = None,  # noqa: ARG002 - the caller drops it
    ) -> Slices:
        """Score as `score_batch` does. See `SpanScorer.score_in_slices`.

        The first slice tokenizes, each further one reads a batch of windows.

        Args:
            requests: The requests.
            is_wanted: Not called.

        Raises:
            DraftModelError: The encoder cannot be loaded, or gives no logits of tokens.
        """
        tokenizer = DraftTokenizer(self.draft.tokenizer)
        readings = [_readings(request, tokenizer) for request in requests]
        frame = tokenizer.pair_frame
        pairs = [
            pair
            for request, found in zip(requests, readings, strict=True)
            for pair in self._pairs(request.query or GENERIC_QUESTION, found, tokenizer, frame)
        ]
        lengths = [len(pair.ids) for pair in pairs]
        batches = plan_batches(lengths, [0] * len(pairs), self._batch_tokens)
        yield from one_ahead(batches, lambda batch: self._queue([pairs[index] for index in batch]))
        return [self._scores(found) for found in readings]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the encoder's tokenizer. See `SpanScorer.count_tokens`."""
        return DraftTokenizer(self.draft.tokenizer).count(texts)

    def encode(self, texts: Sequence[str]) -> Sequence[EncodedText] | None:
        """Tokenize texts. See `SpanScorer.encode`."""
        return DraftTokenizer(self.draft.tokenizer).encoded(texts)

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of each token; tokens that share a character share its span."""
        return DraftTokenizer(self.draft.tokenizer).spans(text)

    def language_warnings(
        self, query: str | None, texts: Sequence[str]
    ) -> list[tuple[LanguageWarning, ...]]:
        """Judge by the tokenizer. See `SpanScorer.language_warnings`."""
        return language_warnings(query, texts, self.count_tokens, self.draft.name)

    def _pairs(
        self,
        question: str,
        readings: Sequence[_TextReading],
        tokenizer: DraftTokenizer,
        frame: PairFrame,
    ) -> list[_Pair]:
        """Return the windows of some texts, each with the question before it."""
        positions = self.draft.max_positions
        most = self.plan.max_question_tokens
        asked = without_middle(
            tokenizer.ids(question), most if positions is None else min(most, positions // 2)
        )
        at = len(frame.before) + len(asked) + len(frame.between)
        window_tokens = self.plan.window_tokens or _WINDOW_TOKENS
        if positions is not None:
            window_tokens = max(1, min(window_tokens, positions - len(asked) - frame.tokens))
        pairs = []
        for reading in readings:
            tokens = reading.tokens
            cuts = tokens.cuts(unit_starts(reading.spans))
            for [piece] in plan_windows([tokens.tokens], [cuts], window_tokens):
                ids, types = frame.join(asked, tokens.ids[piece.start : piece.end])
                pairs.append(_Pair(reading, piece.start, piece.end - piece.start, at, ids, types))
        return pairs

    def _queue(self, pairs: Sequence[_Pair]) -> Callable[[], None]:
        """Let the device read windows; return the function that waits for their log-odds."""
        received = in_halves(lambda part: [self._read(part)], pairs)

        def add() -> None:
            rows = chain.from_iterable(one.wait() for one in received)  # (tokens,) each
            for pair, row in zip(pairs, rows, strict=True):
                own = row[pair.at : pair.at + pair.length]
                pair.reading.log_odds[pair.start : pair.start + pair.length] = own

        return add

    def _read(self, pairs: Sequence[_Pair]) -> Received:
        """Read windows; the log-odds of their tokens are on their way. Shape: (batch, longest)."""
        draft = self.draft
        arrays = {
            "input_ids": padded([pair.ids for pair in pairs], draft.pad_id),
            "attention_mask": padded([[1] * len(pair.ids) for pair in pairs]),
        }
        if draft.has_token_types:
            arrays["token_type_ids"] = padded([pair.types for pair in pairs])
        inputs = dict(zip(arrays, send(list(arrays.values()), draft.device), strict=True))
        return Received(draft.log_odds(inputs, self.output_name, self.positive_label))

    def _scores(self, readings: Sequence[_TextReading]) -> list[list[float]]:
        """Compute the scores of the spans of a request's texts."""
        reduce = _means if self.aggregation == "mean" else _maxima
        found = []
        for reading in readings:
            ranges = reading.tokens.ranges(reading.spans)  # (spans, 2)
            scores = np.full(len(ranges), np.nan)  # (spans,)
            has_tokens = ranges[:, 0] < ranges[:, 1]
            scores[has_tokens] = reduce(reading.log_odds, ranges[has_tokens])
            found.append(scores)
        every = np.concatenate(found) if found else np.zeros(0)
        # A span without tokens gets the lowest score of all.
        lowest = np.nanmin(every) if not np.isnan(every).all() else 0.0
        return [np.where(np.isnan(scores), lowest, scores).tolist() for scores in found]

    @property
    def _batch_tokens(self) -> int:
        """Tokens of a batch, padding included."""
        on_gpu = self.draft.device.type != "cpu"
        return self.plan.batch_tokens or (_GPU_BATCH_TOKENS if on_gpu else _CPU_BATCH_TOKENS)


def _readings(request: ScoreRequest, tokenizer: DraftTokenizer) -> list[_TextReading]:
    """Tokenize the texts of a request."""
    return [
        _TextReading(tokens, spans, np.zeros(tokens.tokens))
        for tokens, spans in zip(tokenized(request, tokenizer), request.spans, strict=True)
    ]


def _means(values: NDArray[np.float64], ranges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of `values[first:last]` for each range. Shape: (ranges,)."""
    running = np.concatenate([[0.0], values.cumsum()])  # (tokens + 1,)
    first, last = ranges.T
    means: NDArray[np.float64] = (running[last] - running[first]) / (last - first)
    return means


def _maxima(values: NDArray[np.float64], ranges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the maximum of `values[first:last]` for each range. Shape: (ranges,).

    Each range is covered by two stretches of a power of two, so that long and overlapping ranges
    cost no more than short ones.
    """
    first, last = ranges.T
    maxima = np.zeros(len(ranges))
    stretches, width = values, 1  # stretches[i] is the maximum of values[i : i + width]
    while len(stretches):
        fits = (width <= last - first) & (last - first < 2 * width)  # (ranges,)
        maxima[fits] = np.maximum(stretches[first[fits]], stretches[last[fits] - width])
        stretches = np.maximum(stretches[:-width], stretches[width:])
        width *= 2
    return maxima
