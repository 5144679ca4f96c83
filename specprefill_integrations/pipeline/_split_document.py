"""One text on its way through the pipeline: its units, and how what is kept of them is written.

Knows no scores and no budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from specprefill_integrations.pipeline._protection import ProtectionRule, protected
from specprefill_integrations.pipeline._rendering import GapStyle, merge_adjacent, render_kept
from specprefill_integrations.pipeline._token_counting import CountTokens
from specprefill_integrations.splitting import (
    HeadedSplitter,
    LinkingSplitter,
    RenderingSplitter,
    SizedSplitter,
    Splitter,
    TextCuttingSplitter,
)
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.types import Kind, Span, TextHint, Unit

_TYPICAL_GAP = "x\n" * 12

# A piece is a little smaller than a limit of tokens allows on average.
_SHRINK = 0.9

# So many pieces fit into what may be kept, if they are no shreds.
_PIECES = 4
_LEAST_PIECE_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDocument:
    """A text that was cut into units."""

    text: str
    """The text; no lone surrogates in it."""

    splitter: Splitter
    """What cut it."""

    gaps: GapStyle
    """How its gaps are shown, where its kind has no way of its own."""

    units: tuple[Span, ...]
    """Its units in ascending order."""

    kind: Kind = "prose"
    """What kind of text it is."""

    hint: TextHint | None = None
    """What else is known of it."""

    @classmethod
    def cut(
        cls,
        text: str,
        splitter: Splitter,
        gaps: GapStyle,
        *,
        kind: Kind = "prose",
        hint: TextHint | None = None,
    ) -> SplitDocument:
        """Cut a text."""
        units = tuple(splitter(text))
        return cls(text=text, splitter=splitter, gaps=gaps, units=units, kind=kind, hint=hint)

    @property
    def parts(self) -> list[str]:
        """The text of each unit."""
        return [self.text[span.start : span.end] for span in self.units]

    @property
    def may_be_cut_finer(self) -> bool:
        """Whether part of a unit is still of use; of JSON it would be no JSON."""
        kind: type = type(self.splitter)
        return not _writes_itself(kind)

    @property
    def heads_stand_alone(self) -> bool:
        """Whether units that others need may be kept without them."""
        return isinstance(self.splitter, HeadedSplitter) and self.splitter.heads_stand_alone

    @property
    def typical_gap(self) -> str:
        """A gap marker as it often looks, for estimates."""
        if not self.may_be_cut_finer:
            return ' {"omitted": 12},'
        return f" {self.gaps.marked(_TYPICAL_GAP)} "

    def links(self) -> Sequence[tuple[int, ...]]:
        """For each unit the indices of those that it needs."""
        if isinstance(self.splitter, LinkingSplitter):
            return self.splitter.links(self.text, self.units)
        return [()] * len(self.units)

    def protected(self, rules: Sequence[ProtectionRule]) -> list[bool]:
        """Which units some rule protects."""
        tool = self.hint.tool if self.hint else None
        return protected(self.text, self.units, rules, kind=self.kind, tool=tool)

    def with_units_within(
        self, limit: int, tokens: Sequence[int], count: CountTokens
    ) -> SplitDocument:
        """The same text, cut finer where a unit costs too much of what may be kept.

        A unit must not cost more than all of it; of JSON, whose smallest members can be read alone,
        not more than a quarter. It is cut at the finer boundaries that the text's kind has, then,
        where that is not enough, at sentences, clauses and words; of JSON's values only a text is,
        and only where it alone costs more than may be kept.

        Args:
            limit: Tokens that may be kept. Where that is too little for a piece that can be read,
                nothing is cut.
            tokens: What each unit costs.
            count: Counts the tokens of texts.
        """
        dearest = max(tokens, default=0)
        if not self.may_be_cut_finer:
            most = max(1, limit // _PIECES)
            finer = self._recut(most, sum(tokens)) if dearest > most else self
            if dearest <= limit or most < _LEAST_PIECE_TOKENS:
                return finer
            return _texts_cut(finer, limit, tokens if finer is self else count(finer.parts))
        room = limit - 2 * count([self.typical_gap])[0]
        if dearest <= limit or room < _LEAST_PIECE_TOKENS:
            return self
        finer = self._recut(room // 2, sum(tokens))
        most = max(_LEAST_PIECE_TOKENS, room // _PIECES)
        units: list[Span] = []
        for unit, cost in zip(finer.units, count(finer.parts), strict=True):
            units.extend([unit] if cost <= limit else self._cut_finer(unit, cost, most, count))
        return replace(finer, units=tuple(units))

    def _recut(self, most: int, tokens: int) -> SplitDocument:
        """The same text in units of about `most` tokens, where its splitter makes smaller ones."""
        chars = max(1, int(len(self.text) * most / max(1, tokens) * _SHRINK))
        splitter = self.splitter
        if not isinstance(splitter, SizedSplitter) or splitter.max_unit_chars <= chars:
            return self
        smaller = splitter.with_max_unit_chars(chars)
        return replace(self, splitter=smaller, units=tuple(smaller(self.text)))

    def _cut_finer(self, unit: Span, cost: int, most: int, count: CountTokens) -> list[Span]:
        """Pieces of a unit within a limit of tokens."""
        chars = max(1, int((unit.end - unit.start) * most / cost * _SHRINK))
        pieces = split_oversized(self.text, trimmed(self.text, unit), chars)
        if len(pieces) < 2:  # noqa: PLR2004 - one piece is no cut
            return pieces
        costs = count([self.text[piece.start : piece.end] for piece in pieces])
        return [
            finer
            for piece, tokens in zip(pieces, costs, strict=True)
            for finer in (
                [piece] if tokens <= most else self._cut_finer(piece, tokens, most, count)
            )
        ]

    def joined(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Spans with nothing between them as one, where they are written one after the other."""
        return merge_adjacent(self.text, spans) if self.may_be_cut_finer else tuple(spans)

    def written(self, kept: Sequence[Span], text: str | None = None) -> str:
        """What is kept of the text, gaps marked.

        Args:
            kept: Disjoint spans in ascending order, joined.
            text: The caller's own text, where that is another than what was scored.
        """
        source = self.text if text is None else text
        reference = self.hint.reference if self.hint else None
        if not self.may_be_cut_finer:
            return cast("RenderingSplitter", self.splitter).render(source, kept, reference)
        return render_kept(source, kept, self.gaps, reference)


