"""Nodes of all classes: their texts, and copies with results."""

from __future__ import annotations

import json
from collections.abc import Sequence

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node, TextNode

from specprefill_integrations._metadata import key_in
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.tool_results import QuerySource, is_compressible
from specprefill_integrations.types import Compression, TextHint


def text_of(node: BaseNode) -> str:
    """Return the text of a node, without its metadata."""
    return node.get_content(metadata_mode=MetadataMode.NONE)


def is_open(node: BaseNode) -> bool:
    """True if there is text that was not compressed before."""
    return is_compressible(text_of(node), node.metadata)


def hint_of(node: BaseNode) -> TextHint:
    """Return what a node's metadata says of its text."""
    return hint_from_metadata(node.metadata)


def copied(node: BaseNode) -> BaseNode:
    """Return a copy of a node and of all parts that `write_result` changes."""
    update = {
        "metadata": dict(node.metadata),
        "relationships": dict(node.relationships),
        "excluded_llm_metadata_keys": list(node.excluded_llm_metadata_keys),
        "excluded_embed_metadata_keys": list(node.excluded_embed_metadata_keys),
    }
    return node.model_copy(update=update)


def write_result(
    result: Compression,
    node: BaseNode,
    query_sources: Sequence[QuerySource],
    *,
    flat: bool = False,
) -> None:
    """Write a result into a node. If its text changes, its embedding and offsets go.

    Args:
        result: The result for the node's text.
        node: A copy, which is changed.
        query_sources: Sources of the question.
        flat: Write the metadata as one JSON text: many vector stores take texts and numbers only.
    """
    start = node.start_char_idx if isinstance(node, TextNode) else None
    metadata = result.as_metadata(query_sources=query_sources, start_char_idx=start)
    key = key_in(node.metadata)
    node.metadata[key] = json.dumps(metadata) if flat else metadata
    node.excluded_llm_metadata_keys.append(key)
    node.excluded_embed_metadata_keys.append(key)
    if result.text == text_of(node):
        return
    node.set_content(result.text)
    node.embedding = None
    if isinstance(node, TextNode):
        node.start_char_idx = node.end_char_idx = None
    if isinstance(node, ImageNode):
        node.text_embedding = None
    if isinstance(node, Node) and not result.text:
        node.text_resource = None  # model providers refuse empty text blocks


def holds_media(node: BaseNode) -> bool:
    """True if a node holds an image, audio or video."""
    return isinstance(node, ImageNode) or (
        isinstance(node, Node)
        and any((node.image_resource, node.audio_resource, node.video_resource))
    )
