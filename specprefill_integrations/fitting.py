"""Selection against a real token counter: what is rendered never costs more than the limit.

A selector adds up unit by unit; a tokenizer does not (tokens merge across joints). Here the two
are brought together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations.rendering import GapStyle, merge_adjacent, render_kept
from specprefill_integrations.selection import Selector
from specprefill_integrations.splitting.finer import split_words
from specprefill_integrations.token_counting import CountTokens
from specprefill_integrations.types import Span, Unit

_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one document became."""

    kept: tuple[Span, ...]
    """What is kept of it, merged."""

    text: str
    """That, with gap markers."""

    tokens: int
    """Its cost, counted on `text`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFitter:
    """Chooses units so that the rendered documents together stay within a number of tokens."""

    texts: Sequence[str]
    """The originals."""

    selector: Selector
    """Chooses by estimated cost."""

    gaps: GapStyle
    """How gaps are shown."""

    count_tokens: CountTokens
    """Counts what the caller will pay."""

    def fit(self, units: Sequence[Unit], token_limit: int) -> list[Rendered]:
        """Choose, render, count; correct the allowance by what the estimate was off; repeat.

        Args:
            units: All units of all texts, in source order.
            token_limit: Tokens that all rendered texts together may cost.

        Returns:
            One entry a text, together within `token_limit`.
        """
        [gap_tokens] = self.count_tokens([f" {self.gaps.marker} "])
        best: list[Rendered] | None = None
        allowance = token_limit
        seen: set[frozenset[int]] = set()
        for _ in range(_ROUNDS):
            kept = self.selector(units, allowance, gap_tokens)
            if kept in seen:
                break
            seen.add(kept)
            rendered = self._render(units, kept)
            used = _total(rendered)
            if used <= token_limit and (best is None or used > _total(best)):
                best = rendered
            allowance += token_limit - used
        if best is None:
            best = self._drop_until_it_fits(units, kept, token_limit)
        return best if _total(best) or not units else self._cut_best_unit(units, token_limit)

    def _render(self, units: Sequence[Unit], kept: frozenset[int] | set[int]) -> list[Rendered]:
        by_document: list[list[Span]] = [[] for _ in self.texts]
        for index in sorted(kept):
            by_document[units[index].document].append(units[index].span)
        merged = [
            merge_adjacent(text, spans) for text, spans in zip(self.texts, by_document, strict=True)
        ]
        return self._render_spans(merged)

    def _render_spans(self, kept: Sequence[tuple[Span, ...]]) -> list[Rendered]:
        written = [
            render_kept(text, spans, self.gaps)
            for text, spans in zip(self.texts, kept, strict=True)
        ]
        tokens = iter(self.count_tokens([text for text in written if text]))
        return [
            Rendered(spans, text, next(tokens) if text else 0)
            for spans, text in zip(kept, written, strict=True)
        ]

    def _drop_until_it_fits(
        self, units: Sequence[Unit], kept: frozenset[int], token_limit: int
    ) -> list[Rendered]:
        """Give up the lowest scores, a few at first, then more at a time."""
        worst_first = sorted(kept, key=lambda i: (units[i].score, -i))
        dropped = 0
        step = 1
        rendered = self._render(units, kept)
        while _total(rendered) > token_limit:
            dropped += step
            step += step // 2 + 1
            rendered = self._render(units, set(worst_first[dropped:]))
        return rendered

    def _cut_best_unit(self, units: Sequence[Unit], token_limit: int) -> list[Rendered]:
        """No unit fits: keep as many leading words of the best one as do, perhaps none."""
        best = max(units, key=lambda unit: unit.score)
        pieces = split_words(self.texts[best.document], best.span)
        low, high = 0, len(pieces)
        while low < high:
            middle = (low + high + 1) // 2
            fits = _total(self._render_prefix(best, pieces, middle)) <= token_limit
            low, high = (middle, high) if fits else (low, middle - 1)
        return self._render_prefix(best, pieces, low)

    def _render_prefix(self, unit: Unit, pieces: Sequence[Span], count: int) -> list[Rendered]:
        kept: list[tuple[Span, ...]] = [() for _ in self.texts]
        if count:
            kept[unit.document] = (Span(pieces[0].start, pieces[count - 1].end),)
        return self._render_spans(kept)


def _total(rendered: Sequence[Rendered]) -> int:
    return sum(document.tokens for document in rendered)
