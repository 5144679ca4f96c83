"""One text of a call, split into units. Knows no scores and no budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from specprefill_integrations.pipeline._protection import ProtectionRule, protected
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.splitting._splitter import SplitResult
from specprefill_integrations.types import CountTokens, Kind, Span, TextHint, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDocument:
    """A text that was split into units."""

    found: SplitResult[Any]
    """The text, its units and the splitter that found them."""

    gaps: GapStyle
    """The gap style, unless its kind of text has its own."""

    kind: Kind = "prose"
    """The kind of text."""

    hint: TextHint | None = None
    """Further facts about the text."""

    @classmethod
    def from_text(
        cls,
        text: str,
        splitter: Splitter[Any],
        gaps: GapStyle,
        *,
        kind: Kind = "prose",
        hint: TextHint | None = None,
    ) -> SplitDocument:
        """Split a text without lone surrogates."""
        return cls(found=splitter.split(text), gaps=gaps, kind=kind, hint=hint)

    @property
    def text(self) -> str:
        """The text; no lone surrogates in it."""
        return self.found.text

    @property
    def units(self) -> tuple[Span, ...]:
        """Its units in ascending order."""
        return self.found.units

    @property
    def splitter(self) -> Splitter[Any]:
        """The splitter that found them."""
        return self.found.splitter

    @property
    def typical_marker(self) -> str:
        """A typical gap marker, to estimate its cost."""
        return self.splitter.typical_marker(self.gaps)

    def links(self) -> Sequence[tuple[int, ...]]:
        """Return, for each unit, the indices of the units that it needs."""
        return self.splitter.links(self.text, self.units, self.found.parsed)

    def protected(self, rules: Sequence[ProtectionRule]) -> list[bool]:
        """Return which units a rule protects."""
        tool = self.hint.tool if self.hint else None
        return protected(self.text, self.units, rules, kind=self.kind, tool=tool)

    def refined(self, limit: int, costs: Sequence[int], count_tokens: CountTokens) -> SplitDocument:
        """Return the same text with units that fit into a limit. See `Splitter.refine`.

        Args:
            limit: Tokens that may be kept.
            costs: Tokens of each unit.
            count_tokens: Counts the tokens of texts.
        """
        found = self.splitter.refine(self.found, costs, limit, count_tokens, self.gaps)
        return self if found is self.found else replace(self, found=found)

    def joined(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Merge kept units with nothing between them, if they are written one after the other."""
        return self.splitter.joined(self.text, spans, self.found.parsed)

    def rendered(self, kept: Sequence[Span], text: str | None = None) -> str:
        """Write the kept parts, with a marker at every gap.

        Args:
            kept: Disjoint spans in ascending order, joined.
            text: The caller's own text, if it differs from the one that was scored.
        """
        return self.splitter.render(
            self.text if text is None else text,
            kept,
            gaps=self.gaps,
            reference=self.hint.reference if self.hint else None,
            parsed=self.found.parsed,
        )


def scored_units(
    documents: Sequence[SplitDocument],
    scores: Sequence[float],
    costs: Sequence[int],
    rules: Sequence[ProtectionRule] = (),
) -> list[Unit]:
    """Return all units of all documents, in source order.

    Args:
        documents: The documents.
        scores: One score per unit, document after document.
        costs: Tokens of each unit.
        rules: Rules that protect units.
    """
    units: list[Unit] = []
    for number, document in enumerate(documents):
        first = len(units)
        links = document.links()
        stand_alone = document.splitter.heads_stand_alone
        heads = set() if stand_alone else {i for needs in links for i in needs}
        is_protected = document.protected(rules)
        for index, (span, needs) in enumerate(zip(document.units, links, strict=True)):
            units.append(
                Unit(
                    number,
                    span,
                    costs[first + index],
                    scores[first + index],
                    needs=tuple(first + i for i in needs),
                    only_heads=index in heads,
                    is_protected=is_protected[index],
                )
            )
    return units
