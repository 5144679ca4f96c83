"""A program ends although a scorer hangs, and not before a short forward pass has ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import sys, threading, time
from contextlib import suppress
from specprefill_integrations import Span
from specprefill_integrations.errors import EngineClosedError
from specprefill_integrations.scoring import EngineLimits, ScoringEngine
from specprefill_integrations.scoring._span_scorer import ScorerWrapper
from specprefill_integrations.testing import KeywordScorer

class Scorer(ScorerWrapper):
    def score_in_slices(self, requests, *, is_wanted=None):
        begun.set()
        read()
        print("read", flush=True)
        yield
        read()
        print("read on", flush=True)
        return self.score_batch(requests)

begun = threading.Event()
"""
END = """
engine = ScoringEngine(Scorer(KeywordScorer()), limits=EngineLimits(exit_seconds=SECONDS))
text = "a " * 40_000
def ask():
    with suppress(EngineClosedError):
        engine.score_spans("a", [text], [[Span(0, 1)]])
threading.Thread(target=ask, daemon=True).start()
begun.wait()
sys.exit(7)
"""
PATIENCE = 120  # seconds, most of them for imports on a busy machine


def end_of(read: str, seconds: float) -> tuple[int, str, str]:
    return run(START + read + END.replace("SECONDS", str(seconds)))


def run(script: str) -> tuple[int, str, str]:
    found = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return found.returncode, found.stdout, found.stderr


def test_a_scorer_that_hangs_is_abandoned() -> None:
    assert end_of("read = threading.Event().wait", 0.3) == (7, "", "")


def test_a_slice_is_awaited_and_no_further_one_begun() -> None:
    assert end_of("def read(): time.sleep(0.5)", PATIENCE) == (7, "read\n", "")


@pytest.mark.parametrize("step", ["score_spans", "count_tokens"])
def test_an_abandoned_asynchronous_call_does_not_keep_the_program(step: str) -> None:
    script = f"""
import asyncio, sys, threading
from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.testing import KeywordScorer

class Hanging(KeywordScorer):
    def {step}(self, *_):
        threading.Event().wait()

compressor = ContextCompressor(Hanging(), deadline_seconds=0.3)
found = asyncio.run(compressor.acompress("a " * 400, "a", budget=Budget(max_tokens=9)))
print(found.skipped_because)
sys.exit(7)
"""
    assert run(script)[:2] == (7, "deadline_exceeded\n")
