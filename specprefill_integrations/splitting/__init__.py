"""Text -> spans that are kept or dropped as a whole. One kind of text a file; all pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from specprefill_integrations.types import Span

Splitter = Callable[[str], list[Span]]
"""From a text to its units: disjoint, ascending, none empty; all that is left is white space."""


@runtime_checkable
class LinkingSplitter(Protocol):
    """A splitter that also knows which units cannot be understood without which others."""

    def __call__(self, text: str) -> list[Span]:
        """Cut `text`. See `Splitter`."""

    def links(self, text: str, units: Sequence[Span]) -> list[tuple[int, ...]]:
        """For each unit the indices of those that it needs, and of those that they need."""
