"""Formats of traces: LangSmith's runs and OpenInference's spans.

LangSmith's runs are read as its classes `Run` and `RunTree` define them and LangChain's tracers
fill them. OpenInference's attributes (Arize, OpenInference, spec/semantic_conventions.md) are read
in three forms: spans as OpenTelemetry's SDK prints them, OTLP as JSON, and rows of Phoenix's table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from specprefill_integrations._metadata import own_metadata
from specprefill_integrations.evaluation._traces import SpanKind, TraceSpan
from specprefill_integrations.observability._app_run import FoundText

_RUN_KINDS: Mapping[str, SpanKind] = {"retriever": "retriever", "tool": "tool", "llm": "model"}
_SPAN_KINDS: Mapping[str, SpanKind] = {"RETRIEVER": "retriever", "TOOL": "tool", "LLM": "model"}

_IN_TABLE = "attributes."
_DOCUMENT = re.compile(r"retrieval\.documents\.(\d+)\.(document\.\w+)")
_MESSAGE = re.compile(r"llm\.output_messages\.(\d+)\.(message\..+)")

# OTLP writes a failed status as a number or by its name; the other forms write `ERROR`.
_OTLP_ERRORS = (2, "STATUS_CODE_ERROR")

_QUESTIONS = (
    "query",
    "question",
    "input",
    "user_msg",
    "message",
    "str_or_query_bundle",
    "query_bundle",
    "query_str",
)
_ANSWERS = ("answer", "output", "result", "response", "reply")

_HUMAN = {"human", "user", "HumanMessage"}
_AI = {"ai", "assistant", "AIMessage", "AIMessageChunk"}


def is_langsmith_tree(record: Mapping[str, Any]) -> bool:
    """True if a run has child runs or a parent."""
    return bool(record.get("child_runs") or record.get("parent_run_id"))


def spans_of_langsmith(records: Iterable[Mapping[str, Any]]) -> Iterator[TraceSpan]:
    """The spans of runs and their child runs.

    Args:
        records: Trees of runs (`child_runs`), or single runs with `parent_run_id`.
    """
    for record in records:
        yield _span_of_run(record)
        yield from spans_of_langsmith(
            {**run, "parent_run_id": record.get("id")} for run in _objects_in(record, "child_runs")
        )


def _span_of_run(run: Mapping[str, Any]) -> TraceSpan:
    kind = _RUN_KINDS.get(str(run.get("run_type")), "other")
    outputs = run.get("outputs")
    parent_id = run.get("parent_run_id")
    return TraceSpan(
        id=str(run.get("id")),
        parent_id=None if parent_id is None else str(parent_id),
        kind=kind,
        started=str(run.get("dotted_order") or run.get("start_time")),
        question=_question_in(run.get("inputs")),
        found=list(_found_by_run(kind, outputs, run.get("name"))),
        said=_said_by_run(outputs) if kind == "model" else _reply_in(outputs),
        has_failed=bool(run.get("error")),
    )


def _found_by_run(kind: SpanKind, outputs: Any, name: str | None) -> Iterator[FoundText]:  # noqa: ANN401
    if not isinstance(outputs, dict):
        return
    if kind == "retriever":
        found = [_text_of_document(document) for document in _objects_in(outputs, "documents")]
    elif kind == "tool":
        found = [_text_of_tool_output(outputs.get("output"), name)]
    else:
        found = []
    yield from (text for text in found if text is not None)


def _said_by_run(outputs: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """A model's reply; blank or None if it called tools."""
    generation = outputs.get("generations") if isinstance(outputs, dict) else None
    while isinstance(generation, list) and generation:
        generation = generation[0]
    if not isinstance(generation, dict):
        return _reply_in(outputs)
    message = generation.get("message")
    return _reply_in(message) if message else generation.get("text")


def is_openinference(record: Mapping[str, Any]) -> bool:
    """True for a span and for a batch of OTLP."""
    return (
        "resourceSpans" in record
        or "context.span_id" in record
        or "span_id" in _object_in(record, "context")
    )


def spans_of_openinference(records: Iterable[Mapping[str, Any]]) -> Iterator[TraceSpan]:
    """The spans of records that are one span each, or batches of OTLP."""
    for record in records:
        if "resourceSpans" in record:
            for resource in _objects_in(record, "resourceSpans"):
                for scope in _objects_in(resource, "scopeSpans"):
                    yield from map(_span_of_otlp, _objects_in(scope, "spans"))
        elif "context.span_id" in record:
            yield _span_of_table(record)
        else:
            yield _span_of_sdk(record)


def _span_of_otlp(record: Mapping[str, Any]) -> TraceSpan:
    attributes = {
        str(one.get("key")): next(iter(_object_in(one, "value").values()), None)
        for one in _objects_in(record, "attributes")
    }
    return _span(
        str(record.get("spanId")),
        record.get("parentSpanId"),
        record.get("startTimeUnixNano"),
        attributes,
        has_failed=_object_in(record, "status").get("code") in _OTLP_ERRORS,
    )


