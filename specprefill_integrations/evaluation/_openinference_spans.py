"""Spans after the OpenInference conventions, as LlamaIndex and Phoenix export them -> ours. Pure.

Based on the conventions' attributes (Arize, OpenInference, spec/semantic_conventions.md), in three
forms: spans as OpenTelemetry's SDK prints them, OTLP as JSON, and rows of Phoenix's table of spans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from specprefill_integrations.evaluation._trace_spans import SpanKind, TraceSpan
from specprefill_integrations.evaluation._trace_values import (
    object_in,
    objects_in,
    question_in,
    reply_in,
    title_in,
)
from specprefill_integrations.observability._app_run import FoundText
from specprefill_integrations.types import METADATA_KEY

_KINDS: Mapping[str, SpanKind] = {"RETRIEVER": "retriever", "TOOL": "tool", "LLM": "model"}

_IN_TABLE = "attributes."
_DOCUMENT = re.compile(r"retrieval\.documents\.(\d+)\.(document\.\w+)")
_MESSAGE = re.compile(r"llm\.output_messages\.(\d+)\.(message\..+)")

# A span that failed, as a number or by its name; the other forms write `ERROR`.
_OTLP_ERRORS = (2, "STATUS_CODE_ERROR")


def is_span(record: Mapping[str, Any]) -> bool:
    """Whether this is a span, or a batch of OTLP."""
    return (
        "resourceSpans" in record
        or "context.span_id" in record
        or "span_id" in object_in(record, "context")
    )


def spans_of_records(records: Iterable[Mapping[str, Any]]) -> Iterator[TraceSpan]:
    """The spans of all records.

    Args:
        records: One span each, or batches of OTLP.
    """
    for record in records:
        if "resourceSpans" in record:
            for resource in objects_in(record, "resourceSpans"):
                for scope in objects_in(resource, "scopeSpans"):
                    yield from map(_span_of_otlp, objects_in(scope, "spans"))
        elif "context.span_id" in record:
            yield _span_of_table(record)
        else:
            yield _span_of_sdk(record)


def _span_of_otlp(record: Mapping[str, Any]) -> TraceSpan:
    attributes = {
        str(one.get("key")): next(iter(object_in(one, "value").values()), None)
        for one in objects_in(record, "attributes")
    }
    return _span(
        str(record.get("spanId")),
        record.get("parentSpanId"),
        record.get("startTimeUnixNano"),
        attributes,
        has_failed=object_in(record, "status").get("code") in _OTLP_ERRORS,
    )


def _span_of_sdk(record: Mapping[str, Any]) -> TraceSpan:
    return _span(
        str(object_in(record, "context").get("span_id")),
        record.get("parent_id"),
        record.get("start_time"),
        object_in(record, "attributes"),
        has_failed=object_in(record, "status").get("status_code") == "ERROR",
    )


def _span_of_table(record: Mapping[str, Any]) -> TraceSpan:
    attributes = {
        name.removeprefix(_IN_TABLE): value
        for name, value in record.items()
        if name.startswith(_IN_TABLE)
    }
    return _span(
        str(record["context.span_id"]),
        record.get("parent_id"),
        record.get("start_time"),
        {"openinference.span.kind": record.get("span_kind"), **attributes},
        has_failed=record.get("status_code") == "ERROR",
    )


def _span(
    span_id: str,
    parent_id: str | None,
    started: object,
    attributes: Mapping[str, Any],
    *,
    has_failed: bool,
) -> TraceSpan:
    kind = _KINDS.get(str(attributes.get("openinference.span.kind")).upper(), "other")
    output = _value(attributes, "output")
    said = _said_in_messages(attributes) if kind == "model" else None
    return TraceSpan(
        id=span_id,
        parent_id=parent_id or None,
        kind=kind,
        started=str(started),
        question=question_in(_value(attributes, "input")),
        found=list(_found(kind, attributes)),
        said=reply_in(output) if said is None else said,
        has_failed=has_failed,
    )


def _found(kind: SpanKind, attributes: Mapping[str, Any]) -> Iterator[FoundText]:
    if kind == "tool":
        output = attributes.get("output.value")
        if output is not None:
            yield FoundText(str(output), attributes.get("tool.name"))
    if kind != "retriever":
        return
    for document in _listed(attributes, "retrieval.documents", _DOCUMENT):
        content = document.get("document.content")
        if isinstance(content, str):
            metadata = _parsed(document.get("document.metadata"))
            metadata = metadata if isinstance(metadata, dict) else {}
            yield FoundText(content, title_in(metadata), METADATA_KEY in metadata)


def _said_in_messages(attributes: Mapping[str, Any]) -> str | None:
    """What a model said; blank where it called tools, None where its messages are not there."""
    messages = _listed(attributes, "llm.output_messages", _MESSAGE)
    if not messages:
        return None
    if any(name.startswith("message.tool_calls") for name in messages[-1]):
        return ""
    return messages[-1].get("message.content") or ""


def _listed(
    attributes: Mapping[str, Any], name: str, numbered: re.Pattern[str]
) -> Sequence[Mapping[str, Any]]:
    """A list of objects: one attribute each field of each, or all in one attribute."""
    if isinstance(attributes.get(name), list):
        return objects_in(attributes, name)
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        match = numbered.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [found[number] for number in sorted(found)]


def _value(attributes: Mapping[str, Any], side: str) -> Any:  # noqa: ANN401 - as it stands
    """The input or the output of a span: a text, or what its JSON says."""
    value = attributes.get(f"{side}.value")
    is_json = attributes.get(f"{side}.mime_type") == "application/json"
    return _parsed(value) if is_json else value


def _parsed(value: Any) -> Any:  # noqa: ANN401 - as it stands in the trace
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
