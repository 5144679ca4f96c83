"""Doors for LangChain: a document compressor, a document transformer, a tool that recalls.

The only folder that imports LangChain; what to keep is decided elsewhere.
"""

from __future__ import annotations

from specprefill_integrations.errors import MissingDependencyError

try:
    from specprefill_integrations.langchain.document_compressor import SpecPrefillDocumentCompressor
    from specprefill_integrations.langchain.document_transformer import (
        SpecPrefillDocumentTransformer,
    )
    from specprefill_integrations.langchain.recall_tool import RecallTool
except ImportError as error:
    # A broken installation must not look like a missing one.
    if (error.name or "").partition(".")[0] != "langchain_core":
        raise
    raise MissingDependencyError(package="langchain-core", extra="langchain") from error

__all__ = ["RecallTool", "SpecPrefillDocumentCompressor", "SpecPrefillDocumentTransformer"]
