"""Evaluation cases from what people have: JSON lines, tables (CSV), exports, traces of an app.

Finds the question, the texts and the answers by the names of their fields. Knows no compression.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._cases import EvaluationCase, read_cases
from specprefill_integrations.evaluation._langsmith_runs import is_inner_or_outer, spans_of_runs
from specprefill_integrations.evaluation._openinference_spans import is_span, spans_of_records
from specprefill_integrations.evaluation._trace_spans import TraceSpan, cases_of_spans

_Record = Mapping[str, Any]

_ReadSpans = Callable[[Iterable[_Record]], Iterable[TraceSpan]]

_IN_LANGSMITH = ("inputs", "outputs", "reference_outputs", "metadata")

# As much as the reader of tables can be told everywhere.
_LONGEST_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Where to look in a row of a table or in an example; dots lead into objects.

    Names are tried in turn; in an example of LangSmith also within `inputs`, `outputs`,
    `reference_outputs` and `metadata`.
    """

    query: Sequence[str] = ("query", "question", "input")
    """The question."""

    texts: Sequence[str] = ("documents", "contexts", "context", "texts", "text")
    """The texts: one, or a list of texts or of objects with `text` or `page_content`."""

    answers: Sequence[str] = ("answers", "answer", "output", "reference")
    """The right answers: one, or a list."""

    task: Sequence[str] = ("task",)
    """What kind of question it is; the file's name where there is none."""

    metric: Sequence[str] = ("metric",)
    """How a reply is judged; see `answers.metric_of`."""

    reply: Sequence[str] = ("reply",)
    """What an app answered: not what is right."""


def read_data(
    path: Path, limit: int | None = None, fields: FieldNames | None = None
) -> list[EvaluationCase]:
    """Read cases from a file in any of the formats.

    By its name and its first record: `.csv` is a table with a header; JSON, as lines or as one
    list, may hold a trace of an app (runs of LangSmith with those within them, spans after the
    OpenInference conventions) or an export of LangSmith (`inputs` in each record); all else are
    cases as `read_cases` takes them. A cell of a table that is a JSON list holds several texts or
    answers. Cases of a trace have a reply and no answers.

    Args:
        path: The file.
        limit: How many cases to read; all by default.
        fields: Where to look in a table or an export.

    Raises:
        EvaluationDataError: The file cannot be read, or something in it is no case.
    """
    if path.suffix == ".csv":
        return _cases_of_rows(path, _rows(path), limit, fields)
    first = _first_record(path) if path.suffix in {".json", ".jsonl"} else {}
    read_spans = _reader_of_trace(path, first)
    if read_spans is not None:
        return cases_of_spans(str(path), read_spans(_objects(path)), path.stem)[:limit]
    if "inputs" in first:
        return _cases_of_rows(path, _examples(path), limit, fields)
    return read_cases(path, limit)


def _cases_of_rows(
    path: Path,
    rows: Iterable[tuple[str, Any]],
    limit: int | None,
    fields: FieldNames | None,
) -> list[EvaluationCase]:
    names = fields or FieldNames()
    try:
        return [_case(path, place, record, names) for place, record in islice(rows, limit)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(_LONGEST_CELL)  # the default is less than many a document
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        for row in table:
            if None in row or None in row.values():
                msg = f"{str(path)!r}, line {table.line_num}: not as many cells as the header"
                raise EvaluationDataError(msg)
            yield f"line {table.line_num}", {name: _cell(text) for name, text in row.items()}


def _cell(text: str) -> Any:  # noqa: ANN401 - a text or a list
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text  # it merely begins like a list
    return text


def _first_record(path: Path) -> _Record:
    """What tells exports and traces from cases; nothing where it cannot be read."""
    try:
        _, first = next(_examples(path), ("", None))
    except EvaluationDataError:
        return {}  # whatever is wrong with it, the reader of cases says it better
    return first if isinstance(first, dict) else {}


def _reader_of_trace(path: Path, first: _Record) -> _ReadSpans | None:
    """What reads the file as a trace; None where it is none."""
    if is_span(first):
        return spans_of_records
    # Of runs without others within them, the fields tell more than the tree.
    if "run_type" in first and any(map(is_inner_or_outer, _objects(path))):
        return spans_of_runs
    return None


def _objects(path: Path) -> Iterator[_Record]:
    for place, record in _examples(path):
        if not isinstance(record, dict):
            msg = f"{str(path)!r}, {place}: not a JSON object"
            raise EvaluationDataError(msg)
        yield record


def _examples(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of JSON lines or of one JSON list, each with its place."""
    try:
        text = path.read_text("utf-8-sig")
        if text.lstrip().startswith("["):
            for number, record in enumerate(json.loads(text), start=1):
                yield f"record {number}", record
            return
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"line {number}", json.loads(line)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _case(path: Path, place: str, record: Any, names: FieldNames) -> EvaluationCase:  # noqa: ANN401
    try:
        if not isinstance(record, dict):
            msg = "not a JSON object"
            raise EvaluationDataError(msg)  # noqa: TRY301 - told where it was just below
        metric = _found(record, names.metric)
        reply = _found(record, names.reply)
        return EvaluationCase(
            id=str(record.get("id") or place),
            task=str(_found(record, names.task) or path.stem),
            query=_text(_needed(record, names.query, "question")),
            texts=tuple(_texts(_needed(record, names.texts, "texts"))),
            answers=tuple(_answers(record, names)),
            metric=None if metric is None else str(metric),
            reply=None if reply is None else _text(reply),
        )
    except EvaluationDataError as error:
        msg = f"{str(path)!r}, {place}: {error}"
        raise EvaluationDataError(msg) from error


def _answers(record: Mapping[str, Any], names: FieldNames) -> Iterator[str]:
    """The right answers, which only a record with a reply can go without."""
    if _found(record, names.answers) is not None or _found(record, names.reply) is None:
        yield from _texts(_needed(record, names.answers, "answers"))


def _needed(record: Mapping[str, Any], names: Sequence[str], what: str) -> Any:  # noqa: ANN401
    found = _found(record, names)
    if found is None:
        msg = f"no {what}: looked for {', '.join(names)}"
        raise EvaluationDataError(msg)
    return found


def _found(record: Mapping[str, Any], names: Sequence[str]) -> Any:  # noqa: ANN401 - as it stands
    """The first of these fields that holds anything."""
    inner = [record[part] for part in _IN_LANGSMITH if isinstance(record.get(part), dict)]
    for name in names:
        for place in (record, *inner):
            value: Any = place
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value not in (None, "", [], {}):
                return value
    return None


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - checked here
    for item in value if isinstance(value, list) else [value]:
        yield _text(item)


def _text(value: Any) -> str:  # noqa: ANN401 - checked here
    """A text, or that of a document; LangChain writes a serialized one's fields in `kwargs`."""
    if isinstance(value, dict):
        inner = value.get("kwargs")
        fields = inner if isinstance(inner, dict) else value
        value = fields.get("text", fields.get("page_content"))
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or not str(value).strip()
    ):
        msg = f"a text was expected; got {value!r:.60}"
        raise EvaluationDataError(msg)
    return str(value)


def _unreadable(path: Path, error: Exception) -> EvaluationDataError:
    reason = getattr(error, "strerror", None) or error
    return EvaluationDataError(f"{str(path)!r} cannot be read: {reason}")
