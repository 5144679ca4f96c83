"""A tool with which an agent fetches back what was cut from a text.

Translates between an agent and a store; what is shown of an original is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from langchain_core.tools import ArgsSchema, BaseTool
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
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
from specprefill_integrations.pipeline._token_counting import as_token_counter
from specprefill_integrations.types import METADATA_KEY


def _as_words(value: object) -> str:
    """What a model filled in, as text: it may write numbers as numbers, and null for nothing."""
    return "" if value is None else str(value)


class RecallInput(BaseModel):
    """What a model fills in: two texts, so that no model gets a type wrong."""

    reference: Annotated[str, BeforeValidator(_as_words)] = Field(description=REFERENCE_HELP)
    around: Annotated[str, BeforeValidator(_as_words)] = Field(
        default="",
        description=AROUND_HELP,
    )


class RecallTool(BaseTool):
    """Gives an agent the original of a text that was compressed, or a part of it.

    An original that fits comes whole. Else it is the lines that were asked for and as many of
    those around them as fit; their numbers stand in the first line. Nothing is compressed. Where
    there is nothing to give, the answer says so and what to do instead; no call raises.

    The message's artifact says under "specprefill" which original was recalled, so that whoever
    compresses tool results leaves this one alone, whatever the tool is called.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    name: str = "recall_original"
    description: str = RECALL_HELP
    args_schema: ArgsSchema | None = RecallInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_validation_error: Any = "Give the reference that the shortened text names."

    originals: OriginalStore
    """Where the originals are: the store that the compressing side puts them into."""

    max_tokens: int = Field(default=2000, ge=1)
    """Tokens of an answer."""

    compressor: ContextCompressor | None = None
    """Whose tokens are counted; None is the shared default, loaded at first use."""

    count_tokens: Annotated[Any, AfterValidator(as_token_counter)] = None
    """Counts tokens in place of the compressor: a function from a text to its number of tokens, a
    LangChain model, a tokenizer."""

    def _run(self, reference: str, around: str = "") -> tuple[str, dict[str, Any]]:
        """Fetch an original; the arguments are those of `RecallInput`."""
        found = find_reference(reference)
        text = None if found is None else self.originals.get(found)
        return self._answer(reference, text, around)

    async def _arun(self, reference: str, around: str = "") -> tuple[str, dict[str, Any]]:
        """`_run`, off the event loop."""
        found = find_reference(reference)
        text = None if found is None else await self.originals.aget(found)
        return await asyncio.to_thread(self._answer, reference, text, around)

    def _answer(self, reference: str, text: str | None, around: str) -> tuple[str, dict[str, Any]]:
        answer = answer_recall(
            reference,
            text,
            around,
            max_tokens=self.max_tokens,
            count_tokens=self._count,
        )
        return answer, {METADATA_KEY: {"recalled": find_reference(reference)}}

    def _count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, by whoever was asked to count them."""
        count = self.count_tokens or (self.compressor or shared_compressor()).count_tokens
        return list(count(texts))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the same store and counter: they own locks, files and models."""
        memo = {} if memo is None else memo
        for shared in (self.originals, self.compressor, self.count_tokens):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)
