"""Messages: their texts, copies of them with compressed texts, and the metadata on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage, ToolMessage

from specprefill_integrations._metadata import key_in, own_metadata
from specprefill_integrations.tool_results import CompressedResult
from specprefill_integrations.tool_results._result import breaks_in
from specprefill_integrations.types import SkipReason

MessageT = TypeVar("MessageT", bound=BaseMessage)

Content = str | list[str | dict[str, Any]]
"""A message's content: a text, or a list of texts and blocks."""

# Under these keys a text block holds citations, by position in its text or by quotation.
_CITATIONS = ("annotations", "citations")

# `create_agent` answers the tool call of an agent's structured output with this.
_STRUCTURED_OUTPUT = "Returning structured response:"


def texts_of(content: Content) -> list[str]:
    """Return the texts of a content: the text itself, or those of its text blocks."""
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _text_of(block)) is not None]


def open_texts_of(content: Content) -> list[str]:
    """Return the texts that may change: those of blocks with citations would make them false."""
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _open_text_of(block)) is not None]


def breaks_of(content: Content) -> list[int]:
    """Return the places of the open texts that come right after a block that stays."""
    blocks = [content] if isinstance(content, str) else content
    return breaks_in([_open_text_of(block) is not None for block in blocks])


def with_texts(content: Content, texts: Sequence[str | None]) -> Content:
    """Return a content with other texts; images, files and all other blocks stay.

    Args:
        content: The content, which is not changed.
        texts: One for each of `open_texts_of(content)`; None for a block that is left out.
    """
    if isinstance(content, str):
        [text] = texts
        return content if text is None else text
    remaining = iter(texts)
    blocks: list[str | dict[str, Any]] = []
    for block in content:
        if _open_text_of(block) is None:
            blocks.append(block)
        elif (text := next(remaining)) is not None:
            blocks.append(_with_text(block, text))
    return blocks


def with_result(message: MessageT, done: CompressedResult) -> MessageT:
    """Return a copy of a message with the texts of a result and the counts in its metadata.

    Args:
        message: The message, which is not changed.
        done: The result of compressing its texts.
    """
    key = key_in(message.response_metadata)
    metadata = {**message.response_metadata, key: done.outcome.as_metadata()}
    content = with_texts(message.content, done.texts)
    return message.model_copy(update={"content": content, "response_metadata": metadata})


def reason_to_skip(message: BaseMessage) -> SkipReason | None:
    """Return the reason to pass a message through that can be read from the message itself."""
    earlier = own_metadata(message.response_metadata)
    if earlier is not None and earlier["skipped_because"] is None:
        return "already_compressed"
    if not isinstance(message, ToolMessage):
        return None
    # Artifacts are lost where conversations are kept as plain messages; metadata is not.
    fetched = own_metadata(message.artifact) if isinstance(message.artifact, Mapping) else None
    if any(one["skipped_because"] == "recalled" for one in (earlier, fetched) if one is not None):
        return "recalled"
    return "structured_output" if message.text.startswith(_STRUCTURED_OUTPUT) else None


def _text_of(block: str | dict[str, Any]) -> str | None:
    """Return the text of a block; None for a block of another type."""
    if isinstance(block, str):
        return block
    text = block.get("text")
    return text if block.get("type") == "text" and isinstance(text, str) else None


def _open_text_of(block: str | dict[str, Any]) -> str | None:
    """Return the text of a block; None for a block of another type or with citations."""
    is_cited = isinstance(block, dict) and any(map(block.get, _CITATIONS))
    return None if is_cited else _text_of(block)


def _with_text(block: str | dict[str, Any], text: str) -> str | dict[str, Any]:
    return text if isinstance(block, str) else {**block, "text": text}
