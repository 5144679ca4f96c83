"""Events for LangChain's callbacks and LangGraph's streams: counts, never a text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from specprefill_integrations.tool_results import Outcome

logger = logging.getLogger(__name__)

EVENT_NAME = "specprefill_compression"
"""The name of the custom event, and the key of what is written to the stream."""

EventData = dict[str, object]
"""The data of an event: `original_tokens`, `kept_tokens`, `skipped_because`, `elapsed_seconds`; for
a message also `tool`, `tool_call_id` and `query_sources`, for one that a model has read before
`resent_tokens` (see `PromptChange`), for documents the number `documents`."""

StreamWriter = Callable[[Any], None]
"""Writes to LangGraph's stream of mode `custom`."""

_NOT_DELIVERED = "A compression event could not be delivered."


def event_data(outcome: Outcome, **about: object) -> EventData:
    """Return the data of an event.

    Args:
        outcome: The counts.
        about: What was compressed.
    """
    return {
        **about,
        "original_tokens": outcome.original_tokens,
        "kept_tokens": outcome.kept_tokens,
        "skipped_because": outcome.skipped_because,
        "elapsed_seconds": outcome.elapsed_seconds,
        "language_warnings": list(outcome.language_warnings),
    }


def message_event(outcome: Outcome, message: BaseMessage, **about: object) -> EventData:
    """Return the data of an event about a message.

    Args:
        outcome: The counts.
        message: The message.
        about: More that was found.
    """
    return event_data(
        outcome,
        **about,
        tool=message.name,
        tool_call_id=message.tool_call_id if isinstance(message, ToolMessage) else None,
        query_sources=list(outcome.query_sources),
    )


def announce(
    data: EventData, config: RunnableConfig | None = None, write: StreamWriter | None = None
) -> None:
    """Send an event to callbacks and to the stream; a handler that fails stops no agent.

    Args:
        data: See `event_data`.
        config: The config of the run; None is that of the current run, if any.
        write: The run's stream writer.
    """
    try:
        dispatch_custom_event(EVENT_NAME, data, config=config)
    except Exception:
        logger.debug(_NOT_DELIVERED, exc_info=True)
    _write(data, write)


async def aannounce(
    data: EventData, config: RunnableConfig | None = None, write: StreamWriter | None = None
) -> None:
    """`announce`, with asynchronous callbacks."""
    try:
        await adispatch_custom_event(EVENT_NAME, data, config=config)
    except Exception:
        logger.debug(_NOT_DELIVERED, exc_info=True)
    _write(data, write)


def _write(data: EventData, write: StreamWriter | None) -> None:
    if write is None:
        return
    try:
        write({EVENT_NAME: data})
    except Exception:
        logger.debug(_NOT_DELIVERED, exc_info=True)
