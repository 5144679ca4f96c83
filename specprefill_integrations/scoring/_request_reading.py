"""Means of the draft's features over the spans of one request, collected window by window.

Knows no model: hands out the tokens of windows and takes in their features.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer, TokenizedText
from specprefill_integrations.scoring._lexical import LexicalMatcher
from specprefill_integrations.scoring._prefilter import (
    room_for,
    says_enough,
    tokens_to_read,
)
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._windows import Piece, Window, plan_windows
from specprefill_integrations.scoring._word_scorer import word_scores
from specprefill_integrations.scoring.readouts import SpanReadings
from specprefill_integrations.types import Span

JOINT = "\n\n"
"""Separator of the texts in a window."""


class RequestReading:
    """Sums up the features of a request's spans; windows may come in any order."""

    def __init__(
        self, request: ScoreRequest, tokenizer: DraftTokenizer, around_tokens: int
    ) -> None:
        """Tokenize the texts.

        Args:
            request: The request.
            tokenizer: The draft's tokenizer.
            around_tokens: See `Readout.around_tokens`.
        """
        self.request = request
        self._tokenizer, self._around_tokens = tokenizer, around_tokens
        self._joint = tokenizer.ids(JOINT)
        self._texts = tokenized(request, tokenizer)
        own = [text.ranges(found) for text, found in zip(self._texts, request.spans, strict=True)]
        around = [
            _widened(ranges, around_tokens, len(text.ids))
            for text, ranges in zip(self._texts, own, strict=True)
        ]
        # Of each text: the token ranges of its spans, then the same widened by their neighborhood,
        # so that one gather reads both. Shape of each: (2 * spans, 2).
        self._ranges = [np.concatenate(pair) for pair in zip(own, around, strict=True)]
        self._reach = [
            np.concatenate([np.maximum.accumulate(half[:, 1]) for half in pair])
            for pair in zip(own, around, strict=True)
        ]
        # Their rows among those of all texts, where all spans come before all neighborhoods.
        spans = sum(map(len, own))
        firsts = np.cumsum([0, *map(len, own)])
        self._rows = [
            np.concatenate([row := np.arange(len(ranges)) + first, row + spans])
            for ranges, first in zip(own, firsts[:-1], strict=True)
        ]
        self._own = own
        self._runs = [
            Piece(number, 0, len(text.ids)) for number, text in enumerate(self._texts) if text.ids
        ]
        self.words: NDArray[np.float64] | None = None
        """With a prefilter that left something out, the word score of each span, or of the
        outermost span around it. Shape: (spans,)."""
        self._counts = np.zeros(2 * spans)  # (ranges,)
        self._sums = np.zeros((2 * spans, 0))  # (ranges, features) from the first `add` on

    @cached_property
    def matcher(self) -> LexicalMatcher:
        """The words of all spans."""
        characters = list(map(_characters, self._texts, self._ranges))
        halves = [np.split(edges, 2) for edges in characters]
        return LexicalMatcher(
            request=self.request,
            own=[own for own, _ in halves],
            around=[around for _, around in halves],
        )

    def read_only(self, share: float) -> None:
        """Leave out of the windows what `tokens_to_read` does not choose.

        Spans within others, such as single tokens, change nothing.

        Args:
            share: Share of the tokens to be read.
        """
        lengths = [len(text.ids) for text in self._texts]
        room = room_for(lengths, share)
        if room is None:
            return
        outer = [_outermost(found) for found in self.request.spans]
        request = replace(self.request, spans=outer, encoded=self._texts)
        whole = RequestReading(request, self._tokenizer, self._around_tokens)
        if not says_enough(whole.matcher):
            return
        scores = word_scores(whole.matcher)
        read = tokens_to_read(whole._own, lengths, scores, room)
        self._runs = [
            Piece(number, start, end) for number, part in enumerate(read) for start, end in part
        ]
        firsts = np.cumsum([0, *map(len, outer)])
        around = [
            first + np.searchsorted([one.start for one in own], [s.start for s in spans], "right")
            for first, own, spans in zip(firsts[:-1], outer, self.request.spans, strict=True)
        ]
        self.words = scores[np.concatenate(around) - 1]

    def windows(self, window_tokens: int, alone_tokens: int | None = None) -> list[Window]:
        """Cut what is read of the texts into windows. See `plan_windows`."""
        cuts = [
            text.cuts(unit_starts(found))
            for text, found in zip(self._texts, self.request.spans, strict=True)
        ]
        windows = plan_windows(
            [run.end - run.start + len(self._joint) for run in self._runs],
            [_cuts_within(run, cuts[run.document]) for run in self._runs],
            window_tokens,
            alone_tokens,
        )
        clipped = [tuple(map(self._piece_of_run, window)) for window in windows]
        filled = [tuple(one for one in window if one.start < one.end) for window in clipped]
        return [window for window in filled if window]

    def tokens(self, window: Window) -> tuple[list[int], list[bool]]:
        """Return the token ids of a window, its pieces joined as paragraphs, and which are text."""
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

    def count(self, window: Window) -> int:
        """Return the number of tokens that `tokens` returns."""
        texts = sum(piece.end - piece.start for piece in window)
        return texts + len(self._joint) * (len(window) - 1)

    def ranges(
        self, window: Window, context_tokens: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ranges of tokens in a window whose features `add` takes.

        Args:
            window: One of `windows`.
            context_tokens: Tokens of its prompt's context, which ends with the window's tokens.

        Returns:
            What they belong to, and their tokens in the context. Shapes: (found,), (found, 2).
        """
        places = _places(window, context_tokens, len(self._joint))
        found = [
            _within(self._ranges[piece.document], self._reach[piece.document], piece, at)
            for piece, at in places
        ]
        inside = [
            self._rows[piece.document][index]
            for (piece, _), (index, _) in zip(places, found, strict=True)
        ]
        return np.concatenate(inside), np.concatenate([edges for _, edges in found])

    def add(
        self, inside: NDArray[np.int64], edges: NDArray[np.int64], sums: NDArray[np.float64]
    ) -> None:
        """Add the features of a window.

        Args:
            inside: What `ranges` returned. Shape: (found,).
            edges: What `ranges` returned. Shape: (found, 2).
            sums: Sums of the features over these ranges. Shape: (found, features).
        """
        if not self._sums.size:
            self._sums = np.zeros((len(self._sums), sums.shape[1]))
        tokens = edges[:, 1] - edges[:, 0]  # (found,)
        if self.words is not None:  # a range may continue in the next piece of a window
            np.add.at(self._sums, inside, sums)
            np.add.at(self._counts, inside, tokens)
        else:
            self._sums[inside] += sums
            self._counts[inside] += tokens

    def readings(self) -> tuple[SpanReadings, NDArray[np.bool_]]:
        """Return the readings of the spans that were read, and which spans these are.

        A span without tokens is never read; of one that the prefilter cut, half must be. To be
        called once: sums become means in their place, as they may take much memory.

        Returns:
            The readings, text after text, and a mark for each span. Shape of the latter: (spans,).
        """
        lengths = np.concatenate([own[:, 1] - own[:, 0] for own in self._own])  # (spans,)
        is_read = (lengths > 0) & (2 * self._counts[: len(lengths)] >= lengths)  # (spans,)
        own, around = np.split(self._sums, 2)  # (spans, features) each
        tokens, tokens_around = np.split(np.maximum(self._counts, 1)[:, None], 2)  # (spans, 1) each
        own /= tokens
        around /= tokens_around
        if is_read.all():
            return SpanReadings(own=own, around=around, matcher=self.matcher), is_read
        some = self.matcher.only(np.flatnonzero(is_read))
        return SpanReadings(own=own[is_read], around=around[is_read], matcher=some), is_read

    def _piece_of_run(self, part: Piece) -> Piece:
        """Return the part of a text that is a part of a run, without the separator behind it."""
        run = self._runs[part.document]
        return Piece(run.document, run.start + part.start, min(run.start + part.end, run.end))


def _cuts_within(run: Piece, cuts: Sequence[int]) -> list[int]:
    """Return the cuts in a part of a text, counted from its first token."""
    first, end = bisect_left(cuts, run.start), bisect_left(cuts, run.end)
    return [cut - run.start for cut in cuts[first:end]]


def tokenized(request: ScoreRequest, tokenizer: DraftTokenizer) -> list[TokenizedText]:
    """Return a request's texts as they came with it, or tokenize them."""
    found = [one for one in request.encoded or () if isinstance(one, TokenizedText)]
    return found if len(found) == len(request.texts) else tokenizer.tokenize(request.texts)


def unit_starts(spans: Sequence[Span]) -> list[int]:
    """Return the characters at which a window may be cut: starts of outermost spans."""
    return [span.start for span in _outermost(spans)]


def _outermost(spans: Sequence[Span]) -> list[Span]:
    """Return the spans that do not begin within another, ascending."""
    found: list[Span] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            found.append(span)
        end = max(end, span.end)
    return found


def _places(window: Window, length: int, joint_tokens: int) -> list[tuple[Piece, int]]:
    """Return each piece of a window and its first token among the `length` context tokens."""
    places = []
    end = length
    for piece in reversed(window):  # the last piece ends the context
        start = end - (piece.end - piece.start)
        places.append((piece, start))
        end = start - joint_tokens
    return places


def _within(
    ranges: NDArray[np.int64], reach: NDArray[np.int64], piece: Piece, at: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the ranges with tokens in a piece, and their tokens in the window's context.

    Args:
        ranges: Token ranges in the piece's text: of its spans, then of their neighborhoods, each
            by their starts. Shape: (2 * spans, 2).
        reach: The furthest end of a range and those before it in its half. Shape: (2 * spans,).
        piece: The piece.
        at: The piece's first token in the context.

    Returns:
        Indices into `ranges`, and the clipped ranges in the context.
        Shapes: (found,), (found, 2).
    """
    spans = len(ranges) // 2
    near = np.concatenate(
        [
            np.arange(
                first + np.searchsorted(reach[first : first + spans], piece.start, "right"),
                first + np.searchsorted(ranges[first : first + spans, 0], piece.end, "left"),
            )
            for first in (0, spans)
        ]
    )
    clipped = ranges[near].clip(piece.start, piece.end)
    inside = np.nonzero(clipped[:, 0] < clipped[:, 1])[0]
    return near[inside], clipped[inside] - piece.start + at


def _characters(text: TokenizedText, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the characters of token ranges; none of an empty range. Shape: (ranges, 2)."""
    starts = np.append(text.offsets[:, 0], 0)[ranges[:, 0]]
    ends = np.append(0, text.offsets[:, 1])[ranges[:, 1]]
    return np.stack([starts, np.maximum(starts, ends)], axis=1)


def _widened(ranges: NDArray[np.int64], around_tokens: int, text_tokens: int) -> NDArray[np.int64]:
    """Widen ranges by `around_tokens` on both sides within the text. Shape: (ranges, 2)."""
    wider: NDArray[np.int64] = ranges + np.array([-around_tokens, around_tokens])
    return wider.clip(0, text_tokens)
