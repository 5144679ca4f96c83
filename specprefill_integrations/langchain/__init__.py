"""LangChain integration: documents, agents, long conversations, and a recall tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names
from specprefill_integrations.errors import MissingDependencyError

if TYPE_CHECKING:
    from specprefill_integrations.langchain._deep_agents import deep_agent_options
    from specprefill_integrations.langchain._middleware import SpecPrefillMiddleware

try:
    from specprefill_integrations.langchain._case_recorder import CaseRecorder
    from specprefill_integrations.langchain._compress_messages import compress_messages
    from specprefill_integrations.langchain._document_compressor import (
        SpecPrefillDocumentCompressor,
    )
    from specprefill_integrations.langchain._document_transformer import (
        SpecPrefillDocumentTransformer,
    )
    from specprefill_integrations.langchain._history import SpecPrefillContextEdit
    from specprefill_integrations.langchain._originals_in_store import StoreOriginals
    from specprefill_integrations.langchain._recall_tool import RecallTool
    from specprefill_integrations.langchain._shadow_handler import ShadowCallbackHandler
    from specprefill_integrations.langchain._ttft_handler import TtftCallbackHandler
    from specprefill_integrations.tool_results import ToolPolicy, ToolRequest
except ImportError as error:
    # A broken installation must not look like a missing one.
    if (error.name or "").partition(".")[0] != "langchain_core":
        raise
    raise MissingDependencyError(package="langchain-core", extra="langchain") from error

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


# At first use: nothing else here needs `langchain` itself.
__getattr__ = lazy_names(
    __name__,
    {"SpecPrefillMiddleware": "_middleware", "deep_agent_options": "_deep_agents"},
)
