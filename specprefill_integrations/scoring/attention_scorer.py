"""The draft's attention as a score of spans: texts -> windows -> batches -> rows -> spans.

Knows nothing about budgets, selection or frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring.draft_model import DraftModel
from specprefill_integrations.scoring.draft_tokenizer import DraftTokenizer, TokenizedText
from specprefill_integrations.scoring.prompt_reader import PromptReader
from specprefill_integrations.scoring.readouts import Readout
from specprefill_integrations.scoring.windows import Window, plan_windows
from specprefill_integrations.types import Span

GENERIC_QUESTION = "What are the main points?"
"""What is asked where the caller asks nothing."""

_JOINT = "\n\n"
_QUESTION_START = "\n\nQuestion: "
_QUESTION_END = "\nAnswer:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """How much the draft reads at a time."""

    window_tokens: int = 1024
    """Context tokens of a window; fewer where the draft has too few positions."""

    batch_tokens: int = 4096
    """Context tokens of the windows that are read together."""

    max_question_tokens: int = 512
    """Longer questions lose their middle."""


@dataclass(frozen=True)
class AttentionScorer:
    """Scores spans by how a draft model attends to them from the question."""

    draft: DraftModel
    """The model that reads."""

    readout: Readout
    """How its attention becomes a score."""

    plan: ReadingPlan = field(default_factory=ReadingPlan)
    """How much it reads at a time."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by the mean of their tokens' scores. See `SpanScorer.score_spans`.

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft cannot be read.
        """
        tokenizer = DraftTokenizer(self.draft.tokenizer)
        tokenized = [
            tokenizer.tokenize(text, _cuts(found)) for text, found in zip(texts, spans, strict=True)
        ]
        scores = self.score_tokens(query, tokenized)
        return [
            _span_means(text, token_scores, found)
            for text, token_scores, found in zip(tokenized, scores, spans, strict=True)
        ]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the draft's tokenizer. See `SpanScorer.count_tokens`."""
        return DraftTokenizer(self.draft.tokenizer).count(texts)

    def token_spans(self, text: str) -> list[Span]:
        """Where each token of a text stands; tokens of one character are one span."""
        tokenized = DraftTokenizer(self.draft.tokenizer).tokenize(text, [])
        return list(dict.fromkeys(Span(a, b) for a, b in tokenized.offsets.tolist() if a < b))

    def score_tokens(
        self, query: str | None, texts: Sequence[TokenizedText]
    ) -> list[NDArray[np.float64]]:
        """Give every token of every text one number.

        Args:
            query: The question, or None.
            texts: The texts' tokens, and where windows may be cut.

        Returns:
            One array a text. Shape: (tokens,).
        """
        tokenizer = DraftTokenizer(self.draft.tokenizer)
        question = self._question(tokenizer, query or GENERIC_QUESTION)
        null = self.readout.null_question
        null_question = None if null is None else self._question(tokenizer, null)
        joint = tokenizer.ids(_JOINT)
        windows = plan_windows(
            [len(text.ids) + len(joint) for text in texts],
            [text.cuts for text in texts],
            self._window_tokens(len(question) + len(tokenizer.start_ids)),
        )
        scores = [np.zeros(len(text.ids)) for text in texts]
        reader = PromptReader(self.draft, self.readout)
        for batch in _batches(windows, self.plan.batch_tokens):
            contexts = [_context(window, texts, tokenizer.start_ids, joint) for window in batch]
            reduction = reader.read(contexts, question, null_question)
            rows = reduction.scores().double().cpu().numpy()
            for window, row in zip(batch, rows, strict=True):
                _scatter(window, row, texts, scores, len(joint))
        return scores

    def _question(self, tokenizer: DraftTokenizer, question: str) -> list[int]:
        """The token ids of a question as it follows the context."""
        ids = tokenizer.ids(question)
        half = self.plan.max_question_tokens // 2
        if len(ids) > 2 * half:
            ids = ids[:half] + ids[-half:]
        return tokenizer.ids(_QUESTION_START) + ids + tokenizer.ids(_QUESTION_END)

    def _window_tokens(self, other_tokens: int) -> int:
        """Context tokens that fit beside the question and what is generated."""
        positions = self.draft.max_positions
        if positions is None:
            return self.plan.window_tokens
        room = positions - other_tokens - self.readout.lookahead_tokens
        return max(1, min(self.plan.window_tokens, room))


def _cuts(spans: Sequence[Span]) -> list[int]:
    """The characters at which a window may be cut: starts of spans that lie within no other."""
    cuts = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            cuts.append(span.start)
        end = max(end, span.end)
    return cuts


def _context(
    window: Window, texts: Sequence[TokenizedText], start: Sequence[int], joint: Sequence[int]
) -> list[int]:
    """The token ids of a window: its pieces, joined as paragraphs."""
    ids = list(start)
    for number, piece in enumerate(window):
        if number:
            ids.extend(joint)
        ids.extend(texts[piece.document].ids[piece.start : piece.end])
    return ids


def _scatter(
    window: Window,
    row: NDArray[np.float64],
    texts: Sequence[TokenizedText],
    scores: Sequence[NDArray[np.float64]],
    joint_tokens: int,
) -> None:
    """Put a window's scores back to the texts' tokens; what comes before them is padding."""
    end = len(row)
    for piece in reversed(window):
        last = min(piece.end, len(texts[piece.document].ids))
        count = max(0, last - piece.start)
        scores[piece.document][piece.start : last] = row[end - count : end]
        end -= count + joint_tokens


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


def _span_means(
    text: TokenizedText, token_scores: NDArray[np.float64], spans: Sequence[Span]
) -> list[float]:
    """The mean score of the tokens that overlap each span; of none, the lowest of all."""
    sums = np.concatenate([[0.0], np.cumsum(token_scores)])
    lowest = float(token_scores.min()) if len(token_scores) else 0.0
    starts = np.searchsorted(text.offsets[:, 1], [s.start for s in spans], side="right")
    ends = np.searchsorted(text.offsets[:, 0], [s.end for s in spans], side="left")
    return [
        float((sums[last] - sums[first]) / (last - first)) if last > first else lowest
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
