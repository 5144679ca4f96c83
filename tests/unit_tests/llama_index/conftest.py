"""Doubles and nodes for the LlamaIndex doors."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from specprefill_integrations import ContextCompressor, Span
from specprefill_integrations.testing import KeywordScorer

# A busy machine is no failure.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@dataclass
class RecordingScorer:
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


@pytest.fixture
def nodes() -> list[NodeWithScore]:
    """Three nodes; the question of the tests is about the dog of the first and second."""
    texts = [
        "Cats sleep for most of the day. The dog barked at night. Rain fell on the hills.",
        "The dog slept.",
        "Prices rose again in spring. Nobody knew why.",
    ]
    return [
        NodeWithScore(
            node=TextNode(
                text=text,
                id_=name,
                metadata={"file_name": f"{name}.txt"},
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc-{name}")},
                start_char_idx=100,
                end_char_idx=100 + len(text),
                embedding=[0.5, 0.5],
            ),
            score=score,
        )
        for name, text, score in zip("abc", texts, (0.9, 0.5, None), strict=True)
    ]
