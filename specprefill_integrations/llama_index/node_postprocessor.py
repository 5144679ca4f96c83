"""LlamaIndex nodes and a question -> the same nodes with less text in them.

Translates and stamps; knows nothing about what is kept or why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    MetadataMode,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from typing_extensions import Self

from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.splitting.hints import hint_from_metadata
from specprefill_integrations.types import METADATA_KEY, Budget, Compression, TextHint

logger = logging.getLogger(__name__)


class SpecPrefillNodePostprocessor(BaseNodePostprocessor):
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

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    compressor: ContextCompressor | None = Field(
        default=None,
        exclude=True,
        description="What compresses; None is the shared default, loaded at first use.",
    )
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
        texts = [_text(found.node) for found in nodes if _is_open(found.node)]
        if not texts:
            return list(_rewritten(nodes, []))
        compressor = self.compressor or shared_compressor()
        query = query_bundle.query_str if query_bundle else None
        results = compressor.compress_documents(
            texts, query, budget=self.budget, hints=_hints(nodes)
        )
        return list(_rewritten(nodes, results))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        texts = [_text(found.node) for found in nodes if _is_open(found.node)]
        if not texts:
            return list(_rewritten(nodes, []))
        compressor = self.compressor
        if compressor is None:  # building it imports torch, which would hold up the event loop
            compressor = await asyncio.to_thread(shared_compressor)
        query = query_bundle.query_str if query_bundle else None
        results = await compressor.acompress_documents(
            texts, query, budget=self.budget, hints=_hints(nodes)
        )
        return list(_rewritten(nodes, results))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the same compressor: it owns a lock and a model."""
        memo = {} if memo is None else memo
        memo[id(self.compressor)] = self.compressor
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: LlamaIndex deletes what cannot be pickled from the living object."""
        if self.compressor:
            logger.warning("Pickled without the compressor; the copy uses the shared default.")
        weightless = self.model_copy(update={"compressor": None})
        return super(SpecPrefillNodePostprocessor, weightless).__getstate__()


def _text(node: BaseNode) -> str:
    return node.get_content(metadata_mode=MetadataMode.NONE)


def _hints(nodes: Sequence[NodeWithScore]) -> list[TextHint]:
    return [hint_from_metadata(found.node.metadata) for found in nodes if _is_open(found.node)]


def _is_open(node: BaseNode) -> bool:
    """Whether there is text to compress that was not compressed before."""
    return METADATA_KEY not in node.metadata and bool(_text(node).strip())


def _rewritten(
    nodes: Sequence[NodeWithScore], results: Sequence[Compression]
) -> Iterator[NodeWithScore]:
    """`nodes` with one result for each of the open ones."""
    remaining = iter(results)
    for found in nodes:
        result = next(remaining) if _is_open(found.node) else None
        copied = _copied(found)
        if result is None or result.skipped_because:
            yield copied
        elif result.kept or _holds_media(found.node):
            _apply(result, copied.node)
            yield copied


def _copied(found: NodeWithScore) -> NodeWithScore:
    """A copy of the node and of all that is changed in it later on."""
    node = found.node
    update = {
        "metadata": dict(node.metadata),
        "relationships": dict(node.relationships),
        "excluded_llm_metadata_keys": list(node.excluded_llm_metadata_keys),
        "excluded_embed_metadata_keys": list(node.excluded_embed_metadata_keys),
    }
    return found.model_copy(update={"node": node.model_copy(update=update)})


def _apply(result: Compression, node: BaseNode) -> None:
    """Write a result into a node of our own."""
    node.metadata[METADATA_KEY] = {
        **result.as_metadata(),
        "start_char_idx": node.start_char_idx if isinstance(node, TextNode) else None,
    }
    node.excluded_llm_metadata_keys.append(METADATA_KEY)
    node.excluded_embed_metadata_keys.append(METADATA_KEY)
    if result.text == _text(node):
        return
    node.set_content(result.text)
    node.embedding = None
    if isinstance(node, TextNode):
        node.start_char_idx = node.end_char_idx = None
    if isinstance(node, ImageNode):
        node.text_embedding = None
    if isinstance(node, Node) and not result.text:
        node.text_resource = None  # model providers refuse empty text blocks


def _holds_media(node: BaseNode) -> bool:
    """Whether there is more to a node than its text."""
    return isinstance(node, ImageNode) or (
        isinstance(node, Node)
        and any((node.image_resource, node.audio_resource, node.video_resource))
    )
