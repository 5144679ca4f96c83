"""Installation of handlers for the events and spans of a whole process."""

from __future__ import annotations

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler


def install(events: BaseEventHandler, spans: BaseSpanHandler[BaseSpan] | None = None) -> None:
    """Send all events and spans to these handlers from now on."""
    root = get_dispatcher("root")
    if spans is not None:
        root.add_span_handler(spans)
    root.add_event_handler(events)


def remove(events: BaseEventHandler, spans: BaseSpanHandler[BaseSpan] | None = None) -> None:
    """Send no more events and spans to these handlers."""
    root = get_dispatcher("root")
    root.event_handlers[:] = [handler for handler in root.event_handlers if handler is not events]
    root.span_handlers[:] = [handler for handler in root.span_handlers if handler is not spans]
