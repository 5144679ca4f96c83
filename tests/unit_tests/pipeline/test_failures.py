"""A failing compressor is heard once, in one line, and its results say why."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import logging
import math
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import (
    DeadlineExceededError,
    DraftModelDamagedError,
    DraftModelError,
    DraftModelNotFoundError,
    DraftModelUnsupportedError,
    EngineBusyError,
    ReadoutProfileError,
    ScoringServiceError,
)
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.testing import KeywordScorer

TEXT = "The cat sat on the mat. A dog barked at the moon. Nothing else happened that night."
BUDGET = Budget(max_tokens=9)


@dataclass
class Failing(SpanScorer):
    """Raises an error when it scores, or when it counts."""

    error: Exception
    counts: bool = True

    def score_spans(self, *_: object) -> list[list[float]]:
        raise self.error

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not self.counts:
            raise self.error
        return KeywordScorer().count_tokens(texts)


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("error", "scoring", "counting"),
    [
        (DraftModelNotFoundError("a"), "draft_unavailable", "draft_unavailable"),
        (DraftModelDamagedError("a"), "draft_unavailable", "draft_unavailable"),
        (DraftModelUnsupportedError("a"), "draft_unavailable", "draft_unavailable"),
        (ReadoutProfileError("a"), "draft_unavailable", "draft_unavailable"),
        (DraftModelError("a score that is no number"), "scorer_failed", "counter_failed"),
        (DeadlineExceededError("a"), "deadline_exceeded", "deadline_exceeded"),
        (EngineBusyError("a"), "queue_full", "queue_full"),
        (ScoringServiceError("a"), "service_unavailable", "service_unavailable"),
        (OSError("a"), "scorer_failed", "counter_failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_the_reason_is_that_of_the_error(error, scoring, counting) -> None:
    for counts, reason in ((True, scoring), (False, counting)):
        result = ContextCompressor(Failing(error, counts=counts)).compress(
            TEXT, "cat", budget=BUDGET
        )
        assert (result.text, result.skipped_because) == (TEXT, reason)


def test_texts_that_could_not_be_counted_have_an_estimate() -> None:
    compressor = ContextCompressor(Failing(DraftModelNotFoundError("a"), counts=False))
    texts = ["", "a", "abcde", TEXT]
    for text, result in zip(
        texts, compressor.compress_documents(texts, "cat", budget=BUDGET), strict=True
    ):
        assert result.original_tokens == result.kept_tokens == math.ceil(len(text) / 4)


async def test_the_first_failure_of_a_kind_is_a_warning_of_one_line(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    scorer = Failing(OSError("first line\nsecond\x1b[31m line" + " x" * 1000))
    compressor = ContextCompressor(scorer)
    for _ in range(3):
        compressor.compress(TEXT, "cat", budget=BUDGET)
        await compressor.acompress(TEXT, "cat", budget=BUDGET)
        # A copy for every call, as an app or an integration makes it.
        compressor.replace(gaps=None).compress(TEXT, "cat", budget=BUDGET)
        copy.deepcopy(compressor).compress(TEXT, "cat", budget=BUDGET)
    [warned] = warnings(caplog)
    assert warned.message.startswith(
        "Passed 1 texts through unchanged: scorer_failed (OSError: first line second\\x1b[31m line"
    )
    assert warned.message.isprintable()
    assert len(warned.message) < 600
    assert not warned.exc_info
    traced = [r for r in caplog.records if r.levelno == logging.DEBUG and r.exc_info]
    assert len(traced) == 12
    scorer.error = TimeoutError("another kind")
    compressor.compress(TEXT, "cat", budget=BUDGET)
    compressor.compress(TEXT, "cat", budget=BUDGET)
    assert len(warnings(caplog)) == 2


def test_another_compressor_is_heard_too(caplog) -> None:
    compressor = ContextCompressor(Failing(OSError("a")))
    restored = pickle.loads(pickle.dumps(compressor))  # noqa: S301 - our own bytes
    for one in (compressor, restored, ContextCompressor(Failing(OSError("a")))):
        one.compress(TEXT, "cat", budget=BUDGET)
        one.compress(TEXT, "cat", budget=BUDGET)
    assert len(warnings(caplog)) == 3


@pytest.mark.parametrize(
    ("scorer", "cure"),
    [
        (Failing(DeadlineExceededError("a")), "deadline_seconds="),
        (Failing(OSError("a"), counts=False), "count_tokens="),
        (Failing(DraftModelNotFoundError("Do this.")), "Do this"),
    ],
)
def test_it_names_the_cure(scorer, cure, caplog) -> None:
    ContextCompressor(scorer).compress(TEXT, "cat", budget=BUDGET)
    [warned] = warnings(caplog)
    assert cure in warned.message


@pytest.mark.parametrize("kind", [asyncio.CancelledError, concurrent.futures.CancelledError])
@pytest.mark.parametrize("step", ["score_spans", "count_tokens"])
@pytest.mark.parametrize("deadline_seconds", [None, 60])
async def test_a_scorer_that_cancels_itself_has_failed(kind, step, deadline_seconds) -> None:
    def cancelled(*_: object) -> None:
        raise kind

    scorer = type("Cancelling", (KeywordScorer,), {step: cancelled})()
    compressor = ContextCompressor(scorer, deadline_seconds=deadline_seconds)
    reason = "scorer_failed" if step == "score_spans" else "counter_failed"
    assert compressor.compress(TEXT, "cat", budget=BUDGET).skipped_because == reason
    result = await compressor.acompress(TEXT, "cat", budget=BUDGET)
    assert (result.text, result.skipped_because) == (TEXT, reason)


async def test_a_cancelled_caller_is_cancelled() -> None:
    begun, ended = threading.Event(), threading.Event()

    class Waiting(KeywordScorer):
        def score_spans(self, *_: object) -> list[list[float]]:
            begun.set()
            ended.wait(60)
            return []

    call = ContextCompressor(Waiting()).acompress(TEXT, "cat", budget=BUDGET)
    task = asyncio.ensure_future(call)
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ended.set()
