"""A message that is to be compressed, and what became of it: values for all doors of messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from langchain_core.messages import BaseMessage, ToolMessage

from specprefill_integrations.langchain._query_source import Query, QuerySource
from specprefill_integrations.langchain._text_blocks import Content, open_texts_of, with_texts
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.types import METADATA_KEY, Budget, SkipReason, TextHint

MessageT = TypeVar("MessageT", bound=BaseMessage)

MessageSkipReason = (
    SkipReason
    | Literal[
        "tool_error",
        "return_direct",
        "structured_output",
        "excluded_tool",
        "already_compressed",
        "recalled",
        "no_text",
        "too_small",
        "never_pays",
        "nothing_kept",
        "not_shorter",
        "failed",
    ]
)
"""Why a message was left whole: for a reason of the compressor, or because the tool failed, its
result is the agent's answer, the tool is excluded, it was compressed before or fetched back, there
is no or little text in it that may change, compressing pays at no length, no part of it was needed,
with the marks of what is missing it would be no shorter, or something else went wrong."""

# How `create_agent` answers the call that carries an agent's structured output.
_STRUCTURED_OUTPUT = "Returning structured response:"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTask(Generic[MessageT]):
    """A message that is to be compressed."""

    message: MessageT
    """The message, which is not changed."""

    budget: Budget
    """How much may be kept of all its texts together."""

    min_tokens: int | None
    """With fewer tokens it is left whole; None where compressing pays at no length."""

    query: Callable[[], Query]
    """Finds the question; called only where there is something to compress."""

    hint: TextHint
    """What is known of its texts."""

    originals: OriginalStore | None = None
    """Where the originals go; None where nobody could fetch them back."""

    skip: MessageSkipReason | None = None
    """Why it is to be left whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedMessage(Generic[MessageT]):
    """What became of a message."""

    message: MessageT
    """A copy of it, which says what was done under `response_metadata["specprefill"]`."""

    original_tokens: int | None = None
    """Tokens of its texts; None where they were not counted."""

    kept_tokens: int | None = None
    """Tokens of what is left of them, gap markers included."""

    elapsed_seconds: float = 0.0
    """Wall-clock time of compressing."""

    query_sources: tuple[QuerySource, ...] = ()
    """Where the question comes from."""

    skipped_because: MessageSkipReason | None = None
    """Why the message was left whole; None where it was compressed."""

    def counts(self) -> dict[str, object]:
        """What was done, without any text, as plain values for JSON."""
        return {
            "original_tokens": self.original_tokens,
            "kept_tokens": self.kept_tokens,
            "query_sources": list(self.query_sources),
            "skipped_because": self.skipped_because,
        }

    def stamped(self, content: Content) -> MessageT:
        """The message with another content, and with what was done written on it.

        Nothing in it tells the time: the same call gives the same bytes.
        """
        metadata = {**self.message.response_metadata, METADATA_KEY: self.counts()}
        return self.message.model_copy(update={"content": content, "response_metadata": metadata})

    def onto(self, message: MessageT) -> MessageT:
        """The same done to the same texts once more, whatever else was written beside them since.

        Args:
            message: The message as it is now: with other images, or another mark for a cache.
        """
        content = with_texts(message.content, open_texts_of(self.message.content))
        return replace(self, message=message).stamped(content)


def is_compressed(message: BaseMessage) -> bool:
    """Whether a message says that it was compressed, and not that it was left whole."""
    stamp = message.response_metadata.get(METADATA_KEY)
    return isinstance(stamp, dict) and stamp.get("skipped_because") is None


def is_recalled(message: ToolMessage) -> bool:
    """Whether a message holds an original that was fetched back, by whatever tool."""
    artifact, stamp = message.artifact, message.response_metadata.get(METADATA_KEY)
    if isinstance(artifact, dict) and METADATA_KEY in artifact:
        return True
    # Artifacts are lost where conversations are kept as plain messages.
    return isinstance(stamp, dict) and stamp.get("skipped_because") == "recalled"


def reason_to_skip(message: BaseMessage) -> MessageSkipReason | None:
    """Why a message is to be left whole, as far as it says so itself."""
    if is_compressed(message):
        return "already_compressed"
    if not isinstance(message, ToolMessage):
        return None
    if message.status == "error":
        return "tool_error"
    if is_recalled(message):
        return "recalled"
    if message.text.startswith(_STRUCTURED_OUTPUT):
        return "structured_output"
    return None
