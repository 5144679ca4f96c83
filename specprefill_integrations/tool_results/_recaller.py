"""Answers of the recall tool, for every framework."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.originals._recall import answer_recall, find_reference
from specprefill_integrations.originals._store_choice import Originals, astore_of, store_of
from specprefill_integrations.pipeline._failures import FailureLog
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.types import CountTokens

logger = logging.getLogger(__name__)

_NO_STORE = "The store of an original could not be asked"
_NOT_COUNTED = "The tokens of an original could not be counted; its bytes are counted instead"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recaller:
    """Answers an agent that asks for an original."""

    originals: Originals
    """The store, or a function from the call's runtime to its store."""

    max_tokens: int
    """Tokens of an answer."""

    compressor: ContextCompressor | None = None
    """The compressor whose counter is used; None is the shared default."""

    count_tokens: CountTokens | None = None
    """Counts tokens in place of the compressor."""

    failures: FailureLog = field(default_factory=FailureLog)
    """Logs what went wrong."""

    def answer(self, reference: object, around: object = "", runtime: object = None) -> str:
        """Return the original or a part of it, or the reason why there is none.

        Args:
            reference: The reference, as the model wrote it.
            around: The part, as the model wrote it; blank for the whole.
            runtime: What the framework knows of the call, for a function that chooses the store.
        """
        found = find_reference(as_text(reference))
        text = None
        try:
            store = store_of(self.originals, _given_by_framework(runtime))
            text = None if found is None or store is None else store.get(found)
        except Exception as error:  # noqa: BLE001 - the model gets an answer whatever fails
            self.failures.add(logger, _NO_STORE, "failed", error)
        return self._write(reference, text, around)

    async def aanswer(self, reference: object, around: object = "", runtime: object = None) -> str:
        """`answer`, off the event loop."""
        found = find_reference(as_text(reference))
        text = None
        try:
            store = await astore_of(self.originals, _given_by_framework(runtime))
            text = None if found is None or store is None else await store.aget(found)
        except Exception as error:  # noqa: BLE001 - see answer
            self.failures.add(logger, _NO_STORE, "failed", error)
        return await run_in_thread(lambda: self._write(reference, text, around))

    def __deepcopy__(self, memo: dict[int, Any]) -> Recaller:
        """Return the same object: copies share its store."""
        return self

    def _write(self, reference: object, text: str | None, around: object) -> str:
        write = partial(
            answer_recall, as_text(reference), text, as_text(around), max_tokens=self.max_tokens
        )
        try:
            return write(count_tokens=self._count)
        except Exception as error:  # noqa: BLE001 - see answer
            self.failures.add(logger, _NOT_COUNTED, "counter_failed", error)
            return write(count_tokens=_count_bytes)  # an upper bound for any tokenizer

    def _count(self, texts: Sequence[str]) -> list[int]:
        count = self.count_tokens or (self.compressor or shared_compressor()).count_tokens
        return count_each(count, texts)


def _given_by_framework(runtime: object) -> object:
    """Return a runtime; None for plain JSON, which only a model fills in."""
    return None if isinstance(runtime, str | int | float | list | dict) else runtime


def _count_bytes(texts: Sequence[str]) -> list[int]:
    return [len(text.encode()) for text in texts]


def as_text(value: object) -> str:
    """Return what a model filled in as text: it may write numbers, and null for nothing."""
    return "" if value is None else str(value)
