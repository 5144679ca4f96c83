"""The scorer that both frameworks' doors are tested with, and the browser that pages are."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

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


@pytest.fixture(scope="module")  # its event loop must not outlive the tests of a page
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        found = playwright.chromium.launch(executable_path=chromium, args=options)
        yield found
        found.close()