def _span_of_sdk(record: Mapping[str, Any]) -> TraceSpan:
    return _span(
        str(_object_in(record, "context").get("span_id")),
        record.get("parent_id"),
        record.get("start_time"),
        _object_in(record, "attributes"),
        has_failed=_object_in(record, "status").get("status_code") == "ERROR",
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
    kind = _SPAN_KINDS.get(str(attributes.get("openinference.span.kind")).upper(), "other")
    output = _value(attributes, "output")
    said = _said_in_messages(attributes) if kind == "model" else None
    return TraceSpan(
        id=span_id,
        parent_id=parent_id or None,
        kind=kind,
        started=str(started),
        question=_question_in(_value(attributes, "input")),
        found=list(_found(kind, attributes)),
        said=_reply_in(output) if said is None else said,
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
            yield FoundText(content, _title_in(metadata), own_metadata(metadata) is not None)


def _said_in_messages(attributes: Mapping[str, Any]) -> str | None:
    """A model's reply; blank if it called tools, None if its messages were not recorded."""
    messages = _listed(attributes, "llm.output_messages", _MESSAGE)
    if not messages:
        return None
    if any(name.startswith("message.tool_calls") for name in messages[-1]):
        return ""
    return messages[-1].get("message.content") or ""


def _listed(
    attributes: Mapping[str, Any], name: str, numbered: re.Pattern[str]
) -> Sequence[Mapping[str, Any]]:
    """A list of objects, flattened into one attribute per field or held in one attribute."""
    if isinstance(attributes.get(name), list):
        return _objects_in(attributes, name)
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        match = numbered.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [found[number] for number in sorted(found)]


def _value(attributes: Mapping[str, Any], side: str) -> Any:  # noqa: ANN401 - any JSON value
    """The input or the output of a span, parsed if it is JSON."""
    value = attributes.get(f"{side}.value")
    is_json = attributes.get(f"{side}.mime_type") == "application/json"
    return _parsed(value) if is_json else value


def _parsed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _question_in(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """The question: a text, the last human message, or a field named like a question."""
    value = _unpacked(value)
    if isinstance(value, dict):
        return _question_in_fields(value)
    if isinstance(value, list):
        return _last_human_text(value)
    return value if isinstance(value, str) else None


def _reply_in(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """The reply: blank for an empty one, None if there is none or tools are called."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _reply_of_message(value[-1]) or "" if value else None
    if not isinstance(value, dict):
        return None
    if _role(value) is not None:
        return _reply_of_message(value)
    for name in _ANSWERS:
        if value.get(name):
            return _reply_in(value[name])
    messages = value.get("messages")
    return _reply_in(messages) if isinstance(messages, list) else None


def _text_of_document(document: Any) -> FoundText | None:  # noqa: ANN401 - any JSON value
    """A document that LangChain wrote; None if it is none."""
    fields = _unpacked(document)
    if not isinstance(fields, dict) or not isinstance(fields.get("page_content"), str):
        return None
    metadata = _object_in(fields, "metadata")
    is_compressed = own_metadata(metadata) is not None
    return FoundText(fields["page_content"], _title_in(metadata), is_compressed)


def _text_of_tool_output(output: Any, tool: str | None) -> FoundText | None:  # noqa: ANN401
    """A tool's output, a message or any other value; None if it is missing or an error."""
    fields = _unpacked(output)
    if isinstance(fields, dict) and "content" in fields:
        if fields.get("status") == "error":
            return None
        return FoundText(_text_of_content(fields["content"]), fields.get("name") or tool)
    if output is None:
        return None
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    return FoundText(text, tool)


def _text_of_content(content: Any) -> str:  # noqa: ANN401 - a text, or a list of texts and blocks
    """The texts of a message's content."""
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "\n\n".join(text for text in texts if isinstance(text, str))


def _objects_in(record: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list; none if there is no list."""
    items = record.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _object_in(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; an empty one if there is none."""
    item = record.get(name)
    return item if isinstance(item, dict) else {}


def _title_in(metadata: Mapping[str, Any]) -> str | None:
    """The title in metadata."""
    title = metadata.get("title")
    return title if isinstance(title, str) else None


def _question_in_fields(fields: Mapping[str, Any]) -> str | None:
    if "content" in fields:
        return _text_of_content(fields["content"])
    for name in (*_QUESTIONS, "messages"):
        found = _question_in(fields.get(name))
        if found:
            return found
    only = list(fields.values())
    return only[0] if len(only) == 1 and isinstance(only[0], str) else None


def _last_human_text(messages: Sequence[Any]) -> str | None:
    for message in reversed(messages):
        if isinstance(message, list) and len(message) == 2 and message[0] in _HUMAN:  # noqa: PLR2004
            return _text_of_content(message[1])
        if _role(message) in _HUMAN:
            return _text_of_content(_unpacked(message).get("content"))
    return None


def _reply_of_message(message: Any) -> str | None:  # noqa: ANN401 - any JSON value
    fields = _unpacked(message)
    if _role(message) not in _AI or fields.get("tool_calls"):
        return None
    return _text_of_content(fields.get("content"))


def _role(message: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """The role as it was written; None if this is no message."""
    if not isinstance(message, dict):
        return None
    if "kwargs" in message and isinstance(message.get("id"), list) and message["id"]:
        return str(message["id"][-1])
    role = message.get("role") or message.get("type")
    return role if isinstance(role, str) and "content" in message else None


def _unpacked(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The fields of an object that LangChain serialized; anything else unchanged."""
    inner = value.get("kwargs") if isinstance(value, dict) and "lc" in value else None
    return inner if isinstance(inner, dict) else value
