"""Prompt compression by the attention of a small draft model, for LangChain and LlamaIndex.

Importing this imports no `torch` and no framework.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names

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


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
