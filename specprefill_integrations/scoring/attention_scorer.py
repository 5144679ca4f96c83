"""The draft's attention as a score of spans: texts -> windows -> batches -> rows -> spans.

Knows nothing about budgets, selection or frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from specprefill_integrations.scoring.draft_model import DraftModel
from specprefill_integrations.scoring.draft_tokenizer import DraftTokenizer, TokenizedText
from specprefill_integrations.scoring.prompt_reader import ContextTokens, PromptReader
from specprefill_integrations.scoring.readouts import Readout
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

    window_tokens: int = 1024
    """Context tokens of a window; fewer where the draft has too few positions."""

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

    readout: Readout
    """How its attention becomes a score."""

    plan: ReadingPlan = field(default_factory=ReadingPlan)
    """How much it reads at a time."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score spans by what was read of their tokens. See `SpanScorer.score_spans`.

        Raises:
            DraftModelNotFoundError: There is no such draft.
            DraftModelUnsupportedError: The draft cannot be read.
        """
        tokenizer = DraftTokenizer(self.draft.tokenizer)
        tokenized = [
            tokenizer.tokenize(text, _cuts(found)) for text, found in zip(texts, spans, strict=True)
        ]
        # The whole text is one more span, the last: its score counts for all the others too.
        asked = [[*found, Span(0, len(text))] for text, found in zip(texts, spans, strict=True)]
        ranges = [_token_ranges(text, found) for text, found in zip(tokenized, asked, strict=True)]
        sums = [np.zeros(len(found)) for found in asked]
        counts = [np.zeros(len(found)) for found in asked]
        joint_tokens = len(tokenizer.ids(_JOINT))
        for window, features in self._read(query, tokenizer, tokenized):
            places = _places(window, len(features), joint_tokens)
            found = [_within(ranges[piece.document], piece, at) for piece, at in places]
            # One question to the device a window: its answer is waited for.
            scores = self._combine(features, np.concatenate([edges for _, edges in found]))
            for (piece, _), (inside, edges) in zip(places, found, strict=True):
                own, scores = np.split(scores, [len(inside)])
                tokens = edges[:, 1] - edges[:, 0]
                sums[piece.document][inside] += own * tokens
                counts[piece.document][inside] += tokens
        weight = self.readout.document_weight
        return [(means[:-1] + weight * means[-1]).tolist() for means in _means(sums, counts)]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count with the draft's tokenizer. See `SpanScorer.count_tokens`."""
        return DraftTokenizer(self.draft.tokenizer).count(texts)

    def token_spans(self, text: str) -> list[Span]:
        """Where each token of a text stands; tokens of one character are one span."""
        tokenized = DraftTokenizer(self.draft.tokenizer).tokenize(text, [])
        return list(dict.fromkeys(Span(a, b) for a, b in tokenized.offsets.tolist() if a < b))

    def _read(
        self, query: str | None, tokenizer: DraftTokenizer, texts: Sequence[TokenizedText]
    ) -> Iterator[tuple[Window, Tensor]]:
        """Read the texts window by window.

        Yields:
            Each window and what was read of it. Shape of the latter: (tokens, features); what
            stands before the window's first text, padding included, comes first.
        """
        question = self._question(tokenizer, query or GENERIC_QUESTION)
        null = self.readout.null_question
        null_question = None if null is None else self._question(tokenizer, null)
        start = tokenizer.start_ids + tokenizer.ids(_CONTEXT_START)
        joint = tokenizer.ids(_JOINT)
        windows = plan_windows(
            [len(text.ids) + len(joint) for text in texts],
            [text.cuts for text in texts],
            self._window_tokens(len(question) + len(start)),
        )
        clipped = [_without_joints(window, texts) for window in windows]
        reader = PromptReader(self.draft, self.readout)
        for batch in _batches([window for window in clipped if window], self._batch_tokens):
            contexts = [_context(window, texts, start, joint) for window in batch]
            features = reader.read(contexts, question, null_question).features()
            yield from zip(batch, features, strict=True)

    def _combine(self, features: Tensor, edges: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the spans `edges[i, 0]:edges[i, 1]` of a window's tokens. Shape: (spans,)."""
        # In double, so that differences of running sums are as good as sums (Apple's GPUs: float).
        wide = torch.float32 if features.device.type == "mps" else torch.float64
        running = functional.pad(features.to(wide).cumsum(dim=0), (0, 0, 1, 0))
        first, last = torch.from_numpy(edges).to(features.device).unbind(dim=1)
        means = (running[last] - running[first]) / (last - first)[:, None]
        found: NDArray[np.float64] = self.readout.combine(means).cpu().double().numpy()
        return found

    def _question(self, tokenizer: DraftTokenizer, question: str) -> list[int]:
        """The token ids of a question as it follows the context."""
        ids = tokenizer.ids(question)
        half = self.plan.max_question_tokens // 2
        if len(ids) > 2 * half:
            ids = ids[:half] + ids[-half:]
        return tokenizer.ids(_QUESTION_START) + ids + tokenizer.ids(_QUESTION_END)

    @property
    def _batch_tokens(self) -> int:
        """Context tokens of a batch, padding included."""
        on_gpu = self.draft.device.type != "cpu"
        return self.plan.batch_tokens or (_GPU_BATCH_TOKENS if on_gpu else _CPU_BATCH_TOKENS)

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


def _means(
    sums: Sequence[NDArray[np.float64]], counts: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Mean scores, weighted by tokens; a span without a token gets the lowest of all."""
    means = [s / np.maximum(c, 1) for s, c in zip(sums, counts, strict=True)]
    read = [float(m[c > 0].min()) for m, c in zip(means, counts, strict=True) if (c > 0).any()]
    lowest = min(read, default=0.0)
    return [np.where(c > 0, m, lowest) for m, c in zip(means, counts, strict=True)]


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
