"""One request on its way through the draft: its tokens, its windows, what was read of its spans.

Knows no model: tokens go out, features of windows come in, means over spans are what remains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer, TokenizedText
from specprefill_integrations.scoring._lexical import lexical_coverage
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._windows import Piece, Window, plan_windows
from specprefill_integrations.scoring.readouts import SpanReadings
from specprefill_integrations.types import Span

JOINT = "\n\n"
"""What stands between the texts of a window."""


class RequestReading:
    """Adds up what is read of a request's spans, window by window, in any order."""

    def __init__(
        self, request: ScoreRequest, tokenizer: DraftTokenizer, around_tokens: int
    ) -> None:
        """Tokenize the texts; nothing is read yet.

        Args:
            request: What is asked.
            tokenizer: The draft's.
            around_tokens: See `Readout.around_tokens`.
        """
        self.request = request
        self._joint = tokenizer.ids(JOINT)
        self._texts = [
            tokenizer.tokenize(text, _cuts(found))
            for text, found in zip(request.texts, request.spans, strict=True)
        ]
        own = [
            _token_ranges(text, found)
            for text, found in zip(self._texts, request.spans, strict=True)
        ]
        around = [
            _widened(ranges, around_tokens, len(text.ids))
            for text, ranges in zip(self._texts, own, strict=True)
        ]
        # Of each text: its spans, then the same with what is around them. Shape of each: (2n, 2).
        self._ranges = [np.concatenate(pair) for pair in zip(own, around, strict=True)]
        self._firsts = np.cumsum([0, *map(len, self._ranges)])
        self._counts = np.zeros(self._firsts[-1])
        self._sums = np.zeros((self._firsts[-1], 0))

    def windows(self, window_tokens: int) -> list[Window]:
        """Cut the texts into windows of so many tokens, as if there were no other request."""
        windows = plan_windows(
            [len(text.ids) + len(self._joint) for text in self._texts],
            [text.cuts for text in self._texts],
            window_tokens,
        )
        clipped = [_without_joints(window, self._texts) for window in windows]
        return [window for window in clipped if window]

    def tokens(self, window: Window) -> tuple[list[int], list[bool]]:
        """The tokens of a window, its pieces joined as paragraphs, and which are of the texts."""
        ids: list[int] = []
        is_text: list[bool] = []
        for number, piece in enumerate(window):
            if number:
                ids.extend(self._joint)
                is_text.extend([False] * len(self._joint))
            part = self._texts[piece.document].ids[piece.start : piece.end]
            ids.extend(part)
            is_text.extend([True] * len(part))
        return ids, is_text

    def add(self, window: Window, features: Tensor) -> None:
        """Take in what was read of a window.

        Args:
            window: One of `windows`.
            features: Of its tokens; what stands before its first text, padding included, comes
                first. Shape: (tokens, features).
        """
        if not self._sums.size:
            self._sums = np.zeros((len(self._sums), features.shape[1]))
        places = _places(window, len(features), len(self._joint))
        found = [_within(self._ranges[piece.document], piece, at) for piece, at in places]
        inside = np.concatenate(
            [
                index + self._firsts[piece.document]
                for (piece, _), (index, _) in zip(places, found, strict=True)
            ]
        )
        edges = np.concatenate([edges for _, edges in found])
        # One question to the device a window: its answer is waited for.
        self._sums[inside] += _range_sums(features, edges)
        self._counts[inside] += edges[:, 1] - edges[:, 0]

    def readings(self) -> tuple[SpanReadings, NDArray[np.bool_]]:
        """What was read of all spans, text after text, and which of them have tokens at all."""
        means = self._sums / np.maximum(self._counts, 1)[:, None]
        spans = self.request.spans
        is_own = np.concatenate([np.arange(2 * len(found)) < len(found) for found in spans])
        characters = list(map(_characters, self._texts, self._ranges))
        held = np.concatenate(
            lexical_coverage(self.request.query or "", self.request.texts, characters)
        )
        readings = SpanReadings(
            own=means[is_own],
            around=means[~is_own],
            lexical=np.stack([held[is_own], held[~is_own]], axis=1),
        )
        return readings, self._counts[is_own] > 0


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
