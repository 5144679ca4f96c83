"""Compression of LlamaIndex nodes before they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from llama_index.core.bridge.pydantic import Field, model_validator
from llama_index.core.schema import BaseNode, TransformComponent
from typing_extensions import Self

from specprefill_integrations._arguments import check
from specprefill_integrations.llama_index._events import CallEvents
from specprefill_integrations.llama_index._nodes import (
    copied,
    hint_of,
    is_open,
    text_of,
    write_result,
)
from specprefill_integrations.llama_index._with_compressor import ComponentWithCompressor
from specprefill_integrations.tool_results import QuerySource, outcome_of, outcome_of_skipped
from specprefill_integrations.types import Budget, Compression

SHARED_COMPRESSOR_NAME = f"shared, specprefill-integrations {version('specprefill-integrations')}"
"""Name of the shared compressor in caches: another release may keep something else."""


class SpecPrefillTransform(ComponentWithCompressor, TransformComponent):
    """Keeps what matters of nodes before they are stored, each under its own budget.

    A node's result depends only on the node and the fields below: it can be cached, and is the same
    in any batch. Ids, order, metadata and relationships stay. A node whose text changed loses its
    embedding and its offsets, so embed later. The kept spans and token counts are in
    `metadata["specprefill"]`, which no prompt and no embedding shows, as JSON text: many vector
    stores take flat metadata only. The caller's nodes are never changed.

    Nodes without text, nodes that were compressed before, nodes of which nothing would be kept and
    nodes that `ContextCompressor` passes through come back unchanged. Compressed nodes are not
    compressed again when they are retrieved.

    A cache also keeps nodes that passed through because of a failure: if nodes are cached, use a
    compressor with `on_error="raise"`.

    Pickling includes the compressor. A dictionary cannot hold it: restoring needs `compressor=`.

    Raises:
        ValidationError: A compressor is given without a name.
    """

    budget: Budget = Field(description="How much may be kept of the text of each node.")
    query: str | None = Field(
        default=None,
        description="The question; None keeps what matters for each node as a whole.",
    )
    compressor_name: str = Field(
        default="",
        description="The compressor's name in a pipeline's cache, which cannot see its settings: "
        "change it whenever the draft or another part of the compressor changes. Without a "
        "compressor it is set to the name of the shared one.",
    )

    @model_validator(mode="after")
    def _name_compressor(self) -> Self:
        """Make sure that no cache confuses the results of two compressors."""
        if self.compressor is None:
            self.compressor_name = SHARED_COMPRESSOR_NAME
        elif not self.compressor_name or self.compressor_name == SHARED_COMPRESSOR_NAME:
            msg = (
                "compressor= needs compressor_name=: caches tell compressors apart by their names."
            )
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
            kwargs: Ignored; LlamaIndex passes some.

        Returns:
            As many nodes, in the same order.
        """
        check("nodes", nodes, Sequence[BaseNode])
        return [self._compressed(node) if is_open(node) else self._skipped(node) for node in nodes]

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:  # noqa: ANN401, ARG002
        """`__call__`, off the event loop."""
        check("nodes", nodes, Sequence[BaseNode])
        return [
            await self._acompressed(node) if is_open(node) else self._skipped(node)
            for node in nodes
        ]

    def _compressed(self, node: BaseNode) -> BaseNode:
        compressor = self._ready_compressor()
        events = self._start()
        result = compressor.compress(
            text_of(node), self.query, budget=self.budget, hint=hint_of(node)
        )
        return self._finish(node, result, events)

    async def _acompressed(self, node: BaseNode) -> BaseNode:
        compressor = await self._aready_compressor()
        events = self._start()
        result = await compressor.acompress(
            text_of(node), self.query, budget=self.budget, hint=hint_of(node)
        )
        return self._finish(node, result, events)

    @property
    def _query_sources(self) -> tuple[QuerySource, ...]:
        return ("setting",) if (self.query or "").strip() else ()

    def _start(self) -> CallEvents:
        events = CallEvents(integration="ingestion", text_count=1)
        events.start(self._query_sources)
        return events

    def _finish(self, node: BaseNode, result: Compression, events: CallEvents) -> BaseNode:
        """Return a copy of a node with its result, unless nothing would be kept."""
        copy = copied(node)
        outcome = outcome_of([result], query_sources=self._query_sources)
        if outcome.skipped_because:
            outcome = replace(outcome, kept_tokens=outcome.original_tokens)
        self._report(events, outcome)
        if outcome.skipped_because is None:
            write_result(result, copy, self._query_sources, flat=True)
        return copy

    def _skipped(self, node: BaseNode) -> BaseNode:
        """Return a copy of a node that is not to be compressed."""
        outcome = outcome_of_skipped([node.metadata])
        self._report(CallEvents(integration="ingestion"), outcome)
        return copied(node)
