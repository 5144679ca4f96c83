"""Replay the spans of a trace as the cases that a `CaseRecorder` would have recorded."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from specprefill_integrations._visible import visible
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._cases import EvaluationCase, case_of_record
from specprefill_integrations.observability._app_run import AppRun, FoundText

logger = logging.getLogger(__name__)

SpanKind = Literal["retriever", "tool", "model", "other"]
"""Component that a span is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSpan:
    """A step of a run of an app."""

    id: str
    """Identifies the span within its file."""

    parent_id: str | None
    """The enclosing span."""

    kind: SpanKind
    """Its component."""

    started: str
    """Start time; sorts as text."""

    question: str | None
    """Its question."""

    found: Sequence[FoundText] = ()
    """Texts that a retriever or a tool returned."""

    said: str | None = None
    """Its answer; blank for an empty one, None if unknown."""

    has_failed: bool = False
    """True if it raised."""


def cases_of_spans(name: str, spans: Iterable[TraceSpan], task: str) -> list[EvaluationCase]:
    """Make a case of each run; runs that make none are counted in a warning.

    Args:
        name: The file's name, for errors.
        spans: All spans of a file. One without its parent is a run of the app.
        task: Task of the cases.

    Raises:
        EvaluationDataError: No run makes a case.
    """
    by_id = {span.id: span for span in sorted(spans, key=lambda span: span.started)}
    children: dict[str, list[TraceSpan]] = {}
    for span in by_id.values():
        children.setdefault(span.parent_id if span.parent_id in by_id else "", []).append(span)
    cases: list[EvaluationCase] = []
    left_out: Counter[str] = Counter()
    for root in children.get("", []):
        case = _case(root, children, task)
        if isinstance(case, str):
            left_out[case] += 1
        else:
            cases.append(case_of_record(case))
    why = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items())
    if not cases:
        msg = f"{name!r}: no run in this trace can become a case: {why or 'it contains no runs'}"
        raise EvaluationDataError(msg)
    if why:
        logger.warning("skipped runs in %s: %s", visible(name), visible(why))
    return cases


def _case(
    root: TraceSpan, children: Mapping[str, Sequence[TraceSpan]], task: str
) -> dict[str, Any] | str:
    if root.has_failed:
        return "failed"
    run = AppRun(root.question)
    _replay(run, children.get(root.id, ()), None, children)
    run.reply = root.said
    return run.case(root.id, task)


def _replay(
    run: AppRun,
    spans: Sequence[TraceSpan],
    source_id: str | None,
    children: Mapping[str, Sequence[TraceSpan]],
) -> None:
    """Replay the events of some spans.

    Args:
        run: Receives the events.
        spans: The children of one span.
        source_id: The enclosing retriever or tool.
        children: The children of each span.
    """
    for span in spans:
        is_source = span.kind in {"retriever", "tool"}
        if is_source:
            run.source_began(
                span.id, source_id, span.question if span.kind == "retriever" else None
            )
        _replay(run, children.get(span.id, ()), span.id if is_source else source_id, children)
        if is_source:
            run.source_ended(span.id, () if span.has_failed else span.found)
        elif span.kind == "model" and span.said:
            run.last_said = span.said
