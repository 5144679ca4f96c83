"""Where LlamaIndex tells of all that happens in a process: who hears it, and who no longer."""

from __future__ import annotations

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler


def listen(events: BaseEventHandler, spans: BaseSpanHandler[BaseSpan]) -> None:
    """Let handlers hear what happens from now on."""
    root = get_dispatcher("root")
    root.add_span_handler(spans)
    root.add_event_handler(events)


def leave(events: BaseEventHandler, spans: BaseSpanHandler[BaseSpan]) -> None:
    """Let these very handlers hear nothing any more."""
    root = get_dispatcher("root")
    root.event_handlers[:] = [heard for heard in root.event_handlers if heard is not events]
    root.span_handlers[:] = [heard for heard in root.span_handlers if heard is not spans]
