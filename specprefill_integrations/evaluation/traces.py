"""Evaluation cases from what people have: JSON lines, tables (CSV), exports of LangSmith.

Finds the question, the texts and the answers by the names of their fields. Knows no compression.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation.cases import EvaluationCase, read_cases

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


def read_data(
    path: Path, limit: int | None = None, fields: FieldNames | None = None
) -> list[EvaluationCase]:
    """Read cases from a file in any of the formats.

    By its name and its first record: `.csv` is a table with a header; JSON whose records have
    `inputs` is an export of LangSmith, JSON lines or one list; all else are cases as `read_cases`
    takes them. A cell of a table that is a JSON list holds several texts or answers.

    Args:
        path: The file.
        limit: How many cases to read; all by default.
        fields: Where to look in a table or an export.

    Raises:
        EvaluationDataError: The file cannot be read, or something in it is no case.
    """
    if path.suffix == ".csv":
        records = _rows(path)
    elif path.suffix in {".json", ".jsonl"} and _is_export(path):
        records = _examples(path)
    else:
        return read_cases(path, limit)
    names = fields or FieldNames()
    try:
        return [_case(path, place, record, names) for place, record in islice(records, limit)]
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


def _is_export(path: Path) -> bool:
    """Whether the first record has `inputs`, as LangSmith's have."""
    try:
        _, first = next(_examples(path), ("", None))
    except EvaluationDataError:
        return False  # whatever is wrong with it, the reader of cases says it better
    return isinstance(first, dict) and "inputs" in first


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
        return EvaluationCase(
            id=str(record.get("id") or place),
            task=str(_found(record, names.task) or path.stem),
            query=_text(_needed(record, names.query, "question")),
            texts=tuple(_texts(_needed(record, names.texts, "texts"))),
            answers=tuple(_texts(_needed(record, names.answers, "answers"))),
            metric=None if metric is None else str(metric),
        )
    except EvaluationDataError as error:
        msg = f"{str(path)!r}, {place}: {error}"
        raise EvaluationDataError(msg) from error


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
