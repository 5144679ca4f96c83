"""Says what was done to whoever listens in this process: counts, never a text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig

from specprefill_integrations.langchain._message_task import CompressedMessage, MessageT

logger = logging.getLogger(__name__)

EVENT_NAME = "specprefill_compression"
"""The name of the custom event, and the key of what the stream writer writes."""

EventData = dict[str, object]
"""What an event tells: of a message `tool`, `tool_call_id` and `query_sources`, of a call with
documents how many `documents`; of both `original_tokens`, `kept_tokens`, `skipped_because` and
`elapsed_seconds`."""

StreamWriter = Callable[[Any], None]
"""Writes to the stream of LangGraph's mode `custom`."""

_NOT_HEARD = "An event of compression could not be delivered."


def event_data(done: CompressedMessage[MessageT]) -> EventData:
    """What an event tells of a message."""
    message = done.message
    return {
        "tool": message.name,
        "tool_call_id": message.tool_call_id if isinstance(message, ToolMessage) else None,
        **done.counts(),
        "elapsed_seconds": done.elapsed_seconds,
    }


def announce(
    data: EventData, config: RunnableConfig | None = None, write: StreamWriter | None = None
) -> None:
    """Tell callbacks and the stream. A listener that fails must not stop an agent.

    Args:
        data: See `event_data`.
        config: Of the run that this happens in; None is the one that is under way, if any.
        write: The run's stream writer.
    """
    try:
        dispatch_custom_event(EVENT_NAME, data, config=config)
    except Exception:
        logger.debug(_NOT_HEARD, exc_info=True)
    _write(data, write)


async def aannounce(
    data: EventData, config: RunnableConfig | None = None, write: StreamWriter | None = None
) -> None:
    """`announce`, with asynchronous callbacks."""
    try:
        await adispatch_custom_event(EVENT_NAME, data, config=config)
    except Exception:
        logger.debug(_NOT_HEARD, exc_info=True)
    _write(data, write)


def _write(data: EventData, write: StreamWriter | None) -> None:
    if write is None:
        return
    try:
        write({EVENT_NAME: data})
    except Exception:
        logger.debug(_NOT_HEARD, exc_info=True)
