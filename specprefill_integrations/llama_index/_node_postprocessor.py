"""Compression of retrieved LlamaIndex nodes for a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle

from specprefill_integrations._arguments import check
from specprefill_integrations.llama_index._events import CallEvents
from specprefill_integrations.llama_index._nodes import (
    copied,
    hint_of,
    holds_media,
    is_open,
    text_of,
    write_result,
)
from specprefill_integrations.llama_index._with_compressor import ComponentWithCompressor
from specprefill_integrations.tool_results import QuerySource, outcome_of, outcome_of_skipped
from specprefill_integrations.types import Budget, Compression


class SpecPrefillNodePostprocessor(ComponentWithCompressor, BaseNodePostprocessor):
    """Keeps what a question needs of retrieved nodes, under one budget for all of them.

    Order, ids, scores, metadata and relationships stay. A node of which nothing is kept is left
    out, unless it holds an image, audio or video, so the result may be empty. A node whose text
    changed loses its embedding and its offsets. A compressed node has the kept spans of its text,
    the token counts and its old `start_char_idx` under `metadata["specprefill"]`, which no prompt
    shows.

    Nodes without text, nodes that were compressed before and nodes that `ContextCompressor` passes
    through come back unchanged; the first two do not count against the budget. The caller's nodes
    are never changed. Node ids do not change, so writing the results back into the same store would
    overwrite the originals.

    Pickling includes the compressor. A dictionary cannot hold it: restoring needs `compressor=`.
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
        _check(nodes, query_bundle)
        opened = [found.node for found in nodes if is_open(found.node)]
        if not opened:
            return self._skipped(nodes)
        compressor = self._ready_compressor()
        query = query_bundle.query_str if query_bundle else None
        events = _start(opened, query)
        results = compressor.compress_documents(
            [text_of(node) for node in opened],
            query,
            budget=self.budget,
            hints=[hint_of(node) for node in opened],
        )
        self._report(events, outcome_of(results, query_sources=_sources(query)))
        return list(_rewritten(nodes, query, results))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        _check(nodes, query_bundle)
        opened = [found.node for found in nodes if is_open(found.node)]
        if not opened:
            return self._skipped(nodes)
        compressor = await self._aready_compressor()
        query = query_bundle.query_str if query_bundle else None
        events = _start(opened, query)
        results = await compressor.acompress_documents(
            [text_of(node) for node in opened],
            query,
            budget=self.budget,
            hints=[hint_of(node) for node in opened],
        )
        self._report(events, outcome_of(results, query_sources=_sources(query)))
        return list(_rewritten(nodes, query, results))

    def _skipped(self, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """Return copies of nodes of which none is to be compressed."""
        if nodes:
            outcome = outcome_of_skipped(found.node.metadata for found in nodes)
            self._report(CallEvents(integration="node_postprocessor"), outcome)
        return list(_rewritten(nodes, None, []))


def _rewritten(
    nodes: Sequence[NodeWithScore], query: str | None, results: Sequence[Compression]
) -> Iterator[NodeWithScore]:
    """Copies of the nodes with their results; there is one for each open node."""
    remaining = iter(results)
    for found in nodes:
        result = next(remaining) if is_open(found.node) else None
        copy = found.model_copy(update={"node": copied(found.node)})
        if result is None or result.skipped_because:
            yield copy
        elif not result.is_left_out or holds_media(found.node):
            write_result(result, copy.node, _sources(query))
            yield copy


def _check(nodes: Sequence[NodeWithScore], query_bundle: QueryBundle | None) -> None:
    check("nodes", nodes, Sequence[NodeWithScore])
    check("query_bundle", query_bundle, QueryBundle | None)
    if query_bundle is not None:
        check("query_str", query_bundle.query_str, str)


def _start(opened: Sequence[BaseNode], query: str | None) -> CallEvents:
    events = CallEvents(integration="node_postprocessor", text_count=len(opened))
    events.start(_sources(query))
    return events


def _sources(query: str | None) -> tuple[QuerySource, ...]:
    return ("caller",) if (query or "").strip() else ()
