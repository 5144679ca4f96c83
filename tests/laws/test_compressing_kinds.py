"""Laws of the whole pipeline over texts of every kind, damaged ones too, with any hint."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, Compression, ContextCompressor, TextHint
from specprefill_integrations.pipeline import _step_values as values
from specprefill_integrations.pipeline import _steps as steps
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._protection import ProtectionRule
from specprefill_integrations.splitting._by_kind import READ_BY_LINES, SplitByKind
from specprefill_integrations.splitting._json._values import is_json
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind, Span
from tests.laws.kinds import LINES, documents
from tests.laws.test_json_splitting import VALUES
from tests.laws.texts import count_quarters, count_with_overhead, count_words, texts, torn_clusters

NAMES = (None, "a.py", "b.json", "c.csv", "d.log", "e.md", "f.html", "g.yaml", "h.toml", "i.diff")
MIME_TYPES = (None, "text/plain", "application/json", "text/html", "text/csv", "text/x-log")
CODE = (
    "import os\n\n\nclass Shop:\n    '''Sells.'''\n\n    def open(self, key):\n        return key\n"
    "\n    def close(self):\n        for door in self.doors:\n            door.shut()\n        "
    "self.lights = 'off'\n        return None\n"
)


@st.composite
def any_texts(draw: st.DrawFn) -> str:
    """Texts of all kinds."""
    kind = draw(st.sampled_from([*LINES, "json", "jsonl", "code", "prose"]))
    if kind in LINES:
        return draw(documents(kind))
    if kind == "prose":
        return draw(texts)
    if kind == "code":
        return CODE[draw(st.integers(0, 40)) : draw(st.integers(60, len(CODE)))]
    values = draw(st.lists(VALUES, min_size=1, max_size=4))
    if kind == "jsonl":
        return "\n".join(json.dumps(value) for value in values)
    return json.dumps(values, indent=draw(st.sampled_from([None, 1])))


hints = st.none() | st.builds(
    TextHint,
    kind=st.none() | st.sampled_from(get_args(Kind)),
    name=st.sampled_from(NAMES),
    mime_type=st.sampled_from(MIME_TYPES),
    tool=st.sampled_from([None, "bash", "search_web"]),
    reference=st.sampled_from([None, "0123456789ab"]),
)
budgets = st.builds(lambda n: Budget(max_tokens=n), st.integers(1, 60)) | st.builds(
    lambda share: Budget(keep_fraction=share), st.floats(0.02, 1)
)


@dataclass(frozen=True)
class Call:
    """One call of a compressor with what is known of the texts."""

    compressor: ContextCompressor
    texts: list[str]
    hints: list[TextHint | None]
    budget: Budget
    query: str | None

    def run(self) -> list[Compression]:
        found = self.compressor.compress_documents(
            self.texts, self.query, budget=self.budget, hints=self.hints
        )
        return [replace(result, elapsed_seconds=0) for result in found]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    pairs = draw(st.lists(st.tuples(any_texts(), hints), min_size=1, max_size=3))
    compressor = ContextCompressor(
        KeywordScorer(),
        splitter=SplitByKind(json=draw(st.sampled_from(["valid", "valid", "pass_through"]))),
        count_tokens=draw(
            st.sampled_from([None, count_words, count_quarters, count_with_overhead])
        ),
        on_error="raise",
    )
    query = draw(st.sampled_from([None, "error name", "我们 apple", "Summarize it."]))
    found_texts, found_hints = map(list, zip(*pairs, strict=True))
    return Call(compressor, found_texts, found_hints, draw(budgets), query)


@given(calls())
def test_nothing_breaks_and_the_limit_holds(call: Call) -> None:
    results = call.run()
    counted = [result for result in results if result.skipped_because != "kind_excluded"]
    total = sum(result.original_tokens for result in counted)
    assert sum(r.kept_tokens for r in counted) <= call.budget.widest_limit(total)
    count = call.compressor.count_tokens
    for result in results:
        assert result.kept_tokens == (count([encodable(result.text)])[0] if result.text else 0)
    assert call.run() == results


@given(calls())
def test_spans_are_of_the_source_and_stand_in_what_is_written(call: Call) -> None:
    for text, result in zip(call.texts, call.run(), strict=True):
        assert all(0 <= a < b <= len(text) for a, b in result.kept)
        assert all(left.end <= right.start for left, right in pairwise(result.kept))
        at = 0
        for start, end in result.kept:
            at = result.text.index(text[start:end], at)
        assert torn_clusters(text, result.kept) == []
        dropped = dropped_spans(text, result.kept)
        both = sorted((*dropped, *result.kept))
        assert "".join(text[a:b] for a, b in both) == text


@given(calls())
def test_json_stays_json_unless_nothing_is_kept(call: Call) -> None:
    for text, hint, result in zip(call.texts, call.hints, call.run(), strict=True):
        told_otherwise = hint and hint.kind not in {None, "json", "jsonl"}
        named = hint and (hint.name or hint.mime_type)
        if is_json(text) and text.lstrip()[:1] in {"{", "["} and not (told_otherwise or named):
            assert is_json(result.text) or not result.text


@given(st.lists(VALUES, min_size=1, max_size=6), budgets, st.sampled_from([None, "ab12"]))
def test_values_stay_under_their_path(
    values: list[Any], budget: Budget, reference: str | None
) -> None:
    text = json.dumps({"values": values, "id": 7})
    hint = TextHint(reference=reference)
    result = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        text, "name", budget=budget, hint=hint
    )
    for start, end in result.kept:
        assert text[start:end] in result.text
    if result.text:
        kept = json.loads(result.text)
        assert kept.get("id", 7) == 7
        named = [line for line in [result.text] if '"reference": "ab12"' in line]
        assert bool(named) == (reference is not None and result.skipped_because is None)


@given(calls())
def test_a_reference_is_named_once_where_something_is_missing(call: Call) -> None:
    for text, hint, result in zip(call.texts, call.hints, call.run(), strict=True):
        if hint is None or hint.reference is None or "reference" in text:
            continue
        missing = any(text[a:b].strip() for a, b in dropped_spans(text, result.kept))
        named = bool(result.text) and missing and result.skipped_because is None
        assert result.text.count(hint.reference) == named


@pytest.mark.parametrize("count", [count_words, count_quarters])
@given(text=any_texts(), limit=st.integers(4, 80), hint=hints)
def test_what_is_left_over_buys_no_further_unit(
    count: Callable[[str], int], text: str, limit: int, hint: TextHint | None
) -> None:
    """Of the scorer's own tokens. A caller's counter is asked a few times only."""

    class Counting(KeywordScorer):
        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            return [count(text) for text in texts]

    stages = ContextCompressor(Counting(), on_error="raise", protect=()).stages
    call = values.Call.of([text], "name error", Budget(max_tokens=limit), [hint])
    found = steps.split(steps.count(call, stages), stages)
    request = found.request
    if found.needs_no_cut or not request.texts:
        return
    scores = stages.scorer.score_spans(request.query, request.texts, request.spans)
    [result] = steps.render(
        steps.select(steps.scored(found, scores, stages.scorer), stages), stages.scorer
    )
    document = found.documents[0]
    kept = {
        index
        for index, unit in enumerate(document.units)
        if any(span.start <= unit.start and unit.end <= span.end for span in result.kept)
    }
    links = document.links()
    heads = document.splitter.only_heads(document.units, links, document.found.parsed)
    heads |= document.without_content()
    for index in set(range(len(document.units))) - kept - heads if kept else ():
        wanted = sorted({index, *links[index], *kept})
        spans = document.joined([document.units[i] for i in wanted])
        assert count(encodable(document.rendered(spans))) > limit


@given(st.lists(st.sampled_from(LINES["log"]), min_size=20, max_size=60), st.integers(160, 300))
def test_protected_lines_survive_as_far_as_half_of_the_limit_goes(
    lines: list[str], limit: int
) -> None:
    text = "\n".join([*lines, "exit code: 3", *lines])
    compressor = ContextCompressor(
        KeywordScorer(), count_tokens=count_words, on_error="raise",
        protect=[ProtectionRule(pattern="^exit code", tools=("bash*",))],
    )  # fmt: skip
    hint = TextHint(kind="lines", tool="bash_shell")
    result = compressor.compress(text, "plain words", budget=Budget(max_tokens=limit), hint=hint)
    assert "exit code: 3" in result.text
    other = replace(hint, tool="python")
    result = compressor.compress(text, "plain words", budget=Budget(max_tokens=8), hint=other)
    assert "exit code: 3" not in result.text


def dropped_spans(text: str, kept: Sequence[Span]) -> list[Span]:
    """What is between the kept spans."""
    edges = [0, *(edge for span in kept for edge in span), len(text)]
    return [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def test_kinds_that_are_read_by_lines_count_them() -> None:
    for kind in READ_BY_LINES - {"code", "diff", "chat", "log", "csv"}:
        text = "\n".join(f"row {n} holds some words" for n in range(30))
        result = ContextCompressor(KeywordScorer(), on_error="raise").compress(
            text, "row 7", budget=Budget(max_tokens=30), hint=TextHint(kind=kind)
        )
        assert "lines omitted ...]" in result.text, kind
