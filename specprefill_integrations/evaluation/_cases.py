"""Evaluation cases: a question, some documents, and the answers that must survive.

Reads files of JSON lines, one case a line. Knows nothing about compression.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.splitting._json_text import is_json


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationCase:
    """A question about some texts, and what a good answer to it rests on."""

    id: str
    """Names the case within its file."""

    task: str
    """What kind of question it is; cases of one task are counted together."""

    query: str | None
    """The question; None where there is none."""

    texts: tuple[str, ...]
    """The documents, each below its title if it is no JSON."""

    answers: tuple[str, ...]
    """Texts of which one must be found."""

    needs_all: bool = False
    """Whether every one of the answers must be found."""

    metric: str | None = None
    """How the case is judged; None where an answer is found or not."""

    reply: str | None = None
    """What the app answered when the case was recorded: not what is right."""

    def is_answered_by(self, texts: Sequence[str]) -> bool:
        """Whether the answers stand in `texts`; upper and lower case are the same.

        Each answer stands in one of the texts, never across two.
        """
        folded = [text.casefold() for text in texts]
        found = [any(answer.casefold() in text for text in folded) for answer in self.answers]
        return bool(found) and (all(found) if self.needs_all else any(found))


def read_cases(path: Path, limit: int | None = None) -> list[EvaluationCase]:
    """Read a file of JSON lines, packed by gzip where its name ends in `.gz`.

    A line is an object with `id`, `task`, `query`, `documents` (objects with `text` and perhaps
    `title`) and `answers`, and perhaps with `all`, `metric` and `reply`. Blank lines are passed
    over.

    Args:
        path: The file.
        limit: How many cases to read; all by default.

    Raises:
        EvaluationDataError: The file cannot be read, or a line of it is no case.
    """
    try:
        with _opened(path) as lines:
            filled = ((n, line) for n, line in enumerate(lines, start=1) if line.strip())
            return [_read_case(path, n, line) for n, line in islice(filled, limit)]
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{str(path)!r} cannot be read: {reason}"
        raise EvaluationDataError(msg) from error


def _opened(path: Path) -> BinaryIO:
    packed = path.suffix == ".gz"
    return cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")


def _read_case(path: Path, number: int, line: bytes) -> EvaluationCase:
    try:
        return _parse_case(line)
    except (ValueError, RecursionError) as error:
        msg = f"{str(path)!r}, line {number}: {_in_words(error)}"
        raise EvaluationDataError(msg) from error


def _in_words(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}, at character {error.pos + 1} of the line"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    return str(error)


def _parse_case(line: bytes) -> EvaluationCase:
    record = json.loads(line.decode("utf-8-sig"))
    if not isinstance(record, dict):
        msg = "not a JSON object"
        raise EvaluationDataError(msg)
    return case_of_record(record)


def case_of_record(record: Mapping[str, Any]) -> EvaluationCase:
    """A case of the object that a line of a file holds; see `read_cases`.

    Raises:
        EvaluationDataError: The object is no case.
    """
    return EvaluationCase(
        id=str(_field(record, "id", (str, int), "a text or a whole number")),
        task=_field(record, "task", str, "a text"),
        query=_field(record, "query", (str, type(None)), "a text or null"),
        texts=tuple(_texts(record)),
        answers=tuple(_answers(record)),
        needs_all=_field({"all": False, **record}, "all", bool, "true or false"),
        metric=_field({"metric": None, **record}, "metric", (str, type(None)), "a text"),
        reply=_field({"reply": None, **record}, "reply", (str, type(None)), "a text"),
    )


def _texts(record: Mapping[str, Any]) -> Iterator[str]:
    """Each document as one text: its title, a blank line, its text; JSON stays JSON."""
    documents = _field(record, "documents", list, "a list")
    if not documents:
        msg = "'documents' is empty"
        raise EvaluationDataError(msg)
    for document in documents:
        if not isinstance(document, dict):
            msg = "'documents' must hold objects"
            raise EvaluationDataError(msg)
        text = _field(document, "text", str, "a text")
        title = _field({"title": None, **document}, "title", (str, type(None)), "a text")
        yield f"{title}\n\n{text}" if title and not is_json(text) else text


def _answers(record: Mapping[str, Any]) -> Iterator[str]:
    for answer in _field(record, "answers", list, "a list"):
        if not isinstance(answer, str) or not answer.strip():
            msg = f"'answers' must hold texts that are not blank; got {answer!r}"
            raise EvaluationDataError(msg)
        yield answer


def _field(
    record: Mapping[str, Any], name: str, kinds: type | tuple[type, ...], in_words: str
) -> Any:  # noqa: ANN401 - checked here
    """The value of a field, where it is what it should be."""
    if name not in record:
        msg = f"{name!r} is missing"
        raise EvaluationDataError(msg)
    value = record[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        msg = f"{name!r} must be {in_words}; got {value!r:.60}"
        raise EvaluationDataError(msg)
    return value
