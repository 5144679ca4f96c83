"""Prompt compression by the attention of a small draft model, for LangChain and LlamaIndex.

Importing this imports no `torch` and no framework.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specprefill_integrations.compressor import ContextCompressor
    from specprefill_integrations.errors import SpecPrefillError
    from specprefill_integrations.splitting._rendering import GapStyle
    from specprefill_integrations.types import Budget, Compression, Span, TextHint

__version__ = version("specprefill-integrations")

_HOMES = {
    "Budget": "types",
    "Compression": "types",
    "ContextCompressor": "compressor",
    "GapStyle": "splitting._rendering",
    "Span": "types",
    "SpecPrefillError": "errors",
    "TextHint": "types",
}

__all__ = [
    "Budget",
    "Compression",
    "ContextCompressor",
    "GapStyle",
    "Span",
    "SpecPrefillError",
    "TextHint",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
