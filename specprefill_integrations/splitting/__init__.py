"""Text -> spans that are kept or dropped as a whole. One kind of text a file; all pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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


@runtime_checkable
class HeadedSplitter(LinkingSplitter, Protocol):
    """A splitter that knows whether what others need also says something by itself."""

    @property
    def heads_stand_alone(self) -> bool:
        """Whether a unit that others need may be kept without them.

        A function's signature may, a heading may not. Not so of a splitter that does not say.
        """


@runtime_checkable
class SizedSplitter(Protocol):
    """A splitter whose units are as large as is wanted."""

    @property
    def max_unit_chars(self) -> int:
        """Characters of a unit."""

    def __call__(self, text: str) -> list[Span]:
        """Cut `text`. See `Splitter`."""

    def with_max_unit_chars(self, max_unit_chars: int) -> Splitter:
        """The same splitter with another size of units."""


@runtime_checkable
class RenderingSplitter(Protocol):
    """A splitter whose texts cannot be written as spans with markers between them."""

    def __call__(self, text: str) -> list[Span]:
        """Cut `text`. See `Splitter`; what belongs to no unit may be more than white space."""

    def render(self, text: str, kept: Sequence[Span], reference: str | None = None) -> str:
        """Write the kept units of `text`, and what says that others are missing.

        Args:
            text: The original.
            kept: Some of its units, ascending.
            reference: What the first of the marks is to name.
        """


@runtime_checkable
class TextCuttingSplitter(RenderingSplitter, Protocol):
    """A splitter that can also keep part of a unit, where that is a long text."""

    def with_texts_cut(self, units: Collection[Span]) -> Splitter:
        """The same splitter, which cuts these of its units into sentences if they are texts."""
