"""Files of evaluation cases: JSON lines, CSV tables, LangSmith exports, traces of an app."""

from __future__ import annotations

import ast
import codecs
import contextlib
import csv
import dataclasses
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._cases import EvaluationCase, case_of_record
from specprefill_integrations.evaluation._trace_formats import (
    is_langsmith_tree,
    is_openinference,
    spans_of_langsmith,
    spans_of_openinference,
)
from specprefill_integrations.evaluation._traces import TraceSpan, cases_of_spans

_Record = Mapping[str, Any]

_ReadSpans = Callable[[Iterable[_Record]], Iterable[TraceSpan]]

_IN_LANGSMITH = ("inputs", "outputs", "reference_outputs", "metadata")

# The largest limit that `csv` accepts on every platform; its default is too small for documents.
_LONGEST_CELL = 2**31 - 1


MAX_LINE_BYTES = 128 * 2**20
"""The longest line of a file of JSON lines."""

MAX_EXPANDED_BYTES = 4096 * 2**20
"""The most bytes that a compressed file may expand to."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Names of the fields in a row, a line or an export's record; dots lead into objects.

    The defaults include those of RAGAS. Names are tried in turn; in a LangSmith export also within
    `inputs`, `outputs`, `reference_outputs` and `metadata`.
    """

    query: Sequence[str] = ("query", "question", "input", "user_input")
    """The question."""

    texts: Sequence[str] = (
        "documents",
        "contexts",
        "context",
        "texts",
        "text",
        "retrieved_contexts",
        "reference_contexts",
    )
    """The texts: one, or a list of texts or of objects with `text` or `page_content`."""

    answers: Sequence[str] = (
        "answers",
        "ground_truth",  # before `answer`, which is the app's in RAGAS's former format
        "ground_truths",
        "answer",
        "output",
        "reference",
    )
    """The right answers: one, or a list."""

    task: Sequence[str] = ("task",)
    """The task; the file's name if there is none."""

    metric: Sequence[str] = ("metric",)
    """The metric; see `metric_of`."""

    reply: Sequence[str] = ("reply", "response")
    """The app's reply, which need not be right."""

    @classmethod
    def parse(cls, given: Iterable[str]) -> FieldNames:
        """The default names, changed by options such as `query=inputs.question`.

        Raises:
            EvaluationDataError: An option has another form, or there is no such field.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        changes: dict[str, Any] = {}
        for one in given:
            name, _, place = one.partition("=")
            if name not in known or not place:
                msg = f"--field takes {', '.join(known)} as NAME=PLACE; got {one!r}"
                raise EvaluationDataError(msg)
            changes[name] = (place,)
        return dataclasses.replace(cls(), **changes)


@checked
def read_cases(
    path: Path | str, limit: PositiveInt | None = None, fields: FieldNames | None = None
) -> list[EvaluationCase]:
    """Read the cases of a file in any supported format.

    The format follows from the file's name and first record: `.csv` is a table with a header; JSON,
    as lines or as one list, may hold a trace of an app (LangSmith runs with child runs, or
    OpenInference spans) or a LangSmith export (`inputs` in each record); everything else is JSON
    lines, or one JSON list, with one case each, compressed if the name ends in `.gz`. A JSON object
    with `query` and `documents` is read as by `case_of_record`, any other record by the names of
    its fields. A case without an id has that of its line, one without a task the file's name. A
    table's cell may hold a list of texts or answers, as JSON or Python writes it. Cases of a trace
    have a reply and no answers.

    Args:
        path: The file.
        limit: Number of cases to read; all by default.
        fields: Names of the fields in tables, exports and lines with other fields.

    Raises:
        EvaluationDataError: The file cannot be read, or something in it is no case.
    """
    path = Path(path)
    names = fields or FieldNames()
    if path.suffix == ".csv":
        return _cases_of_rows(path, _rows(path), limit, names)
    first = _first_record(path) if path.suffix in {".json", ".jsonl"} else {}
    read_spans = _reader_of_trace(path, first)
    if read_spans is not None:
        return cases_of_spans(str(path), read_spans(_objects(path)), path.stem)[:limit]
    if "inputs" in first or (first and _holds_a_list(path)):
        return _cases_of_rows(path, _examples(path), limit, names)
    return _cases_of_lines(path, limit, names)


def _holds_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def _cases_of_lines(path: Path, limit: int | None, names: FieldNames) -> list[EvaluationCase]:
    try:
        with _opened(path) as lines:
            numbered = enumerate(_bounded(path, lines), start=1)
            filled = ((n, line) for n, line in numbered if line.strip())
            return [_case_of_line(path, n, line, names) for n, line in islice(filled, limit)]
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _opened(path: Path) -> BinaryIO:
    packed = path.suffix == ".gz"
    return cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")


def _bounded(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, none of which fills the memory.

    Raises:
        EvaluationDataError: A line, or what a compressed file expands to, is too large.
    """
    total = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        total += len(line)
        if len(line) > MAX_LINE_BYTES:
            msg = f"{str(path)!r} has a line of more than {MAX_LINE_BYTES // 2**20} MiB"
            raise EvaluationDataError(msg)
        if path.suffix == ".gz" and total > MAX_EXPANDED_BYTES:
            limit = f"{MAX_EXPANDED_BYTES // 2**20} MiB"
            msg = f"{str(path)!r} expands to more than {limit}; expand it yourself to read it"
            raise EvaluationDataError(msg)
        yield line


