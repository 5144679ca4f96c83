"""One text on its way through the pipeline: its units, and how what is kept of them is written.

Knows no scores and no budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations.rendering import GapStyle, merge_adjacent, render_kept
from specprefill_integrations.splitting import LinkingSplitter, RenderingSplitter, Splitter
from specprefill_integrations.types import Span, Unit


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A text that was cut into units."""

    text: str
    """The text; no lone surrogates in it."""

    splitter: Splitter
    """What cut it."""

    units: tuple[Span, ...]
    """Its units in ascending order."""

    @classmethod
    def cut(cls, text: str, splitter: Splitter) -> SplitDocument:
        """Cut a text."""
        return cls(text, splitter, tuple(splitter(text)))

    @property
    def parts(self) -> list[str]:
        """The text of each unit."""
        return [self.text[span.start : span.end] for span in self.units]

    @property
    def may_be_cut_finer(self) -> bool:
        """Whether part of a unit is still of use; of JSON it would be no JSON."""
        return not isinstance(self.splitter, RenderingSplitter)

    def links(self) -> Sequence[tuple[int, ...]]:
        """For each unit the indices of those that it needs."""
        if isinstance(self.splitter, LinkingSplitter):
            return self.splitter.links(self.text, self.units)
        return [()] * len(self.units)

    def joined(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Spans with nothing between them as one, where they are written one after the other."""
        return merge_adjacent(self.text, spans) if self.may_be_cut_finer else tuple(spans)

    def written(self, kept: Sequence[Span], gaps: GapStyle, text: str | None = None) -> str:
        """What is kept of the text, gaps marked.

        Args:
            kept: Disjoint spans in ascending order, joined.
            gaps: How gaps are shown, where the text's kind has no way of its own.
            text: The caller's own text, where that is another than what was scored.
        """
        source = self.text if text is None else text
        if isinstance(self.splitter, RenderingSplitter):
            return self.splitter.render(source, kept)
        return render_kept(source, kept, gaps)


def scored_units(
    documents: Sequence[SplitDocument],
    scores: Sequence[float],
    tokens: Sequence[int],
    masses: Sequence[float],
) -> list[Unit]:
    """All units of all documents, in source order.

    Args:
        documents: The documents.
        scores: One number a unit, document after document.
        tokens: What each costs.
        masses: What share of all that is needed each holds.
    """
    units: list[Unit] = []
    for number, document in enumerate(documents):
        first = len(units)
        for span, needs in zip(document.units, document.links(), strict=True):
            at = len(units)
            needed = tuple(first + i for i in needs)
            units.append(Unit(number, span, tokens[at], scores[at], masses[at], needed))
    return units
