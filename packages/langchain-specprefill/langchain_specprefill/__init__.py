"""Prompt compression for LangChain: the public names of `specprefill_integrations.langchain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations import langchain as _langchain
from specprefill_integrations.langchain import (
    CaseRecorder,
    RecallTool,
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
    from specprefill_integrations.langchain import SpecPrefillMiddleware

__all__ = [
    "CaseRecorder",
    "RecallTool",
    "SpecPrefillContextEdit",
    "SpecPrefillDocumentCompressor",
    "SpecPrefillDocumentTransformer",
    "SpecPrefillMiddleware",
    "StoreOriginals",
    "ToolPolicy",
    "ToolRequest",
    "TtftCallbackHandler",
    "compress_messages",
]


def __getattr__(name: str) -> object:
    """Import `SpecPrefillMiddleware` when it is first used: it needs the extra `agents`."""
    return getattr(_langchain, name)
