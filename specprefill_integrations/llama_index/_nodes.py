"""Nodes of all classes -> their texts, and copies of them with what was kept.

Knows nothing about what is kept or why.
"""

from __future__ import annotations

import json

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node, TextNode

from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.types import METADATA_KEY, Compression, TextHint


def text_of(node: BaseNode) -> str:
    """The text of a node, without its metadata."""
    return node.get_content(metadata_mode=MetadataMode.NONE)


def is_open(node: BaseNode) -> bool:
    """Whether there is text to compress that was not compressed before."""
    return METADATA_KEY not in node.metadata and bool(text_of(node).strip())


def hint_of(node: BaseNode) -> TextHint:
    """What the metadata of a node says of its text."""
    return hint_from_metadata(node.metadata)


def copied(node: BaseNode) -> BaseNode:
    """A copy of a node and of all of it that `write_result` changes."""
    update = {
        "metadata": dict(node.metadata),
        "relationships": dict(node.relationships),
        "excluded_llm_metadata_keys": list(node.excluded_llm_metadata_keys),
        "excluded_embed_metadata_keys": list(node.excluded_embed_metadata_keys),
    }
    return node.model_copy(update=update)


def write_result(result: Compression, node: BaseNode, *, flat: bool = False) -> None:
    """Write a result into a node of our own; where its text changes, what was true of it goes.

    Args:
        result: What became of the node's text.
        node: A node that nobody else holds.
        flat: Whether the metadata says what was done in one JSON text: many vector stores take
            texts and numbers alone.
    """
    stamp = {
        **result.as_metadata(),
        "start_char_idx": node.start_char_idx if isinstance(node, TextNode) else None,
    }
    node.metadata[METADATA_KEY] = json.dumps(stamp) if flat else stamp
    node.excluded_llm_metadata_keys.append(METADATA_KEY)
    node.excluded_embed_metadata_keys.append(METADATA_KEY)
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
    """Whether there is more to a node than its text."""
    return isinstance(node, ImageNode) or (
        isinstance(node, Node)
        and any((node.image_resource, node.audio_resource, node.video_resource))
    )
