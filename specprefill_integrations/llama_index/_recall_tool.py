"""The recall tool for LlamaIndex agents."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import BaseModel, Field
from llama_index.core.tools import FunctionTool, ToolMetadata

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.originals._recall import AROUND_HELP, RECALL_HELP, REFERENCE_HELP
from specprefill_integrations.originals._store_choice import (
    Originals,
    is_chosen,
)
from specprefill_integrations.pipeline._token_counting import as_token_counter
from specprefill_integrations.tool_results._recaller import Recaller

# Agents pass their context under this name, whatever the model filled in. It is in no schema.
_RUNTIME = "runtime"


class RecallInput(BaseModel):
    """The arguments that a model fills in: two texts, so that no model gets a type wrong."""

    reference: str = Field(description=REFERENCE_HELP)
    around: str = Field(default="", description=AROUND_HELP)


class RecallTool(FunctionTool):
    """A recall tool, as `recall_tool` makes it; `compress_tool` never compresses its results."""

    def __init__(self, recaller: Recaller, metadata: ToolMetadata) -> None:
        """Use `recall_tool` instead."""
        self._recaller = recaller
        # LlamaIndex calls a tool with what the model filled in, whatever the schema says.
        super().__init__(fn=recaller.answer, async_fn=recaller.aanswer, metadata=metadata)
        if is_chosen(recaller.originals):
            self.requires_context = True
            self.ctx_param_name = _RUNTIME
            self.partial_params = {_RUNTIME: None}  # outside of an agent

    @property
    def originals(self) -> Originals:
        """The store, or the function that chooses it."""
        return self._recaller.originals

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies share the store; pickles copy it."""
        return type(self), (self._recaller, self.metadata)


@checked
def recall_tool(
    originals: Originals,
    *,
    max_tokens: PositiveInt = 2000,
    compressor: ContextCompressor | None = None,
    count_tokens: Any = None,  # noqa: ANN401 - see as_token_counter
    name: str = "recall_original",
) -> RecallTool:
    """Make a tool that gives an agent the original of a compressed text.

    An original that fits is returned in full. Otherwise the answer is the lines that were asked for
    and as many lines around them as fit, with their numbers in the first line. Where there is no
    original, the answer says so and what to do instead.

    Args:
        originals: The store that `compress_tool` puts originals into, or the function that
            chooses it.
        max_tokens: Tokens of an answer.
        compressor: The compressor whose counter is used; None is the shared default, loaded at
            first use.
        count_tokens: Counts tokens in place of the compressor: a function from a text to its
            number of tokens, a LlamaIndex model, a tokenizer.
        name: The tool's name.

    Raises:
        TokenCounterError: `count_tokens` cannot count tokens.
        TypeError: Another argument has another type.
        ValueError: `max_tokens` is below 1.
    """
    recaller = Recaller(
        originals=originals,
        max_tokens=max_tokens,
        compressor=compressor,
        count_tokens=None if count_tokens is None else as_token_counter(count_tokens),
    )
    return RecallTool(recaller, ToolMetadata(RECALL_HELP, name=name, fn_schema=RecallInput))
