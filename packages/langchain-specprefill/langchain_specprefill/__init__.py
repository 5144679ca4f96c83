"""Prompt compression for LangChain: the public names of `specprefill_integrations.langchain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations import langchain as _langchain
from specprefill_integrations.langchain import (
    CaseRecorder,
    RecallTool,
    ShadowCallbackHandler,
    SpecPrefillContextEdit,
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
    StoreOriginals,
    ToolPolicy,
    ToolRequest,
    TtftCallbackHandler,
    compress_messages,
)

if TYPE_CHECKING:
    from specprefill_integrations.langchain import SpecPrefillMiddleware, deep_agent_options

__all__ = [
    "CaseRecorder",
    "RecallTool",
    "ShadowCallbackHandler",
    "SpecPrefillContextEdit",
    "SpecPrefillDocumentCompressor",
    "SpecPrefillDocumentTransformer",
    "SpecPrefillMiddleware",
    "StoreOriginals",
    "ToolPolicy",
    "ToolRequest",
    "TtftCallbackHandler",
    "compress_messages",
    "deep_agent_options",
]


def __getattr__(name: str) -> object:
    """Import what needs the extra `agents` when it is first used."""
    return getattr(_langchain, name)
