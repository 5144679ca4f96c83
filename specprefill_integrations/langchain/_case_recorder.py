"""Recording of a LangChain app's runs as evaluation cases. WRITES TEXTS TO A FILE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.outputs import LLMResult

from specprefill_integrations._arguments import PositiveInt, Share, checked
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
    """Records runs as evaluation cases: WRITES questions, found texts and answers TO A FILE.

    Make sure that you are allowed to store your users' questions and your documents, and delete the
    file when you are done. Only its owner can read the file. No text is logged.

    Every outermost run becomes a case for `specprefill evaluate ab`: the question, the output of
    retrievers and tools, and the answer. Pass the recorder to that run,
    `chain.invoke(..., config={"callbacks": [recorder]})`; one recorder serves any number of runs
    at once. Runs that fail, find nothing or answer nothing are counted and left out.

    Texts that our integrations compress are recorded as they were before.
    """

    # In an executor, callbacks would run late and out of order; these take microseconds.
    run_inline = True

    @checked
    def __init__(
        self,
        path: str | Path,
        *,
        task: str = "recorded",
        sample: Share = 1.0,
        max_cases: PositiveInt | None = 1_000,
    ) -> None:
        """Create the file, or append to an existing one.

        Args:
            path: The file of JSON lines. Each process needs its own.
            task: A name for the questions; cases of one task are counted together.
            sample: The share of runs that is recorded, in (0, 1].
            max_cases: The number of cases in the file, earlier ones included; None for no limit.

        Raises:
            EvaluationDataError: The file holds something else.
            OSError: It cannot be created or written.
            TypeError: An argument has another type.
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
        """Number of runs that were `recorded`, and of others by the reason why not."""
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
        """Note the parent run, and the question of an outermost one."""
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
        """Note the query."""
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
        """Note that a tool is running."""
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
        """Keep the documents."""
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
        """Keep the output."""
        self._runs.source_ended(str(run_id), partial(texts_of_output, output, name))
        self._ended(run_id, output)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: object) -> None:
        """Keep the answer."""
        self._runs.call_ended(str(run_id), said_in(response))
        self._ended(run_id, None)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: object) -> None:  # noqa: ANN401
        """Write the case at the end of an outermost run."""
        self._ended(run_id, outputs)

    def on_chain_error(self, *_: object, run_id: UUID, **__: object) -> None:
        """Count an outermost run that failed."""
        self._runs.source_ended(str(run_id), tuple)
        self._runs.failed(str(run_id))

    on_tool_error = on_retriever_error = on_chain_error

    def on_llm_error(self, *_: object, run_id: UUID, **__: object) -> None:
        """Note that there is no answer."""
        self._runs.call_ended(str(run_id), None)
        self._runs.failed(str(run_id))

    def _began(self, run_id: UUID, parent_run_id: UUID | None, inputs: object) -> bool:
        """Note a run. True if it has a parent."""
        parent_id = None if parent_run_id is None else str(parent_run_id)
        return self._runs.began(str(run_id), parent_id, partial(question_in, inputs))

    def _ended(self, run_id: UUID, outputs: object) -> None:
        self._runs.ended(str(run_id), partial(reply_in, outputs))