def _texts_cut(document: SplitDocument, limit: int, costs: Sequence[int]) -> SplitDocument:
    """The same JSON, but of units that cost more than a limit their sentences, where it has any."""
    splitter = document.splitter
    if not isinstance(splitter, TextCuttingSplitter):
        return document
    dear = [unit for unit, cost in zip(document.units, costs, strict=True) if cost > limit]
    cutting = splitter.with_texts_cut(dear)
    return replace(document, splitter=cutting, units=tuple(cutting(document.text)))


@cache
def _writes_itself(splitter: type) -> bool:
    """Whether splitters of a class are `RenderingSplitter`s.

    Remembered, because it is asked for every unit and Python takes long to look at a Protocol.
    """
    return issubclass(splitter, RenderingSplitter)


def scored_units(
    documents: Sequence[SplitDocument],
    scores: Sequence[float],
    tokens: Sequence[int],
    masses: Sequence[float],
    rules: Sequence[ProtectionRule] = (),
) -> list[Unit]:
    """All units of all documents, in source order.

    Args:
        documents: The documents.
        scores: One number a unit, document after document.
        tokens: What each costs.
        masses: What share of all that is needed each holds.
        rules: Which of them are protected.
    """
    units: list[Unit] = []
    for number, document in enumerate(documents):
        first = len(units)
        links = document.links()
        heads = set() if document.heads_stand_alone else {i for needs in links for i in needs}
        is_protected = document.protected(rules)
        for index, (span, needs) in enumerate(zip(document.units, links, strict=True)):
            at = first + index
            units.append(
                Unit(
                    number,
                    span,
                    tokens[at],
                    scores[at],
                    masses[at],
                    tuple(first + i for i in needs),
                    only_heads=index in heads,
                    is_protected=is_protected[index],
                )
            )
    return units
