"""The spans of a trace -> the cases that its runs make, as if they had been recorded. Pure.

Knows no format; whoever reads one says what its spans were.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._cases import EvaluationCase, case_of_record
from specprefill_integrations.observability._app_run import AppRun, FoundText

logger = logging.getLogger(__name__)

SpanKind = Literal["retriever", "tool", "model", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSpan:
    """A step of a run of an app."""

    id: str
    """Names it within its file."""

    parent_id: str | None
    """The span that it lies in."""

    kind: SpanKind
    """What worked."""

    started: str
    """When it began: sorts as text."""

    question: str | None
    """What it was asked."""

    found: Sequence[FoundText] = ()
    """What a retriever or a tool gave."""

    said: str | None = None
    """What it answered; blank for nothing, None where it is not known."""

    has_failed: bool = False
    """Whether it raised."""


def cases_of_spans(name: str, spans: Iterable[TraceSpan], task: str) -> list[EvaluationCase]:
    """The cases of all runs that make one; how many do not is logged.

    Args:
        name: The file's, for errors.
        spans: All of a file. One whose parent is not there is a run of the app.
        task: What the questions are called.

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
        msg = f"{name!r}: no run of an app makes a case: {why or 'there is none'}"
        raise EvaluationDataError(msg)
    if why:
        logger.warning("runs of %r that make no case: %s", name, why)
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
    """Tell what happened, as if it happened now.

    Args:
        run: Is told.
        spans: Those that lie in one span.
        source_id: The retriever or tool that they lie in.
        children: The spans that lie in each.
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
