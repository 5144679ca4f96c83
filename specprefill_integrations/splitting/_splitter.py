"""The base class of all splitters.

Owns everything that depends on the kind of text: units, links between units, gap markers, and how
kept units are written. Knows no scores and no budget.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lists import ListGroup
from specprefill_integrations.splitting._rendering import GapStyle, merge_adjacent, render_kept
from specprefill_integrations.types import CountTokens, Kind, Span, TextHint

ParsedT = TypeVar("ParsedT")

# Twelve missing lines, to estimate the cost of a gap marker that counts them.
_TYPICAL_GAP = "x\n" * 12

# Pieces aim a little below the limit, because tokens per character vary.
_SHRINK = 0.9

# An oversized unit is cut so that about four pieces fit into the budget, but not into shreds.
_PIECES = 4
_LEAST_PIECE_TOKENS = 16

# Tokens by which the estimated cost of one more unit may be off where two texts join.
_JOINT_TOKENS = 2


@dataclass(frozen=True, slots=True)
class SplitResult(Generic[ParsedT]):
    """The units of one text."""

    splitter: Splitter[ParsedT]
    """The splitter that found them."""

    text: str
    """The text."""

    parsed: ParsedT
    """Its parse of the text, so that links and rendering need not parse again."""

    units: tuple[Span, ...]
    """The units: disjoint, ascending, none empty."""

    @property
    def parts(self) -> list[str]:
        """The text of each unit."""
        return [self.text[unit.start : unit.end] for unit in self.units]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitterChoice:
    """The kind of one text, and the splitter and gap style for it."""

    kind: Kind
    """The kind of text."""

    splitter: Splitter[Any] | None
    """The splitter; None if texts of this kind are not to be cut."""

    gaps: GapStyle = field(default_factory=GapStyle)
    """The gap style of this kind."""


class Splitter(ABC, Generic[ParsedT]):
    """Splits texts of one kind into units that are kept or dropped as a whole.

    A subclass must define `parse` and `units`; every other method has a default.
    """

    __slots__ = ()

    heads_stand_alone: ClassVar[bool] = False
    """True if a unit that others need may be kept without them: a function's signature may, a
    heading may not."""

    words_stand_alone: ClassVar[bool] = True
    """True if part of a unit is still useful, so that an oversized one may be cut at words."""

    lines_flow: ClassVar[bool] = False
    """True if a line break in a unit is like any other white space, as in HTML."""

    @abstractmethod
    def parse(self, text: str) -> ParsedT:
        """Parse `text` once, for `units`, `links` and `render`."""

    @abstractmethod
    def units(self, text: str, parsed: ParsedT) -> list[Span]:
        """Return the units of `text`: disjoint, ascending, none empty.

        Anything between units is white space, unless the splitter overrides `render`.
        """

    def __call__(self, text: str) -> list[Span]:
        """Split `text` into units."""
        return self.units(text, self.parse(text))

    def split(self, text: str) -> SplitResult[ParsedT]:
        """Split `text` into units and keep the parse."""
        parsed = self.parse(text)
        return SplitResult(self, text, parsed, tuple(self.units(text, parsed)))

    def for_text(self, text: str, hint: TextHint | None = None) -> SplitterChoice:  # noqa: ARG002
        """Choose the splitter for one text: by default this one, for any text."""
        return SplitterChoice(kind=(hint and hint.kind) or "prose", splitter=self)

    def links(
        self,
        text: str,  # noqa: ARG002
        units: Sequence[Span],
        parsed: ParsedT | None = None,  # noqa: ARG002
    ) -> list[tuple[int, ...]]:
        """Return, for each unit, the indices of the units that it needs, such as its headings.

        Args:
            text: The text.
            units: Units of the text in ascending order; they may be finer than those of `units`.
            parsed: The parse of the text; None parses it again.

        Returns:
            One tuple per unit. What a needed unit needs itself is listed too.
        """
        return [()] * len(units)

    def lists(
        self,
        text: str,  # noqa: ARG002
        units: Sequence[Span],  # noqa: ARG002
        parsed: ParsedT | None = None,  # noqa: ARG002
    ) -> list[ListGroup]:
        """Return the lists whose items share in the relevance of what introduces them.

        Args:
            text: The text.
            units: Units of the text in ascending order; they may be finer than those of `units`.
            parsed: The parse of the text; None parses it again.

        Returns:
            Lists in the order of their first items; an outer list comes before those in it.
        """
        return []

    def only_heads(
        self,
        units: Sequence[Span],  # noqa: ARG002
        links: Sequence[tuple[int, ...]],
        parsed: ParsedT | None = None,  # noqa: ARG002
    ) -> set[int]:
        """Return the indices of units that are kept only with others, such as headings.

        Args:
            units: The units.
            links: Their `links`.
            parsed: The parse of the text, if at hand.
        """
        return set() if self.heads_stand_alone else {index for needs in links for index in needs}

    def with_max_unit_chars(self, max_unit_chars: int) -> Splitter[ParsedT]:  # noqa: ARG002
        """Return this splitter with smaller units; itself if its units have no maximum size."""
        return self

    def refine(
        self,
        found: SplitResult[ParsedT],
        costs: Sequence[int],
        limit: int,
        count_tokens: CountTokens,
        gaps: GapStyle,
    ) -> SplitResult[ParsedT]:
        """Cut units that cost more than the whole limit.

        They are cut at the finer boundaries of their kind first, then at sentences, clauses and
        words. If the limit is too small for any readable piece, nothing is cut.

        Args:
            found: The units of a text.
            costs: Tokens of each unit.
            limit: Tokens that may be kept.
            count_tokens: Counts the tokens of texts.
            gaps: The gap style of the text.
        """
        if max(costs, default=0) <= limit:
            return found
        room = limit - 2 * count_tokens([self.typical_marker(gaps)])[0]
        if room < _LEAST_PIECE_TOKENS:
            return found
        smaller = self.with_max_unit_chars(unit_chars(found.text, room // 2, sum(costs)))
        finer = found if smaller is self else smaller.split(found.text)
        most = max(_LEAST_PIECE_TOKENS, room // _PIECES)
        units: list[Span] = []
        for unit, cost in zip(finer.units, count_tokens(finer.parts), strict=True):
            pieces = [unit]
            if cost > limit:
                pieces = self._pieces(found.text, unit, cost, most, count_tokens)
            units.extend(pieces)
        return replace(finer, units=tuple(units))

    def _pieces(
        self, text: str, unit: Span, cost: int, most_tokens: int, count_tokens: CountTokens
    ) -> list[Span]:
        """Cut a unit into pieces of at most `most_tokens`."""
        chars = max(1, int((unit.end - unit.start) * most_tokens / cost * _SHRINK))
        pieces = split_oversized(text, trimmed(text, unit), chars, lines_flow=self.lines_flow)
        if len(pieces) <= 1:
            return pieces
        costs = count_tokens([text[piece.start : piece.end] for piece in pieces])
        return [
            finer
            for piece, tokens in zip(pieces, costs, strict=True)
            for finer in (
                [piece]
                if tokens <= most_tokens
                else self._pieces(text, piece, tokens, most_tokens, count_tokens)
            )
        ]

    def typical_marker(self, gaps: GapStyle) -> str:
        """Return a typical gap marker, to estimate its cost."""
        return f" {gaps.marked(_TYPICAL_GAP)} "

    def estimate_slack(self, gap_tokens: int) -> int:  # noqa: ARG002
        """Return by how many tokens one more unit may cost less than estimated.

        Args:
            gap_tokens: Tokens of one gap marker.
        """
        return _JOINT_TOKENS

    def joined(
        self,
        text: str,
        spans: Sequence[Span],
        parsed: ParsedT | None = None,  # noqa: ARG002
    ) -> tuple[Span, ...]:
        """Merge kept units that have nothing but white space between them."""
        return merge_adjacent(text, spans)

    def render(
        self,
        text: str,
        kept: Sequence[Span],
        *,
        gaps: GapStyle = GapStyle(),  # noqa: B008 - a frozen value
        reference: str | None = None,
        parsed: ParsedT | None = None,  # noqa: ARG002
    ) -> str:
        """Write the kept units, with a marker at every gap.

        Args:
            text: The original.
            kept: Disjoint spans in ascending order, joined.
            gaps: The gap style.
            reference: The reference that the first marker names.
            parsed: The parse of the text; None parses it again.

        Returns:
            The compressed text; empty if nothing is kept.
        """
        return render_kept(text, kept, gaps, reference)


@checked
@dataclass(frozen=True, slots=True)
class FunctionSplitter(Splitter[None]):
    """Adapts a plain function from a text to its units."""

    function: Callable[[str], Sequence[Span]]
    """Returns the units of a text: disjoint, ascending, none empty."""

    def parse(self, text: str) -> None:
        """Parse nothing."""

    def units(self, text: str, parsed: None) -> list[Span]:  # noqa: ARG002
        """Return the function's units."""
        return list(self.function(text))


def as_splitter(splitter: Splitter[Any] | Callable[[str], Sequence[Span]]) -> Splitter[Any]:
    """Return a splitter as it is, and adapt a plain function.

    Raises:
        TypeError: `splitter` cannot be called.
    """
    if isinstance(splitter, Splitter):
        return splitter
    if not callable(splitter):
        msg = f"splitter= takes a Splitter or a function from a text to spans; got {splitter!r}."
        raise TypeError(msg)
    return FunctionSplitter(splitter)


def unit_chars(text: str, unit_tokens: int, tokens: int) -> int:
    """Return the characters of units of about `unit_tokens` in a text of `tokens`."""
    return max(1, int(len(text) * unit_tokens / max(1, tokens) * _SHRINK))
