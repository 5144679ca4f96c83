"""LlamaIndex nodes on their way into a store -> the same nodes with less text in them.

Translates and stamps; knows nothing about what is kept or why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from llama_index.core.bridge.pydantic import Field, model_validator
from llama_index.core.schema import BaseNode, TransformComponent
from typing_extensions import Self

from specprefill_integrations.compressor import shared_compressor
from specprefill_integrations.llama_index._events import CallEvents, QuerySource
from specprefill_integrations.llama_index._nodes import (
    copied,
    hint_of,
    is_open,
    text_of,
    write_result,
)
from specprefill_integrations.llama_index._with_compressor import WithCompressor
from specprefill_integrations.types import METADATA_KEY, Budget, Compression

SHARED_COMPRESSOR_NAME = f"shared, specprefill-integrations {version('specprefill-integrations')}"
"""What caches know the shared compressor by: another release may keep something else."""


class SpecPrefillTransform(WithCompressor, TransformComponent):
    """Keeps what matters of nodes before they are stored, each under a budget of its own.

    A node's result depends on nothing but the node and the fields below, so that it may be cached
    and comes out the same in any batch. Ids, order, metadata and relationships stay; a node whose
    text changed loses its embedding and its offsets, so embed later. What was done stands as JSON
    in `metadata["specprefill"]`, which no prompt and no embedding shows; flat, as many vector
    stores ask for it. The caller's nodes are never changed.

    Passed through as they are: nodes without text, those that were compressed before, those of
    which nothing would be kept, and what `ContextCompressor` passes through whole. Nodes that were
    compressed here are not compressed again when they are retrieved.

    A cache keeps what a pass that failed left whole: where nodes are cached, a compressor with
    `on_error="raise"` is better.

    `to_dict` and pickling leave the compressor out; what they restore uses the shared default.

    Raises:
        ValidationError: There is a compressor without a name.
    """

    budget: Budget = Field(description="How much may be kept of the text of each node.")
    query: str | None = Field(
        default=None,
        description="What the nodes will be asked; None keeps what matters for each as a whole.",
    )
    compressor_name: str = Field(
        default="",
        description="What a pipeline's cache knows the compressor by, since it cannot look into "
        "it: give another name whenever the draft or another part of the compressor changes. "
        "Without a compressor it is set to that of the shared one.",
    )

    @model_validator(mode="after")
    def _name_compressor(self) -> Self:
        """See that no cache takes one compressor's results for another's."""
        if self.compressor is None:
            self.compressor_name = SHARED_COMPRESSOR_NAME
        elif not self.compressor_name or self.compressor_name == SHARED_COMPRESSOR_NAME:
            msg = "No cache can look into a compressor: give it a compressor_name= of its own."
            raise ValueError(msg)
        return self

    @classmethod
    def class_name(cls) -> str:
        """The name that `to_dict` stores; it never changes."""
        return "SpecPrefillTransform"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:  # noqa: ANN401, ARG002
        """Compress nodes, one after the other.

        Args:
            nodes: The nodes.
            kwargs: Accepted for LlamaIndex's sake.

        Returns:
            As many nodes, in the same order.
        """
        return [self._compressed(node) if is_open(node) else _left_alone(node) for node in nodes]

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:  # noqa: ANN401, ARG002
        """`__call__`, off the event loop."""
        return [
            await self._acompressed(node) if is_open(node) else _left_alone(node) for node in nodes
        ]

    def _compressed(self, node: BaseNode) -> BaseNode:
        compressor = self.compressor or shared_compressor()
        events = self._start()
        result = compressor.compress(
            text_of(node), self.query, budget=self.budget, hint=hint_of(node)
        )
        return _rewritten(node, result, events)

    async def _acompressed(self, node: BaseNode) -> BaseNode:
        compressor = self.compressor
        if compressor is None:  # building it imports torch, which would hold up the event loop
            compressor = await asyncio.to_thread(shared_compressor)
        events = self._start()
        result = await compressor.acompress(
            text_of(node), self.query, budget=self.budget, hint=hint_of(node)
        )
        return _rewritten(node, result, events)

    def _start(self) -> CallEvents:
        """The events of one node, the first one sent."""
        sources: tuple[QuerySource, ...] = ("setting",) if self.query else ()
        events = CallEvents(door="ingestion", query_sources=sources, text_count=1)
        events.start()
        return events


def _left_alone(node: BaseNode) -> BaseNode:
    """A copy of a node that is not open, and an event that says why."""
    was_compressed = METADATA_KEY in node.metadata
    CallEvents(door="ingestion").skip("already_compressed" if was_compressed else "no_text")
    return copied(node)


def _rewritten(node: BaseNode, result: Compression, events: CallEvents) -> BaseNode:
    """A copy of a node with its result, unless there is a reason to leave it whole."""
    copy = copied(node)
    if not result.kept:
        events.skip("nothing_kept", result.original_tokens, result.elapsed_seconds)
        return copy
    events.end([result])
    if not result.skipped_because:
        write_result(result, copy, flat=True)
    return copy