def _case_of_line(path: Path, number: int, line: bytes, names: FieldNames) -> EvaluationCase:
    place = f"line {number}"
    try:
        return _case(path, place, json.loads(line.decode("utf-8-sig")), names)
    except EvaluationDataError:
        raise
    except (ValueError, RecursionError) as error:
        msg = f"{str(path)!r}, {place}: {_format_error(error)}"
        raise EvaluationDataError(msg) from error


def _format_error(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}, at character {error.pos + 1} of the line"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    return str(error)


def _cases_of_rows(
    path: Path, rows: Iterable[tuple[str, Any]], limit: int | None, names: FieldNames
) -> list[EvaluationCase]:
    try:
        return [_case(path, place, record, names) for place, record in islice(rows, limit)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        for row in table:
            if None in row or None in row.values():
                msg = f"{str(path)!r}, line {table.line_num}: not as many cells as the header"
                raise EvaluationDataError(msg)
            yield f"line {table.line_num}", {name: _cell(text) for name, text in row.items()}


def _cell(text: str) -> Any:  # noqa: ANN401 - a text or a list
    if text.startswith("["):
        for read in (json.loads, ast.literal_eval):  # pandas writes lists as Python does
            with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                return read(text)
    return text  # it only starts like a list


def _first_record(path: Path) -> _Record:
    """The first record, which reveals exports and traces; empty if it cannot be read."""
    try:
        _, first = next(_examples(path), ("", None))
    except EvaluationDataError:
        return {}  # the reader of JSON lines has the better error message
    return first if isinstance(first, dict) else {}


def _reader_of_trace(path: Path, first: _Record) -> _ReadSpans | None:
    """The function that reads the file as a trace; None if it is none."""
    if is_openinference(first):
        return spans_of_openinference
    # Runs without child runs are read as an export.
    if "run_type" in first and any(map(is_langsmith_tree, _objects(path))):
        return spans_of_langsmith
    return None


def _objects(path: Path) -> Iterator[_Record]:
    for place, record in _examples(path):
        if not isinstance(record, dict):
            msg = f"{str(path)!r}, {place}: not a JSON object"
            raise EvaluationDataError(msg)
        yield record


def _examples(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of JSON lines or of one JSON list, each with its position."""
    try:
        text = path.read_text("utf-8-sig")
        if text.lstrip().startswith("["):
            for number, record in enumerate(json.loads(text), start=1):
                yield f"record {number}", record
            return
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"line {number}", json.loads(line)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error


def _case(path: Path, place: str, record: Any, names: FieldNames) -> EvaluationCase:  # noqa: ANN401
    """Make a case of a record; its place is its id if it has none."""
    try:
        if not isinstance(record, dict):
            msg = "not a JSON object"
            raise EvaluationDataError(msg)  # noqa: TRY301 - the position is added just below
        if path.suffix != ".csv" and {"query", "documents"} <= record.keys():
            return case_of_record({"id": place, "task": path.stem, **record})
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
    """The right answers; only a record with a reply may have none."""
    if _found(record, names.answers) is not None or _found(record, names.reply) is None:
        yield from _texts(_needed(record, names.answers, "answers"))


def _needed(record: Mapping[str, Any], names: Sequence[str], what: str) -> Any:  # noqa: ANN401
    found = _found(record, names)
    if found is None:
        msg = f"no {what} found; looked for the fields {', '.join(names)}"
        raise EvaluationDataError(msg)
    return found


def _found(record: Mapping[str, Any], names: Sequence[str]) -> Any:  # noqa: ANN401 - any JSON value
    """The first of these fields that is not empty."""
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
    """A text, or a document's; LangChain serializes a document's fields in `kwargs`."""
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
