"""Messages: copies of them with compressed texts, and the metadata on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from langchain_core.messages import BaseMessage, ToolMessage

from specprefill_integrations._metadata import key_in, own_metadata
from specprefill_integrations.tool_results import CompressedResult
from specprefill_integrations.tool_results._content import with_texts
from specprefill_integrations.types import SkipReason

MessageT = TypeVar("MessageT", bound=BaseMessage)

# `create_agent` answers the tool call of an agent's structured output with this.
_STRUCTURED_OUTPUT = "Returning structured response:"

# Deep agents put a result that is too large into a file, and this in its place, with the path.
_OFFLOADED = "Tool result too large, the result of this tool call "


def with_result(message: MessageT, done: CompressedResult) -> MessageT:
    """Return a copy of a message with the texts of a result and the counts in its metadata.

    A message that was only measured comes back as it is.

    Args:
        message: The message, which is not changed.
        done: The result of compressing its texts.
    """
    if done.outcome.skipped_because == "shadow":
        return message
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
    if message.text.startswith(_OFFLOADED):
        return "offloaded"
    return "structured_output" if message.text.startswith(_STRUCTURED_OUTPUT) else None
