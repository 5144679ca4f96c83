"""Evaluation cases: a question, documents, and the answers that must survive compression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.splitting._json._values import is_json


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationCase:
    """A question about some texts, and its right answers."""

    id: str
    """Identifies the case within its file."""

    task: str
    """Kind of question; cases of one task are summarized together."""

    query: str | None
    """The question, if there is one."""

    texts: tuple[str, ...]
    """The documents, each below its title unless it is JSON."""

    answers: tuple[str, ...]
    """Texts of which one must be found."""

    needs_all: bool = False
    """True if every answer must be found."""

    evidence: tuple[str, ...] = ()
    """Sentences or lines that hold the answers, if they are marked."""

    metric: str | None = None
    """Metric of the case; None if it only matters whether an answer is found."""

    reply: str | None = None
    """The app's recorded reply, which need not be right."""

    def is_answered_by(self, texts: Sequence[str]) -> bool:
        """True if the texts contain the answers, upper and lower case alike.

        Each answer must be within one text.
        """
        folded = [text.casefold() for text in texts]
        found = [any(answer.casefold() in text for text in folded) for answer in self.answers]
        return bool(found) and (all(found) if self.needs_all else any(found))


def case_of_record(record: Mapping[str, Any]) -> EvaluationCase:
    """Make a case of a JSON object.

    Its fields are `id`, `task`, `query`, `documents` (objects with `text` and optionally `title`)
    and `answers`, and optionally `all`, `evidence`, `metric` and `reply`.

    Raises:
        EvaluationDataError: The object is no case.
    """
    return EvaluationCase(
        id=str(_field(record, "id", (str, int), "a text or a whole number")),
        task=_field(record, "task", str, "a text"),
        query=_field(record, "query", (str, type(None)), "a text or null"),
        texts=tuple(_texts(record)),
        answers=tuple(_strings(record, "answers")),
        needs_all=_field({"all": False, **record}, "all", bool, "true or false"),
        evidence=tuple(_strings({"evidence": [], **record}, "evidence")),
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


def _strings(record: Mapping[str, Any], name: str) -> Iterator[str]:
    """The texts of a field, none of them blank."""
    for item in _field(record, name, list, "a list"):
        if not isinstance(item, str) or not item.strip():
            msg = f"{name!r} must hold texts that are not blank; got {item!r}"
            raise EvaluationDataError(msg)
        yield item


def _field(
    record: Mapping[str, Any], name: str, kinds: type | tuple[type, ...], expected: str
) -> Any:  # noqa: ANN401 - checked here
    """The value of a field, checked."""
    if name not in record:
        msg = f"{name!r} is missing"
        raise EvaluationDataError(msg)
    value = record[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        msg = f"{name!r} must be {expected}; got {value!r:.60}"
        raise EvaluationDataError(msg)
    return value
