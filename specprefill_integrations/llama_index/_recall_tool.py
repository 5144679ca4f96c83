"""A tool with which an agent fetches back what was cut from a text.

Translates between an agent and a store; what is shown of an original is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import BaseModel, Field
from llama_index.core.tools import FunctionTool, ToolMetadata
from typing_extensions import Self

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.originals._recall import (
    AROUND_HELP,
    RECALL_HELP,
    REFERENCE_HELP,
    answer_recall,
    find_reference,
)
from specprefill_integrations.pipeline._token_counting import CountTokens, as_token_counter


class RecallInput(BaseModel):
    """What a model fills in: two texts, so that no model gets a type wrong."""

    reference: str = Field(description=REFERENCE_HELP)
    around: str = Field(
        default="",
        description=AROUND_HELP,
    )


class RecallTool(FunctionTool):
    """What `recall_tool` makes: `compress_tool` knows it by its class and leaves it alone."""

    def __init__(
        self,
        originals: OriginalStore,
        *,
        metadata: ToolMetadata,
        max_tokens: int,
        count_tokens: CountTokens,
    ) -> None:
        """Use `recall_tool` instead."""
        self._originals = originals
        self._max_tokens = max_tokens
        self._count_tokens = count_tokens
        super().__init__(fn=self._recall, async_fn=self._arecall, metadata=metadata)

    # LlamaIndex calls a tool with what the model filled in, whatever the schema says.
    def _recall(self, reference: object, around: object = "") -> str:
        words = _as_words(reference)
        found = find_reference(words)
        text = None if found is None else self._originals.get(found)
        return self._answer(words, text, _as_words(around))

    async def _arecall(self, reference: object, around: object = "") -> str:
        words = _as_words(reference)
        found = find_reference(words)
        text = None if found is None else await self._originals.aget(found)
        return await asyncio.to_thread(self._answer, words, text, _as_words(around))

    def _answer(self, words: str, text: str | None, around: str) -> str:
        return answer_recall(
            words, text, around, max_tokens=self._max_tokens, count_tokens=self._count_tokens
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with the same store and counter: they own locks, files and models."""
        return type(self)(
            self._originals,
            metadata=copy.deepcopy(self.metadata, memo),
            max_tokens=self._max_tokens,
            count_tokens=self._count_tokens,
        )


def recall_tool(
    originals: OriginalStore,
    *,
    max_tokens: int = 2000,
    compressor: ContextCompressor | None = None,
    count_tokens: Any = None,  # noqa: ANN401 - see as_token_counter
    name: str = "recall_original",
) -> RecallTool:
    """Make a tool that gives an agent the original of a text that was compressed.

    An original that fits comes whole. Else it is the lines that were asked for and as many of
    those around them as fit; their numbers stand in the first line. Where there is nothing to
    give, the answer says so and what to do instead.

    Args:
        originals: Where the originals are: the store that `compress_tool` puts them into.
        max_tokens: Tokens of an answer.
        compressor: Whose tokens are counted; None is the shared default, loaded at first use.
        count_tokens: Counts tokens in place of the compressor: a function from a text to its
            number of tokens, a LlamaIndex model, a tokenizer.
        name: The tool's name.

    Raises:
        TokenCounterError: `count_tokens` cannot count tokens.
    """

    def count_by_compressor(texts: Sequence[str]) -> list[int]:
        return list((compressor or shared_compressor()).count_tokens(texts))

    return RecallTool(
        originals,
        metadata=ToolMetadata(RECALL_HELP, name=name, fn_schema=RecallInput),
        max_tokens=max_tokens,
        count_tokens=(
            count_by_compressor if count_tokens is None else as_token_counter(count_tokens)
        ),
    )


def _as_words(value: object) -> str:
    """What a model filled in, as text: it may write numbers as numbers, and null for nothing."""
    return "" if value is None else str(value)
