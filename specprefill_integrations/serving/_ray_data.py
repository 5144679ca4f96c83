"""Compression of large data sets with Ray Data. Needs no Ray itself."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from specprefill_integrations import __version__
from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.types import FAILURES, Budget

_COLUMNS = ("compressed", "original_tokens", "kept_tokens", "skipped_because")


class Compress:
    """Compresses a column of texts, for `Dataset.map_batches(Compress, ...)`.

    Each text is compressed alone; the engine batches the texts of a batch. Adds the columns
    `compressed`, `original_tokens`, `kept_tokens` and `skipped_because`.
    """

    @checked
    def __init__(  # noqa: PLR0913 - all keyword-only
        self,
        *,
        budget: Budget,
        text_column: str = "text",
        query: str | None = None,
        query_column: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        make_compressor: Callable[[], ContextCompressor] = ContextCompressor.from_draft_model,
        threads: PositiveInt = 16,
    ) -> None:
        """Make the compressor, once in each actor.

        Args:
            budget: The budget of each text.
            text_column: The column with the texts; null and blank ones stay.
            query: The question of all texts.
            query_column: The column with the questions, in place of `query`.
            folder: A folder that all actors share. Results are kept there under the hash of text,
                question and budget, so that another run after a stop goes on where it was. Use
                another folder for another draft.
            make_compressor: Makes the compressor.
            threads: Texts at once.

        Raises:
            ValueError: There are a question and a column of questions.
        """
        if query is not None and query_column is not None:
            msg = "Give either query or query_column."
            raise ValueError(msg)
        self._budget = budget
        self._text_column = text_column
        self._query = query
        self._query_column = query_column
        self._folder = None if folder is None else Path(folder)
        self._compressor = make_compressor()
        self._threads = threads

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Compress a batch.

        Args:
            batch: The columns.

        Returns:
            The columns and the new ones.

        Raises:
            KeyError: There is no such column.
        """
        texts = ["" if text is None else str(text) for text in batch[self._text_column]]
        queries: Sequence[Any] = [self._query] * len(texts)
        if self._query_column is not None:
            queries = batch[self._query_column]
        asked = [None if query is None else str(query) for query in queries]
        with ThreadPoolExecutor(self._threads) as pool:
            rows = list(pool.map(self._result, texts, asked))
        columns = zip(*rows, strict=True) if rows else ([] for _ in _COLUMNS)
        return {**batch, **dict(zip(_COLUMNS, map(list, columns), strict=True))}

    def _result(self, text: str, query: str | None) -> Sequence[Any]:
        """Return the values of the new columns, from an earlier run where it has them."""
        if self._folder is None:
            return self._compressed(text, query)[0]
        key = json.dumps([__version__, repr(self._budget), query, text])
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        file = self._folder / digest[:2] / digest
        try:
            found: list[Any] = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            found, has_failed = self._compressed(text, query)
            if not has_failed:
                _write(file, json.dumps(found))
        return found

    def _compressed(self, text: str, query: str | None) -> tuple[list[Any], bool]:
        done = self._compressor.compress(text, query, budget=self._budget)
        row = [done.text, done.original_tokens, done.kept_tokens, done.skipped_because]
        return row, done.skipped_because in FAILURES


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all: others may read or write it at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:
        new.write(text)
    Path(new.name).replace(file)
