"""Answers of the recall tool, for every framework."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.originals._recall import answer_recall, find_reference
from specprefill_integrations.types import CountTokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recaller:
    """Answers an agent that asks for an original."""

    originals: OriginalStore
    """The store."""

    max_tokens: int
    """Tokens of an answer."""

    compressor: ContextCompressor | None = None
    """The compressor whose counter is used; None is the shared default."""

    count_tokens: CountTokens | None = None
    """Counts tokens in place of the compressor."""

    def answer(self, reference: object, around: object = "") -> str:
        """Return the original or a part of it, or the reason why there is none.

        Args:
            reference: The reference, as the model wrote it.
            around: The part, as the model wrote it; blank for the whole.
        """
        found = find_reference(as_text(reference))
        text = None if found is None else self.originals.get(found)
        return self._write(reference, text, around)

    async def aanswer(self, reference: object, around: object = "") -> str:
        """`answer`, off the event loop."""
        found = find_reference(as_text(reference))
        text = None if found is None else await self.originals.aget(found)
        return await asyncio.to_thread(self._write, reference, text, around)

    def __deepcopy__(self, memo: dict[int, Any]) -> Recaller:
        """Return the same object: copies share its store."""
        return self

    def _write(self, reference: object, text: str | None, around: object) -> str:
        return answer_recall(
            as_text(reference),
            text,
            as_text(around),
            max_tokens=self.max_tokens,
            count_tokens=self._count,
        )

    def _count(self, texts: Sequence[str]) -> list[int]:
        count = self.count_tokens or (self.compressor or shared_compressor()).count_tokens
        return list(count(texts))


def as_text(value: object) -> str:
    """Return what a model filled in as text: it may write numbers, and null for nothing."""
    return "" if value is None else str(value)
