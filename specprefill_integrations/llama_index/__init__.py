"""Doors for LlamaIndex: a node postprocessor.

The only folder that imports LlamaIndex; what to keep is decided elsewhere.
"""

from __future__ import annotations

from specprefill_integrations.errors import MissingDependencyError

try:
    from specprefill_integrations.llama_index.node_postprocessor import SpecPrefillNodePostprocessor
except ImportError as error:
    # A broken installation must not look like a missing one.
    if (error.name or "").partition(".")[0] != "llama_index":
        raise
    raise MissingDependencyError(package="llama-index-core", extra="llama-index") from error

__all__ = ["SpecPrefillNodePostprocessor"]
