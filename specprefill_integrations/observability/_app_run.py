"""One run of an app as reported by a framework: question, texts found, answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

LeftOutReason = Literal["failed", "no_documents", "no_question", "no_reply", "abandoned"]
"""Reason why a run yields no case; `abandoned`: its answer was not read to the end, or the run did
not end before too many later ones had begun."""


@dataclass(frozen=True, slots=True)
class FoundText:
    """A text returned by a retriever or a tool."""

    text: str
    """The text."""

    title: str | None = None
    """Title of a document, or name of a tool."""

    is_compressed: bool = False
    """True if it was compressed on its way; then its uncompressed source counts, if known."""


@dataclass(slots=True)
class _Source:
    """A retriever or tool call."""

    outer_id: str | None
    """The source that contains it; None for an outermost one."""

    query: str | None
    """The retriever's query; None for a tool."""

    inner: list[FoundText] = field(default_factory=list)
    """Texts returned by sources within it."""

    found: Sequence[FoundText] = ()
    """Texts that it returned."""


class AppRun:
    """Collects the events of a run and turns them into an evaluation case.

    Sources are retrievers and tools. Only the outermost ones count: the model did not read what a
    tool's inner retriever found, or what an ensemble retriever combined. But a compressed text is
    replaced by the texts it was made from.
    """

    def __init__(self, question: str | None = None) -> None:
        """Start without texts.

        Args:
            question: The app's question; None if unknown.
        """
        self.question = question
        self.reply: str | None = None
        """The app's own answer; blank if empty, None if the app does not report it."""
        self.last_said: str | None = None
        """The latest text of a model."""
        self._sources: dict[str, _Source] = {}

    @property
    def chars(self) -> int:
        """Characters of the texts held."""
        found = (text for one in self._sources.values() for text in (*one.found, *one.inner))
        return sum(len(text.text) for text in found)

    def source_began(self, source_id: str, outer_id: str | None, query: str | None) -> None:
        """Note the start of a retriever or tool.

        Args:
            source_id: The source.
            outer_id: The source that contains it; None for an outermost one.
            query: The retriever's query; None for a tool.
        """
        self._sources[source_id] = _Source(outer_id, query)

    def source_ended(self, source_id: str, found: Sequence[FoundText]) -> None:
        """Note the texts of a source; none if it failed."""
        source = self._sources.get(source_id)
        if source is None:
            return
        if source.inner and any(text.is_compressed for text in found):
            found = source.inner
        source.inner = []
        outer = self._sources.get(source.outer_id or "")
        if outer is None:
            source.found = found
        else:
            outer.inner.extend(found)
            del self._sources[source_id]

    def case(self, case_id: str, task: str) -> dict[str, Any] | LeftOutReason:
        """Return the run as a line of evaluation data, or the reason why it yields none.

        The query is the retrievers' if all had the same and no tool was called, since a rewritten
        query needs no conversation before it. Otherwise it is the app's question.

        Args:
            case_id: The case's id.
            task: The case's task.
        """
        documents = list(self._documents())
        query = self._query()
        reply = self.last_said if self.reply is None else self.reply
        if not documents:
            return "no_documents"
        if not query:
            return "no_question"
        if not reply or not reply.strip():
            return "no_reply"
        return {
            "id": case_id,
            "task": task,
            "query": query,
            "documents": documents,
            "answers": [],
            "reply": reply,
        }

    def _documents(self) -> Iterator[Mapping[str, str]]:
        """Yield each distinct text in the order of the sources' starts."""
        found = (text for source in self._sources.values() for text in source.found)
        for text in dict.fromkeys(found):
            if text.text.strip():
                title = {"title": text.title} if text.title else {}
                yield {**title, "text": text.text}

    def _query(self) -> str | None:
        queries = list(dict.fromkeys(source.query for source in self._sources.values()))
        asked = (queries if len(queries) == 1 else []) + [self.question, *queries]
        return next((query for query in asked if query and query.strip()), None)
