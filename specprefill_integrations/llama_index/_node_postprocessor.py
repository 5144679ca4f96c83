"""LlamaIndex nodes and a question -> the same nodes with less text in them.

Translates and stamps; knows nothing about what is kept or why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle

from specprefill_integrations.compressor import shared_compressor
from specprefill_integrations.llama_index._events import CallEvents, DoorSkipReason
from specprefill_integrations.llama_index._nodes import (
    copied,
    hint_of,
    holds_media,
    is_open,
    text_of,
    write_result,
)
from specprefill_integrations.llama_index._with_compressor import WithCompressor
from specprefill_integrations.types import METADATA_KEY, Budget, Compression


class SpecPrefillNodePostprocessor(WithCompressor, BaseNodePostprocessor):
    """Keeps what a question needs of retrieved nodes, under one budget for all of them.

    Order, ids, scores, metadata and relationships stay; a node of which nothing is kept is
    dropped, unless it holds an image, a sound or a film, so the result may be empty. A node whose
    text changed loses its embedding and its offsets. Where the draft was asked to choose, every
    node says under `metadata["specprefill"]`, which no prompt shows, which spans of its text were
    kept, how many tokens there were and are, and where the text started in its source: what stood
    at `kept` stands at `start_char_idx + kept` there.

    Passed through as they are, and not counted in the budget: nodes without text, and those that
    say they were compressed before. What `ContextCompressor` passes through whole comes back
    equal to the input. The caller's nodes are never changed. Ids still name the originals: do not
    write the results to the store that they came from.

    `to_dict` and pickling leave the compressor out; what they restore uses the shared default.
    """

    budget: Budget = Field(
        description="How much may be kept of the text of all nodes of a call together; "
        "their metadata is not counted."
    )

    @classmethod
    def class_name(cls) -> str:
        """The name that `to_dict` stores; it never changes."""
        return "SpecPrefillNodePostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        opened = [found.node for found in nodes if is_open(found.node)]
        if not opened:
            return _left_alone(nodes)
        compressor = self.compressor or shared_compressor()
        query = query_bundle.query_str if query_bundle else None
        events = _start(opened, query)
        results = compressor.compress_documents(
            [text_of(node) for node in opened],
            query,
            budget=self.budget,
            hints=[hint_of(node) for node in opened],
        )
        events.end(results)
        return list(_rewritten(nodes, results))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        opened = [found.node for found in nodes if is_open(found.node)]
        if not opened:
            return _left_alone(nodes)
        compressor = self.compressor
        if compressor is None:  # building it imports torch, which would hold up the event loop
            compressor = await asyncio.to_thread(shared_compressor)
        query = query_bundle.query_str if query_bundle else None
        events = _start(opened, query)
        results = await compressor.acompress_documents(
            [text_of(node) for node in opened],
            query,
            budget=self.budget,
            hints=[hint_of(node) for node in opened],
        )
        events.end(results)
        return list(_rewritten(nodes, results))


def _rewritten(
    nodes: Sequence[NodeWithScore], results: Sequence[Compression]
) -> Iterator[NodeWithScore]:
    """`nodes` with one result for each of the open ones."""
    remaining = iter(results)
    for found in nodes:
        result = next(remaining) if is_open(found.node) else None
        copy = found.model_copy(update={"node": copied(found.node)})
        if result is None or result.skipped_because:
            yield copy
        elif result.kept or holds_media(found.node):
            write_result(result, copy.node)
            yield copy


def _start(opened: Sequence[BaseNode], query: str | None) -> CallEvents:
    """The events of a call, the first one sent."""
    events = CallEvents(
        door="node_postprocessor",
        query_sources=("caller",) if query else (),
        text_count=len(opened),
    )
    events.start()
    return events


def _left_alone(nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """Copies of nodes of which none is open, and an event that says why."""
    if nodes:
        was_compressed = any(METADATA_KEY in found.node.metadata for found in nodes)
        reason: DoorSkipReason = "already_compressed" if was_compressed else "no_text"
        CallEvents(door="node_postprocessor").skip(reason)
    return list(_rewritten(nodes, []))
