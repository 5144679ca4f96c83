"""Text -> spans that are kept or dropped as a whole. One kind of text a file; all pure."""

from __future__ import annotations

from collections.abc import Callable

from specprefill_integrations.types import Span

Splitter = Callable[[str], list[Span]]
"""From a text to its units: disjoint, ascending, none empty; all that is left is white space."""
