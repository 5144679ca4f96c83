"""The draft's attention as a score of spans: texts -> windows -> batches -> rows -> spans.

Knows nothing about budgets, selection or frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from specprefill_integrations.scoring.draft_model import DraftModel
from specprefill_integrations.scoring.draft_tokenizer import DraftTokenizer, TokenizedText
from specprefill_integrations.scoring.lexical import lexical_coverage
from specprefill_integrations.scoring.profiles import readout_for
from specprefill_integrations.scoring.prompt_reader import (
    ContextTokens,
    PromptReader,
    QuestionTokens,
    layers_needed,
)
from specprefill_integrations.scoring.readouts import Readout, SpanReadings
from specprefill_integrations.scoring.windows import Piece, Window, plan_windows
from specprefill_integrations.types import Span

GENERIC_QUESTION = "What are the main points?"
"""What is asked where the caller asks nothing."""

# Models look at the first tokens of a prompt whatever they say: these belong to no text.
_CONTEXT_START = "Context:\n\n"
_JOINT = "\n\n"
_CPU_BATCH_TOKENS = 4_096
_GPU_BATCH_TOKENS = 32_768

_QUESTION_START = "\n\nQuestion: "
_QUESTION_END = "\nAnswer:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """How much the draft reads at a time."""

    window_tokens: int | None = None
    """Context tokens of a window, fewer where the draft has too few positions; None for what the
    readout is made for."""

    batch_tokens: int | None = None
    """Context tokens of the windows that are read together; by default 32,768 on a GPU, 4,096
    elsewhere."""

    max_question_tokens: int = 512
    """Longer questions lose their middle."""


@dataclass(frozen=True)
class AttentionScorer:
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
        """See `LogScorer`."""
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
        readings, read = self.read_spans(query, texts, spans)
        scores = np.zeros(len(read))
        if read.any():
            scores = self.active_readout.score(readings)
            # A span without a token gets the lowest score of all.
            scores = np.where(read, scores, scores[read].min())
        edges = np.cumsum([len(found) for found in spans])[:-1]
        return [part.tolist() for part in np.split(scores, edges)]

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
        tokenizer = self._tokenizer
        tokenized = [
            tokenizer.tokenize(text, _cuts(found)) for text, found in zip(texts, spans, strict=True)
        ]
        own = [_token_ranges(text, found) for text, found in zip(tokenized, spans, strict=True)]
        around = [
            _widened(ranges, self.active_readout.around_tokens, len(text.ids))
            for text, ranges in zip(tokenized, own, strict=True)
        ]
        both = [np.concatenate(pair) for pair in zip(own, around, strict=True)]
        means, read = self._means(query, tokenizer, tokenized, both)
        is_own = np.concatenate([np.arange(2 * len(found)) < len(found) for found in spans])
        held = np.concatenate(
            lexical_coverage(query or "", texts, list(map(_characters, tokenized, both)))
        )
        readings = SpanReadings(
            own=means[is_own],
            around=means[~is_own],
            lexical=np.stack([held[is_own], held[~is_own]], axis=1),
        )
        return readings, read[is_own]

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

    def _means(
        self,
        query: str | None,
        tokenizer: DraftTokenizer,
        texts: Sequence[TokenizedText],
        ranges: Sequence[NDArray[np.int64]],
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Means of the features of ranges of tokens, over all windows that hold some of them.

        Args:
            query: The question.
            tokenizer: The draft's.
            texts: The texts.
            ranges: The ranges of each text. Shape of each: (ranges, 2).

        Returns:
            The means, text after text, and which ranges have tokens at all. Shapes:
            (all ranges, features), (all ranges,).
        """
        firsts = np.cumsum([0, *map(len, ranges)])
        counts = np.zeros(firsts[-1])
        sums = np.zeros((firsts[-1], 0))
        joint_tokens = len(tokenizer.ids(_JOINT))
        for window, features in self._read(query, tokenizer, texts):
            if not sums.size:
                sums = np.zeros((len(sums), features.shape[1]))
            places = _places(window, len(features), joint_tokens)
            found = [_within(ranges[piece.document], piece, at) for piece, at in places]
            inside = np.concatenate(
                [
                    index + firsts[piece.document]
                    for (piece, _), (index, _) in zip(places, found, strict=True)
                ]
            )
            edges = np.concatenate([edges for _, edges in found])
            # One question to the device a window: its answer is waited for.
            sums[inside] += _range_sums(features, edges)
            counts[inside] += edges[:, 1] - edges[:, 0]
        return sums / np.maximum(counts, 1)[:, None], counts > 0

    def _read(
        self, query: str | None, tokenizer: DraftTokenizer, texts: Sequence[TokenizedText]
    ) -> Iterator[tuple[Window, Tensor]]:
        """Read the texts window by window.

        Yields:
            Each window and what was read of it. Shape of the latter: (tokens, features); what
            stands before the window's first text, padding included, comes first.
        """
        question = self._question(tokenizer, query or GENERIC_QUESTION)
        null = self.active_readout.null_question
        null_question = None if null is None else self._question(tokenizer, null)
        start = tokenizer.start_ids + tokenizer.ids(_CONTEXT_START)
        joint = tokenizer.ids(_JOINT)
        windows = plan_windows(
            [len(text.ids) + len(joint) for text in texts],
            [text.cuts for text in texts],
            self._window_tokens(len(question.ids) + len(start)),
        )
        clipped = [_without_joints(window, texts) for window in windows]
        reader = PromptReader(self.reading_draft, self.active_readout)
        for batch in _batches([window for window in clipped if window], self._batch_tokens):
            contexts = [_context(window, texts, start, joint) for window in batch]
            features = reader.read(contexts, question, null_question).features()
            yield from zip(batch, features, strict=True)

    def _question(self, tokenizer: DraftTokenizer, question: str) -> QuestionTokens:
        """A question as it follows the context."""
        ids = tokenizer.ids(question)
        half = self.plan.max_question_tokens // 2
        if len(ids) > 2 * half:
            ids = ids[:half] + ids[-half:]
        start, end = tokenizer.ids(_QUESTION_START), tokenizer.ids(_QUESTION_END)
        return QuestionTokens(start + ids + end, slice(len(start), len(start) + len(ids)))

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


