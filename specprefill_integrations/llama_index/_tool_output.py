"""A tool's output -> its texts, and the same output with other texts. Changes nothing given to it.

Knows nothing about what is kept or why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TypeGuard

from llama_index.core.base.llms.types import ContentBlock, TextBlock
from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.tools import ToolOutput

from specprefill_integrations.types import METADATA_KEY


def open_blocks(output: ToolOutput) -> list[TextBlock]:
    """The text blocks of an output, blank ones left out, in their order."""
    return [block for block in output.blocks if _is_open(block)]


def texts_of(output: ToolOutput) -> list[str]:
    """The texts of an output's open blocks.

    What a function gave as a dictionary or a list LlamaIndex writes as Python does; here it is
    JSON, which can be cut between records and stays valid, where that says all that Python does.
    """
    return [_as_json(block.text, output.raw_output) for block in open_blocks(output)]


def with_texts(output: ToolOutput, texts: Sequence[str]) -> ToolOutput:
    """A copy of an output with other texts; images, citations and all other blocks stay put.

    Args:
        output: The output; what it holds besides blocks is shared.
        texts: One for each of `texts_of(output)`.
    """
    return output.model_copy(update={"blocks": list(_blocks(output, texts))})


def holds_compressed_nodes(output: ToolOutput) -> bool:
    """Whether these are retrieved nodes of which some were compressed by their retriever."""
    nodes = output.raw_output if isinstance(output.raw_output, list) else []
    found = [node for node in nodes if isinstance(node, BaseNode | NodeWithScore)]
    return any(METADATA_KEY in node.metadata for node in found)


def _blocks(output: ToolOutput, texts: Sequence[str]) -> Iterator[ContentBlock]:
    remaining = iter(texts)
    for block in output.blocks:
        yield block.model_copy(update={"text": next(remaining)}) if _is_open(block) else block


def _as_json(text: str, raw_output: object) -> str:
    if not isinstance(raw_output, dict | list | tuple) or text != str(raw_output):
        return text
    try:
        written = json.dumps(raw_output, ensure_ascii=False, allow_nan=False)
        return text if _says_less_in_json(raw_output) else written
    # There is something in it that JSON has no words for, or it lies too deep.
    except (TypeError, ValueError, RecursionError):
        return text


def _says_less_in_json(value: object) -> bool:
    """Whether JSON would lose names, where it does not refuse: of fields, members or keys."""
    if isinstance(value, dict):
        # 1 and "1" are one key there.
        has_mixed_keys = len({isinstance(key, str) for key in value}) > 1
        return has_mixed_keys or any(map(_says_less_in_json, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return hasattr(value, "_fields") or any(map(_says_less_in_json, value))
    return isinstance(value, Enum) and not isinstance(value, str)


def _is_open(block: ContentBlock) -> TypeGuard[TextBlock]:
    return isinstance(block, TextBlock) and bool(block.text.strip())
