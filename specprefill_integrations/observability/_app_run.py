"""One run of an app, as far as it is known: what was asked, found and answered. Pure.

Knows no framework and no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

LeftOutReason = Literal["failed", "no_documents", "no_question", "no_reply", "abandoned"]
"""Why a run becomes no case; the last one: its answer was not read to its end, or it never ended
and others needed its place."""


@dataclass(frozen=True, slots=True)
class FoundText:
    """A text that a retriever or a tool gave."""

    text: str
    """The text."""

    title: str | None = None
    """What it is called: the title of a document, the name of a tool."""

    is_compressed: bool = False
    """Whether it was shortened on its way; then the one within it counts, where there is one."""


@dataclass(slots=True)
class _Source:
    """A retriever or a tool at work."""

    outer_id: str | None
    """The source that it lies in; None where it is an outermost one."""

    query: str | None
    """What a retriever was asked; None for a tool."""

    inner: list[FoundText] = field(default_factory=list)
    """What sources within it gave."""

    found: Sequence[FoundText] = ()
    """What it gave itself."""


class AppRun:
    """What is known of a run, and the case that becomes of it.

    Sources are retrievers and tools. The outermost ones count: what a tool's own retriever found,
    or what a retriever that puts others together was given, is not what the model read. But what
    was compressed on its way gives place to what it was made of.
    """

    def __init__(self, question: str | None = None) -> None:
        """Start with nothing found.

        Args:
            question: What the app was asked; None where that is not known.
        """
        self.question = question
        self.reply: str | None = None
        """What the app says that it answered; blank for nothing, None where it does not say."""
        self.last_said: str | None = None
        """The last text of a model."""
        self._sources: dict[str, _Source] = {}

    @property
    def chars(self) -> int:
        """Characters of the texts that it holds."""
        found = (text for one in self._sources.values() for text in (*one.found, *one.inner))
        return sum(len(text.text) for text in found)

    def source_began(self, source_id: str, outer_id: str | None, query: str | None) -> None:
        """A retriever or a tool is at work.

        Args:
            source_id: The source.
            outer_id: The source that it lies in; None where it is an outermost one.
            query: What a retriever was asked; None for a tool.
        """
        self._sources[source_id] = _Source(outer_id, query)

    def source_ended(self, source_id: str, found: Sequence[FoundText]) -> None:
        """A source has given its texts: none where it failed."""
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
        """The run as a line of evaluation data, or why it makes none.

        The question is the retrievers' where all were asked the same and no tool was called: it
        stands alone even where a conversation went before. Else it is the app's.

        Args:
            case_id: Names the case.
            task: What kind of question it is.
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
        """What was found, in the order in which it was looked for, each text once."""
        found = (text for source in self._sources.values() for text in source.found)
        for text in dict.fromkeys(found):
            if text.text.strip():
                title = {"title": text.title} if text.title else {}
                yield {**title, "text": text.text}

    def _query(self) -> str | None:
        queries = list(dict.fromkeys(source.query for source in self._sources.values()))
        asked = (queries if len(queries) == 1 else []) + [self.question, *queries]
        return next((query for query in asked if query and query.strip()), None)
