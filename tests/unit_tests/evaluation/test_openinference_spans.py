"""Spans after the OpenInference conventions, in the three forms in which they are exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_files import read_cases
from specprefill_integrations.evaluation._cases import EvaluationCase

Span = tuple[str, str | None, str, dict[str, Any], bool]
"""Its id, the one that it lies in, its kind, its attributes, and whether it failed."""

JSON = "application/json"


def documents(*texts: str) -> dict[str, str]:
    found = {f"retrieval.documents.{n}.document.content": text for n, text in enumerate(texts)}
    return {**found, "retrieval.documents.0.document.metadata": '{"title": "Harbor"}'}


RAG: list[Span] = [
    ("1", None, "CHAIN", {"input.value": "Who?", "output.value": "Ada keeps it."}, False),
    ("2", "1", "CHAIN", {}, False),
    ("3", "2", "RETRIEVER", {"input.value": "Who?", **documents("Ada does.", "Rain.")}, False),
    ("4", "2", "LLM", {"input.value": "{}", "output.value": "unread"}, False),
]

AGENT: list[Span] = [
    (
        "a",
        None,
        "AGENT",
        {
            "input.value": '{"messages": [["user", "When?"]]}',
            "input.mime_type": JSON,
            "output.value": '{"some": "state"}',
            "output.mime_type": JSON,
        },
        False,
    ),
    (
        "b",
        "a",
        "LLM",
        {
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "I will look.",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "look",
        },
        False,
    ),
    ("c", "a", "TOOL", {"tool.name": "look", "output.value": "At noon, it says."}, False),
    ("d", "a", "TOOL", {"tool.name": "look", "output.value": "no file"}, True),
    (
        "e",
        "a",
        "LLM",
        {
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "At noon.",
        },
        False,
    ),
]

FAILED: list[Span] = [
    ("x", None, "CHAIN", {"input.value": "Who?"}, True),
    ("y", "x", "RETRIEVER", documents("Ada does."), False),
]

CASES = [
    EvaluationCase(
        id="1",
        task="spans",
        query="Who?",
        texts=("Harbor\n\nAda does.", "Rain."),
        answers=(),
        reply="Ada keeps it.",
    ),
    EvaluationCase(
        id="a",
        task="spans",
        query="When?",
        texts=("look\n\nAt noon, it says.",),
        answers=(),
        reply="At noon.",
    ),
]


def of_the_sdk(spans: list[Span]) -> list[dict[str, Any]]:
    """As `ReadableSpan.to_json` of OpenTelemetry's SDK writes them."""
    return [
        {
            "name": "step",
            "context": {"trace_id": "0x7", "span_id": span_id, "trace_state": "[]"},
            "kind": "SpanKind.INTERNAL",
            "parent_id": parent_id,
            "start_time": f"2026-01-01T00:00:{number:02}.000000Z",
            "status": {"status_code": "ERROR" if has_failed else "OK"},
            "attributes": {"openinference.span.kind": kind, **attributes},
        }
        for number, (span_id, parent_id, kind, attributes, has_failed) in enumerate(spans)
    ]


def of_otlp(spans: list[Span]) -> list[dict[str, Any]]:
    """As OTLP writes a batch in JSON, two of them here."""
    written = [
        {
            "traceId": "7",
            "spanId": span_id,
            "parentSpanId": parent_id or "",
            "startTimeUnixNano": f"17000000000000000{number:02}",
            "status": {"code": 2} if has_failed else {},
            "attributes": [
                {"key": key, "value": {"stringValue": value}}
                for key, value in {"openinference.span.kind": kind, **attributes}.items()
            ],
        }
        for number, (span_id, parent_id, kind, attributes, has_failed) in enumerate(spans)
    ]
    return [
        {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": part}]}]}
        for part in (written[:3], written[3:])
    ]


def of_phoenix(spans: list[Span]) -> list[dict[str, Any]]:
    """As a row of Phoenix's table of spans, with lists in the place of numbered names."""
    rows = []
    for number, (span_id, parent_id, kind, attributes, has_failed) in enumerate(spans):
        lists: dict[str, list[dict[str, str]]] = {}
        plain = {}
        for key, value in attributes.items():
            name, place, field = "", "", ""
            for known in ("retrieval.documents.", "llm.output_messages."):
                if key.startswith(known):
                    name = known.rstrip(".")
                    place, _, field = key.removeprefix(known).partition(".")
            if name:
                items = lists.setdefault(f"attributes.{name}", [])
                items += [{} for _ in range(int(place) + 1 - len(items))]
                items[int(place)][field] = value
            else:
                plain[f"attributes.{key}"] = value
        rows.append(
            {
                "name": "step",
                "span_kind": kind,
                "parent_id": parent_id,
                "start_time": 1_700_000_000_000 + number,
                "status_code": "ERROR" if has_failed else "UNSET",
                "context.span_id": span_id,
                "context.trace_id": "7",
                **plain,
                **lists,
            }
        )
    return rows


FORMS = {"sdk": of_the_sdk, "otlp": of_otlp, "phoenix": of_phoenix}


def as_lines(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "spans.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same(tmp_path, form, caplog) -> None:
    path = as_lines(tmp_path, FORMS[form]([*RAG, *AGENT, *FAILED]))
    assert read_cases(path) == CASES
    assert read_cases(path, 1) == CASES[:1]
    assert "1 failed" in caplog.text
    assert "Ada" not in caplog.text


@pytest.mark.parametrize("form", ["sdk", "phoenix"])
def test_spans_are_exported_as_they_end(tmp_path, form) -> None:
    assert read_cases(as_lines(tmp_path, FORMS[form]([*RAG, *AGENT])[::-1])) == CASES


@pytest.mark.parametrize("form", FORMS)
def test_without_a_run_that_makes_a_case_it_says_why(tmp_path, form) -> None:
    with pytest.raises(EvaluationDataError, match="can become a case: 1 failed"):
        read_cases(as_lines(tmp_path, FORMS[form](FAILED)))


@pytest.mark.parametrize(
    "record",
    [
        {"resourceSpans": 7},
        {"resourceSpans": [7, {"scopeSpans": [{"spans": [{}]}, 7]}]},
        {"context": {"span_id": 7}, "attributes": 7, "status": 7},
        {"context.span_id": None, "attributes.retrieval.documents": [7, {}]},
    ],
)
def test_what_is_not_as_expected_is_passed_over(tmp_path, record) -> None:
    with pytest.raises(EvaluationDataError, match="can become a case"):
        read_cases(as_lines(tmp_path, [record]))
