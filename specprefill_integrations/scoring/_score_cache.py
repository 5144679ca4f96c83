"""Scores of requests that were answered before, found again by the request's content."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain

from specprefill_integrations.scoring._span_scorer import ScoreRequest

Scores = tuple[tuple[float, ...], ...]
"""For each text of a request, one number for each of its spans."""


def request_key(request: ScoreRequest) -> bytes:
    """What two requests have in common if and only if they ask the same."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(b"-" if request.query is None else _framed(request.query))
    for text, spans in zip(request.texts, request.spans, strict=True):
        digest.update(_framed(text))
        edges = array("q", chain.from_iterable(spans)).tobytes()
        digest.update(len(edges).to_bytes(8, "big") + edges)
    return digest.digest()


def frozen(scores: Sequence[Sequence[float]]) -> Scores:
    """Scores that nobody can change."""
    return tuple(tuple(found) for found in scores)


class ScoreCache:
    """Keeps the scores that were asked for last. Its owner sees to it that one thread is in it."""

    def __init__(self, entries: int) -> None:
        """Keep the scores of so many requests."""
        self._entries = entries
        self._scores: OrderedDict[bytes, Scores] = OrderedDict()

    def get(self, key: bytes) -> Scores | None:
        """The scores of a request that was answered before, if they are still here."""
        scores = self._scores.get(key)
        if scores is not None:
            self._scores.move_to_end(key)
        return scores

    def put(self, key: bytes, scores: Scores) -> None:
        """Keep scores, and let go of what was not asked for the longest."""
        self._scores[key] = scores
        self._scores.move_to_end(key)
        while len(self._scores) > self._entries:
            self._scores.popitem(last=False)


def _framed(text: str) -> bytes:
    """A text with its length in front, so that no two lists of texts look the same."""
    content = text.encode("utf-8", "surrogatepass")
    return len(content).to_bytes(8, "big") + content
