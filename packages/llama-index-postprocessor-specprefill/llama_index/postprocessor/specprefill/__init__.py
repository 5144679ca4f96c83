"""Prompt compression for LlamaIndex: the public names of `specprefill_integrations.llama_index`."""

from __future__ import annotations

from specprefill_integrations.llama_index import (
    CaseRecorder,
    ContextCompressionEndEvent,
    ContextCompressionSkippedEvent,
    ContextCompressionStartEvent,
    ShadowEventHandler,
    SpecPrefillMemoryBlock,
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
    ToolPolicy,
    ToolRequest,
    TtftEventHandler,
    compress_tool,
    compress_tools,
    recall_tool,
)

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
