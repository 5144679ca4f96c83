"""Runs as LangSmith exports them, with the runs within them -> spans. Pure.

Read from the classes `Run` and `RunTree` of `langsmith`, and from what LangChain's tracers write
into them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from specprefill_integrations.evaluation._trace_spans import SpanKind, TraceSpan
from specprefill_integrations.evaluation._trace_values import (
    objects_in,
    question_in,
    reply_in,
    text_of_document,
    text_of_tool_output,
)
from specprefill_integrations.observability._app_run import FoundText

_KINDS: Mapping[str, SpanKind] = {"retriever": "retriever", "tool": "tool", "llm": "model"}


def is_inner_or_outer(record: Mapping[str, Any]) -> bool:
    """Whether this is a run that holds others, or that lies in one."""
    return bool(record.get("child_runs") or record.get("parent_run_id"))


def spans_of_runs(records: Iterable[Mapping[str, Any]]) -> Iterator[TraceSpan]:
    """The spans of runs, and of those within them.

    Args:
        records: Trees of runs (`child_runs`), or one run each that names the one that it lies in.
    """
    for record in records:
        yield _span(record)
        yield from spans_of_runs(
            {**run, "parent_run_id": record.get("id")} for run in objects_in(record, "child_runs")
        )


def _span(run: Mapping[str, Any]) -> TraceSpan:
    kind = _KINDS.get(str(run.get("run_type")), "other")
    outputs = run.get("outputs")
    parent_id = run.get("parent_run_id")
    return TraceSpan(
        id=str(run.get("id")),
        parent_id=None if parent_id is None else str(parent_id),
        kind=kind,
        started=str(run.get("dotted_order") or run.get("start_time")),
        question=question_in(run.get("inputs")),
        found=list(_found(kind, outputs, run.get("name"))),
        said=_said(outputs) if kind == "model" else reply_in(outputs),
        has_failed=bool(run.get("error")),
    )


def _found(kind: SpanKind, outputs: Any, name: str | None) -> Iterator[FoundText]:  # noqa: ANN401
    if not isinstance(outputs, dict):
        return
    if kind == "retriever":
        found = [text_of_document(document) for document in objects_in(outputs, "documents")]
    elif kind == "tool":
        found = [text_of_tool_output(outputs.get("output"), name)]
    else:
        found = []
    yield from (text for text in found if text is not None)


def _said(outputs: Any) -> str | None:  # noqa: ANN401 - as it stands in the export
    """What a model said; blank or None where it called tools."""
    generation = outputs.get("generations") if isinstance(outputs, dict) else None
    while isinstance(generation, list) and generation:
        generation = generation[0]
    if not isinstance(generation, dict):
        return reply_in(outputs)
    message = generation.get("message")
    return reply_in(message) if message else generation.get("text")
