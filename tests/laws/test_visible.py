"""Law of others' names: no control character or line break reaches a marker, log line or label."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, GapStyle, TextHint
from specprefill_integrations._visible import visible
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.originals._recall import answer_recall
from specprefill_integrations.scoring import SpanScorer
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import ToolResult, ToolResultCompressor

HOSTILE = [
    "read\nERROR forged line",
    "read\r\x1b[2J\x1b]0;title\x07",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "invoice\u202efdp.exe\u2066\u200f",
    "lone \ud800 and \x00",
    'quote " backslash \\ brace }',
    "long " * 200,
]
names = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=[]), max_size=40)
)
TEXT = f"{'Rain fell on the hills. ' * 30}The dog barked at noon. {'It snowed. ' * 30}"


@given(names, st.integers(1, 400))
def test_a_visible_name_is_one_line_that_prints(name: str, most_chars: int) -> None:
    shown = visible(name, most_chars)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert len(shown) <= 10 * most_chars + 3
    if name.isprintable() and len(name) <= most_chars:
        assert shown == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("Bericht für 我们 👍🏽.txt", "Bericht für 我们 👍🏽.txt"),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e\ud800", "\\u202e\\ud800"),
        ("x" * 301, "x" * 300 + "..."),
    ],
)
def test_examples(name: str, shown: str) -> None:
    assert visible(name) == shown


@given(names)
def test_no_marker_is_broken(reference: str) -> None:
    assert GapStyle().marked("missing", reference).isprintable()
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    budget = Budget(max_tokens=40)
    [result] = compressor.compress_documents(
        [TEXT], "When did the dog bark?", budget=budget, hints=[TextHint(reference=reference)]
    )
    assert result.text.isprintable()
    records = [{"id": n, "text": f"Entry {n} of the dog."} for n in range(60)]
    [result] = compressor.compress_documents(
        [json.dumps(records)],
        "dog 17",
        budget=Budget(max_tokens=900),
        hints=[TextHint(reference=reference)],
    )
    assert result.text.isprintable()
    [shown] = [one["reference"] for one in json.loads(result.text) if "reference" in one]
    assert shown == visible(reference)


@given(names)
def test_no_answer_of_the_recall_tool_is_broken(words: str) -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    answer = answer_recall(words, None, "", max_tokens=10_000, count_tokens=count)
    assert answer.isprintable()


class FailingScorer(SpanScorer):
    """Fails with a message of someone else."""

    def __init__(self, message: str) -> None:
        self.message = message

    def score_spans(self, *_: object) -> list[list[float]]:
        raise ConnectionError(self.message)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]


class HostileStore(InMemoryOriginals):
    """Gives references of someone else."""

    def __init__(self, reference: str) -> None:
        super().__init__()
        self.reference = reference

    def reference_of(self, text: str) -> str | None:
        return self.reference

    def put(self, text: str) -> str | None:
        return self.reference


@contextmanager
def log_records() -> Iterator[list[logging.LogRecord]]:
    """Collect our records where pytest does not see them.

    Tracebacks hold messages as they are, and a report with lone surrogates cannot be sent.
    """
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("specprefill_integrations")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield records
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


@given(name=names, message=names)
def test_no_log_line_is_forged(name: str, message: str) -> None:
    metrics = CompressionMetrics()
    with log_records() as records:
        for compressor in (
            ContextCompressor(FailingScorer(message)),
            ContextCompressor(KeywordScorer(), count_tokens=lambda _: failed(message)),
        ):
            settings = ToolResultCompressor(
                compressor=compressor, budget=Budget(max_tokens=40), min_tokens=10, metrics=metrics
            )
            done = settings.compress(ToolResult(texts=[TEXT], tool_name=name))
            assert done.texts == (TEXT,)
    lines = [record.getMessage() for record in records]
    assert len(lines) > 2
    assert all(line.isprintable() for line in lines)


def failed(message: str) -> int:
    raise OSError(message)


@given(name=names)
def test_no_store_breaks_a_marker(name: str) -> None:
    settings = ToolResultCompressor(
        compressor=ContextCompressor(KeywordScorer(), on_error="raise"),
        budget=Budget(max_tokens=40),
        min_tokens=10,
        originals=HostileStore(name),
        query="When did the dog bark?",
    )
    [text] = settings.compress(ToolResult(texts=[TEXT], tool_name=name)).texts
    assert text.isprintable()
