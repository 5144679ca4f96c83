"""A LangChain app's own runs as evaluation cases: listens, and WRITES TEXTS TO A FILE.

Translates callbacks; knows nothing about the file or what makes a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.outputs import LLMResult

from specprefill_integrations.langchain._run_texts import (
    question_in,
    reply_in,
    said_in,
    texts_of_documents,
    texts_of_output,
)
from specprefill_integrations.observability._app_run_recorder import AppRunRecorder
from specprefill_integrations.observability._case_file import CaseFile


class CaseRecorder(BaseCallbackHandler):
    """WRITES what users ask, what is found for it and what they are answered TO A FILE, as text.

    Use it where you may: with the consent that your users' questions and your documents need, and
    delete the file when you are done. Only its owner can read the file. Nothing of it is logged.

    Every outermost run becomes a case that `specprefill evaluate ab` reads: the question, what
    retrievers and tools gave, and the answer. Give it to that run,
    `chain.invoke(..., config={"callbacks": [recorder]})`; one recorder serves any number of runs
    at once. Runs that fail, find nothing or answer nothing are counted and left out.

    What our own doors compress is recorded as it was before.
    """

    # In an executor, callbacks would come late and out of order; these take microseconds.
    run_inline = True

    def __init__(
        self,
        path: str | Path,
        *,
        task: str = "recorded",
        sample: float = 1.0,
        max_cases: int | None = 1_000,
    ) -> None:
        """Make the file, or go on with one.

        Args:
            path: The file of JSON lines. Another process needs another one.
            task: What the questions are called; cases of one task are counted together.
            sample: Which share of the runs is recorded, in (0, 1].
            max_cases: The file takes no more than so many, earlier ones included; None for no
                limit.

        Raises:
            EvaluationDataError: The file holds something else.
            OSError: It cannot be made or written.
            ValueError: A number is out of range.
        """
        self._file = CaseFile(path, max_cases)
        self._runs = AppRunRecorder(self._file, task=task, sample=sample)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def counts(self) -> Mapping[str, int]:
        """How many runs were `recorded`; others by why they were not."""
        return self._runs.counts

    def on_chain_start(
        self,
        serialized: Mapping[str, Any] | None,  # noqa: ARG002 - LangChain's signature
        inputs: Any,  # noqa: ANN401
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **_: object,
    ) -> None:
        """Note what lies in what, and what the app is asked."""
        self._began(run_id, parent_run_id, inputs)

    def on_retriever_start(
        self,
        serialized: Mapping[str, Any] | None,  # noqa: ARG002 - LangChain's signature
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **_: object,
    ) -> None:
        """Note what is looked for."""
        if self._began(run_id, parent_run_id, query):
            self._runs.source_began(str(run_id), query)

    def on_tool_start(
        self,
        serialized: Mapping[str, Any] | None,  # noqa: ARG002 - LangChain's signature
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **_: object,
    ) -> None:
        """Note that a tool is at work."""
        if self._began(run_id, parent_run_id, input_str):
            self._runs.source_began(str(run_id))

    def on_chat_model_start(
        self, *_: object, run_id: UUID, parent_run_id: UUID | None = None, **__: object
    ) -> None:
        """Note that a model is called."""
        self._began(run_id, parent_run_id, None)
        self._runs.call_began(str(run_id))

    on_llm_start = on_chat_model_start

    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **_: object) -> None:
        """Keep what was found."""
        self._runs.source_ended(str(run_id), partial(texts_of_documents, documents))
        self._ended(run_id, None)

    def on_tool_end(
        self,
        output: Any,  # noqa: ANN401 - LangChain's signature
        *,
        run_id: UUID,
        name: str | None = None,
        **_: object,
    ) -> None:
        """Keep what the tool gave."""
        self._runs.source_ended(str(run_id), partial(texts_of_output, output, name))
        self._ended(run_id, output)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: object) -> None:
        """Keep what the model said."""
        self._runs.call_ended(str(run_id), said_in(response))
        self._ended(run_id, None)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: object) -> None:  # noqa: ANN401
        """Write the case, if this was the app's run."""
        self._ended(run_id, outputs)

    def on_chain_error(self, *_: object, run_id: UUID, **__: object) -> None:
        """Count it, if this was the app's run."""
        self._runs.source_ended(str(run_id), tuple)
        self._runs.failed(str(run_id))

    on_tool_error = on_retriever_error = on_chain_error

    def on_llm_error(self, *_: object, run_id: UUID, **__: object) -> None:
        """Note that there is no more to come."""
        self._runs.call_ended(str(run_id), None)
        self._runs.failed(str(run_id))

    def _began(self, run_id: UUID, parent_run_id: UUID | None, inputs: object) -> bool:
        """Whether the run lies in another one."""
        parent_id = None if parent_run_id is None else str(parent_run_id)
        return self._runs.began(str(run_id), parent_id, partial(question_in, inputs))

    def _ended(self, run_id: UUID, outputs: object) -> None:
        self._runs.ended(str(run_id), partial(reply_in, outputs))
