"""Outputs of tools: their texts, and copies with other texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, TypeGuard

from llama_index.core.base.llms.types import ContentBlock, ImageBlock, TextBlock
from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.tools import ToolOutput

from specprefill_integrations._metadata import own_metadata
from specprefill_integrations.tool_results._result import breaks_in


def opened(output: ToolOutput) -> ToolOutput:
    """Return the output of an MCP tool with the texts and images of its result as blocks.

    LlamaIndex writes such a result as Python does: as one line, all of it twice where the server
    structures it, and images as letters. Other outputs are returned as they are.
    """
    result = output.raw_output
    is_mcp = type(result).__name__ == "CallToolResult" and type(result).__module__.startswith("mcp")
    if not is_mcp or output.content != str(result):
        return output
    blocks = [_as_block(part) for part in result.content]
    is_error = any(getattr(result, name, False) for name in ("is_error", "isError"))
    return output.model_copy(update={"blocks": blocks, "is_error": is_error}) if blocks else output


def texts_of(output: ToolOutput) -> list[str]:
    """Return the texts of an output's text blocks, without blank ones.

    LlamaIndex writes dictionaries and lists as Python does. Here they are JSON, unless that would
    lose information: it can be cut between records and stays valid.
    """
    return [_as_json(block.text, output.raw_output) for block in output.blocks if _is_open(block)]


def breaks_of(output: ToolOutput) -> list[int]:
    """Return the places of the texts that come right after another block, such as an image."""
    shown = [b for b in output.blocks if _is_open(b) or not isinstance(b, TextBlock)]
    return breaks_in([_is_open(block) for block in shown])


def with_texts(output: ToolOutput, texts: Sequence[str | None]) -> ToolOutput:
    """Return a copy of an output with other texts; images, citations and all other blocks stay.

    Args:
        output: The output; the copy shares all but its text blocks.
        texts: One for each of `texts_of(output)`; None for a block that is left out.
    """
    return output.model_copy(update={"blocks": list(_blocks(output, texts))})


def holds_compressed_nodes(output: ToolOutput) -> bool:
    """True if the output is retrieved nodes of which some are compressed already."""
    nodes = output.raw_output if isinstance(output.raw_output, list) else []
    found = [node for node in nodes if isinstance(node, BaseNode | NodeWithScore)]
    return any(own_metadata(node.metadata) is not None for node in found)


def _as_block(part: Any) -> ContentBlock:  # noqa: ANN401 - of any version of `mcp`
    """Return a part of an MCP result as a block."""
    if part.type == "image":
        kind = getattr(part, "mime_type", None) or getattr(part, "mimeType", None)
        return ImageBlock(image=part.data.encode(), image_mimetype=kind)
    text = getattr(getattr(part, "resource", part), "text", None)
    return TextBlock(text=str(part) if text is None else text)


def _blocks(output: ToolOutput, texts: Sequence[str | None]) -> Iterator[ContentBlock]:
    remaining = iter(texts)
    for block in output.blocks:
        if not _is_open(block):
            yield block
        elif (text := next(remaining)) is not None:
            yield block.model_copy(update={"text": text})


def _as_json(text: str, raw_output: object) -> str:
    if not isinstance(raw_output, dict | list | tuple) or text != str(raw_output):
        return text
    try:
        written = json.dumps(raw_output, ensure_ascii=False, allow_nan=False)
        return text if _loses_names_in_json(raw_output) else written
    # JSON cannot express it, or it is nested too deeply.
    except (TypeError, ValueError, RecursionError):
        return text


def _loses_names_in_json(value: object) -> bool:
    """True if JSON would lose names of fields, members or keys without an error."""
    if isinstance(value, dict):
        # 1 and "1" are one key there.
        has_mixed_keys = len({isinstance(key, str) for key in value}) > 1
        return has_mixed_keys or any(map(_loses_names_in_json, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return hasattr(value, "_fields") or any(map(_loses_names_in_json, value))
    return isinstance(value, Enum) and not isinstance(value, str)


def _is_open(block: ContentBlock) -> TypeGuard[TextBlock]:
    return isinstance(block, TextBlock) and bool(block.text.strip())
