"""One text of a call, split into units. Knows no scores and no budget."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

from specprefill_integrations.pipeline._protection import ProtectionRule, protected
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._lists import ListGroup
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.splitting._splitter import SplitResult
from specprefill_integrations.types import CountTokens, Kind, Span, TextHint, Unit

_RULE = r"[\W_]*"
_FRAGMENT = r"\s*(?:[A-Za-z]|\(?(?:\d{1,3}|[A-Za-z]|[IVXivx]{1,5})[.)]|[a-z]{1,20}\.|#{1,6}\s.*)\s*"
_SAY_NOTHING: dict[Kind, re.Pattern[str]] = {
    **dict.fromkeys(("prose", "markdown"), re.compile(f"{_RULE}|{_FRAGMENT}")),
    **dict.fromkeys(("html", "chat", "lines"), re.compile(_RULE)),
}
"""Units that are kept only between others: in prose also single letters, item numbers without an
item, ends of sentences and headings with nothing below."""

_WITH_RECORDS: frozenset[Kind] = frozenset({"json", "jsonl"})
_LEADS: dict[Kind, re.Pattern[str]] = {
    "prose": re.compile(""),
    "markdown": re.compile(r"\A(?:#{1,6}\s|.*\n(?:=+|-+)\s*\Z)"),
    "html": re.compile(r"\A<h[1-6]\b", re.IGNORECASE),
    **dict.fromkeys(
        _WITH_RECORDS, re.compile(r"\A(?!\"[^\"]{1,200}\"\s*:\s*[\[({])[\W\d_]*[^\W\d_]")
    ),
}
"""Headings, and names and ids of records, among the units that others need. Others are names of
columns and captions of tables, and the ends of arrays of numbers."""

# Items of a short list are needed together, so they rank with what introduces the list. A long
# list would use up a budget, so its items only come half way.
_SHORT_LIST_TOKENS = 160
_OWN_SHARE = 0.01
_OWN_SHARE_IN_LONG_LISTS = 0.5


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

    repeats: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Units that repeat others of the call: the document, counted from 0, and the unit there."""

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

    def without_content(self) -> set[int]:
        """Return the units that say nothing by themselves: rules, numbers of items, headings."""
        pattern = _SAY_NOTHING.get(self.kind)
        if pattern is None:
            return set()
        return {i for i, part in enumerate(self.found.parts) if pattern.fullmatch(part)}

    def lists(self) -> Sequence[ListGroup]:
        """Return the lists whose items share in the relevance of what introduces them."""
        return self.splitter.lists(self.text, self.units, self.found.parsed)

    def protected(self, rules: Sequence[ProtectionRule], query: str | None = None) -> list[bool]:
        """Return which units a rule or a name in the question protects."""
        tool = self.hint.tool if self.hint else None
        return protected(self.text, self.units, rules, kind=self.kind, tool=tool, query=query)

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
    query: str | None = None,
) -> list[Unit]:
    """Return all units of all documents, in source order.

    Args:
        documents: The documents.
        scores: One score per unit, document after document.
        costs: Tokens of each unit.
        rules: Rules that protect units.
        query: The question; names in it protect units, too.
    """
    units: list[Unit] = []
    for number, document in enumerate(documents):
        first = len(units)
        after = first + len(document.units)
        links = document.links()
        heads = document.splitter.only_heads(document.units, links, document.found.parsed)
        own = scores[first:after]
        groups = [*document.lists(), *_sections(document, links, heads, own)]
        shared = _shared_scores(groups, own, costs[first:after])
        heads |= document.without_content() - {i for needs in links for i in needs}
        is_protected = document.protected(rules, query)
        for index, (span, needs) in enumerate(zip(document.units, links, strict=True)):
            units.append(
                Unit(
                    number,
                    span,
                    costs[first + index],
                    shared[index],
                    needs=tuple(first + i for i in needs),
                    only_heads=index in heads and not is_protected[index],
                    is_protected=is_protected[index],
                )
            )
    if all(unit.only_heads for unit in units):
        return [replace(unit, only_heads=False) for unit in units]
    return units


def _sections(
    document: SplitDocument,
    links: Sequence[tuple[int, ...]],
    heads: AbstractSet[int],
    scores: Sequence[float],
) -> Iterator[ListGroup]:
    """Yield what is right below each heading, or in JSON what is in each record with a name or id.

    A question often shares words with the heading or the name alone. Outer ones come first; in
    JSON, each unit is below the best of the names and ids around it. A title is left out: readouts
    know it.

    Args:
        document: The document.
        links: The units that each of its units needs.
        heads: Units that are kept only with others, such as headings.
        scores: The scores of its units.
    """
    pattern = _LEADS.get(document.kind)
    if pattern is None:
        return
    has_records = document.kind in _WITH_RECORDS
    below: dict[int, list[int]] = {}
    for index, needs in enumerate(links):
        if needs:
            lead = max(needs, key=scores.__getitem__) if has_records else needs[-1]
            below.setdefault(lead, []).append(index)
    parts = document.found.parts
    for lead in sorted(below):
        may_lead = has_records or (lead > 0 and lead in heads)
        if may_lead and pattern.match(parts[lead]):
            yield ListGroup(lead, tuple(below[lead]))


def _shared_scores(
    groups: Sequence[ListGroup], scores: Sequence[float], costs: Sequence[int]
) -> list[float]:
    """Raise the items of each list to the score of what introduces them, or half way.

    Items keep their order among themselves.
    """
    shared = list(scores)
    for lead, members in groups:
        is_short = sum(costs[member] for member in members) <= _SHORT_LIST_TOKENS
        own = _OWN_SHARE if is_short else _OWN_SHARE_IN_LONG_LISTS
        for member in members:
            if shared[member] < shared[lead]:
                shared[member] = (1 - own) * shared[lead] + own * shared[member]
    return shared
