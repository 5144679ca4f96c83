"""LlamaIndex integration: a node postprocessor, an ingestion step, tools and memory of agents."""

from __future__ import annotations

from specprefill_integrations.errors import MissingDependencyError

try:
    from specprefill_integrations.llama_index._case_recorder import CaseRecorder
    from specprefill_integrations.llama_index._events import (
        ContextCompressionEndEvent,
        ContextCompressionSkippedEvent,
        ContextCompressionStartEvent,
    )
    from specprefill_integrations.llama_index._ingestion import SpecPrefillTransform
    from specprefill_integrations.llama_index._memory_block import SpecPrefillMemoryBlock
    from specprefill_integrations.llama_index._node_postprocessor import (
        SpecPrefillNodePostprocessor,
    )
    from specprefill_integrations.llama_index._recall_tool import recall_tool
    from specprefill_integrations.llama_index._shadow_handler import ShadowEventHandler
    from specprefill_integrations.llama_index._tools import compress_tool, compress_tools
    from specprefill_integrations.llama_index._ttft_handler import TtftEventHandler
    from specprefill_integrations.tool_results import ToolPolicy, ToolRequest
except ImportError as error:
    # A broken installation must not look like a missing one.
    if (error.name or "").partition(".")[0] != "llama_index":
        raise
    raise MissingDependencyError(package="llama-index-core", extra="llama-index") from error

__all__ = [
    "CaseRecorder",
    "ContextCompressionEndEvent",
    "ContextCompressionSkippedEvent",
    "ContextCompressionStartEvent",
    "ShadowEventHandler",
    "SpecPrefillMemoryBlock",
    "SpecPrefillNodePostprocessor",
    "SpecPrefillTransform",
    "ToolPolicy",
    "ToolRequest",
    "TtftEventHandler",
    "compress_tool",
    "compress_tools",
    "recall_tool",
]