def _cuts(spans: Sequence[Span]) -> list[int]:
    """The characters at which a window may be cut: starts of spans that lie within no other."""
    cuts = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            cuts.append(span.start)
        end = max(end, span.end)
    return cuts


def _without_joints(window: Window, texts: Sequence[TokenizedText]) -> Window:
    """The window without what would join its texts to the next ones."""
    clipped = (Piece(p.document, p.start, min(p.end, len(texts[p.document].ids))) for p in window)
    return tuple(piece for piece in clipped if piece.start < piece.end)


def _context(
    window: Window, texts: Sequence[TokenizedText], start: Sequence[int], joint: Sequence[int]
) -> ContextTokens:
    """The tokens of a window: its pieces, joined as paragraphs."""
    ids = list(start)
    is_text = [False] * len(ids)
    for number, piece in enumerate(window):
        if number:
            ids.extend(joint)
            is_text.extend([False] * len(joint))
        part = texts[piece.document].ids[piece.start : piece.end]
        ids.extend(part)
        is_text.extend([True] * len(part))
    return ContextTokens(ids, is_text)


def _places(window: Window, length: int, joint_tokens: int) -> list[tuple[Piece, int]]:
    """Each piece of a window and where it starts among the window's `length` tokens."""
    places = []
    end = length
    for piece in reversed(window):  # the last one ends the window; padding comes first
        start = end - (piece.end - piece.start)
        places.append((piece, start))
        end = start - joint_tokens
    return places


def _token_ranges(text: TokenizedText, spans: Sequence[Span]) -> NDArray[np.int64]:
    """The tokens that overlap each span. Shape: (spans, 2)."""
    first = np.searchsorted(text.offsets[:, 1], [s.start for s in spans], side="right")
    last = np.searchsorted(text.offsets[:, 0], [s.end for s in spans], side="left")
    return np.stack([first, np.maximum(first, last)], axis=1)


def _within(
    ranges: NDArray[np.int64], piece: Piece, at: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which spans have tokens in a piece, and from where to where in its window.

    Args:
        ranges: The tokens of each span. Shape: (spans, 2).
        piece: The stretch of the spans' text.
        at: Where it starts in the window.

    Returns:
        Indices into `ranges`, and the tokens of each. Shapes: (found,), (found, 2).
    """
    clipped = ranges.clip(piece.start, piece.end)
    inside = np.nonzero(clipped[:, 0] < clipped[:, 1])[0]
    return inside, clipped[inside] - piece.start + at


def _characters(text: TokenizedText, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """The characters of ranges of tokens; none of an empty range. Shape: (ranges, 2)."""
    starts = np.append(text.offsets[:, 0], 0)[ranges[:, 0]]
    ends = np.append(0, text.offsets[:, 1])[ranges[:, 1]]
    return np.stack([starts, np.maximum(starts, ends)], axis=1)


def _widened(ranges: NDArray[np.int64], around_tokens: int, text_tokens: int) -> NDArray[np.int64]:
    """The ranges with `around_tokens` more on both sides, as far as the text goes."""
    wider: NDArray[np.int64] = ranges + np.array([-around_tokens, around_tokens])
    return wider.clip(0, text_tokens)


def _range_sums(features: Tensor, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum the features of the tokens `edges[i, 0]:edges[i, 1]`. Shape: (ranges, features)."""
    # In double, so that differences of running sums are as good as sums (Apple's GPUs: float).
    wide = torch.float32 if features.device.type == "mps" else torch.float64
    running = functional.pad(features.to(wide).cumsum(dim=0), (0, 0, 1, 0))
    first, last = torch.from_numpy(edges).to(features.device).unbind(dim=1)
    found: NDArray[np.float64] = (running[last] - running[first]).cpu().double().numpy()
    return found


def _batches(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Neighboring windows, as many as fit into `batch_tokens` padded to the longest."""
    batch: list[Window] = []
    longest = 0
    for window in windows:
        length = sum(piece.end - piece.start for piece in window)
        longest = max(longest, length)
        if batch and longest * (len(batch) + 1) > batch_tokens:
            yield batch
            batch, longest = [], length
        batch.append(window)
    if batch:
        yield batch
