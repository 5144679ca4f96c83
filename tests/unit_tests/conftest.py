"""The scorer that both frameworks' doors are tested with."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from specprefill_integrations import ContextCompressor, Span
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.testing import KeywordScorer


@dataclass
class RecordingScorer(SpanScorer):
    """A `KeywordScorer` that remembers its calls and can be made to wait or fail."""

    seconds: float = 0
    wait_for: threading.Event | None = None
    error: Exception | None = None
    calls: list[tuple[str | None, list[str]]] = field(default_factory=list)

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        self.calls.append((query, list(texts)))
        if self.error:
            raise self.error
        time.sleep(self.seconds)
        if self.wait_for and not self.wait_for.wait(timeout=10):
            msg = "The event loop was blocked."
            raise TimeoutError(msg)
        return KeywordScorer().score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return KeywordScorer().count_tokens(texts)


@pytest.fixture
def scorer() -> RecordingScorer:
    return RecordingScorer()


@pytest.fixture
def compressor(scorer: RecordingScorer) -> ContextCompressor:
    return ContextCompressor(scorer, on_error="raise")
