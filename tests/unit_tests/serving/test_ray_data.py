"""The callable for Ray Data, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.serving import Compress
from specprefill_integrations.testing import KeywordScorer

FACT = "The treasury holds four hundred ducats."
TEXT = " ".join(["The cat sat on the mat.", "A dog barked at the moon.", FACT] * 8)
BUDGET = Budget(max_tokens=40)
QUERY = "How many ducats are in the treasury?"


def compress(**options: Any) -> Compress:
    defaults: dict[str, Any] = {
        "budget": BUDGET,
        "make_compressor": lambda: ContextCompressor(KeywordScorer()),
    }
    return Compress(**{**defaults, **options})


def test_columns_are_added() -> None:
    batch = {"text": [TEXT, "Short.", None, ""], "id": [1, 2, 3, 4]}
    found = compress(query=QUERY)(batch)
    expected = ContextCompressor(KeywordScorer()).compress(TEXT, QUERY, budget=BUDGET)
    assert found["id"] == batch["id"]
    assert found["text"] == batch["text"]
    assert found["compressed"] == [expected.text, "Short.", "", ""]
    assert found["kept_tokens"][0] == expected.kept_tokens <= 40
    assert found["original_tokens"][0] == expected.original_tokens
    assert found["skipped_because"][:2] == [None, "within_budget"]
    assert compress()({"text": []})["compressed"] == []


def test_each_text_may_have_its_question() -> None:
    batch = {"body": [TEXT, TEXT], "asked": ["At what did the dog bark?", QUERY]}
    found = compress(text_column="body", query_column="asked")(batch)
    assert "moon" in found["compressed"][0]
    assert "ducats" in found["compressed"][1]
    with pytest.raises(ValueError, match="either"):
        compress(query=QUERY, query_column="asked")


def test_another_run_goes_on(tmp_path: Path) -> None:
    calls = []

    class Counting(KeywordScorer):
        def score_spans(self, *asked: Any) -> list[list[float]]:
            calls.append(asked)
            return super().score_spans(*asked)

    options = {"folder": tmp_path, "make_compressor": lambda: ContextCompressor(Counting())}
    batch = {"text": [f"{TEXT} {number}" for number in range(20)]}
    half = {"text": batch["text"][:10]}
    first = compress(**options)(half)
    assert len(calls) == 10
    second = compress(**options)(batch)
    assert len(calls) == 20
    assert second["compressed"][:10] == first["compressed"]
    assert compress(folder=None)(batch) == second
    compress(**options, query=QUERY)(half)
    compress(**{**options, "budget": Budget(max_tokens=30)})(half)
    assert len(calls) == 40


def test_a_failure_or_a_damaged_file_is_not_kept(tmp_path: Path) -> None:
    class Broken(KeywordScorer):
        def score_spans(self, *_: Any) -> list[list[float]]:
            raise OSError

    batch = {"text": [TEXT]}
    broken = compress(folder=tmp_path, make_compressor=lambda: ContextCompressor(Broken()))(batch)
    assert broken["skipped_because"] == ["scorer_failed"]
    expected = compress()(batch)
    assert compress(folder=tmp_path)(batch) == expected
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    file.write_text('["half')
    assert compress(folder=tmp_path)(batch) == expected
