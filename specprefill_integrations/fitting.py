"""Selection against a real token counter: what is rendered never costs more than the limit.

A selector adds up unit by unit; a tokenizer does not (tokens merge across joints). Here the two
are brought together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from specprefill_integrations.rendering import GapStyle
from specprefill_integrations.selection import Selector
from specprefill_integrations.split_document import SplitDocument
from specprefill_integrations.splitting.finer import split_words
from specprefill_integrations.token_counting import CountTokens, count_each
from specprefill_integrations.types import Span, Unit

_ROUNDS = 4
_TYPICAL_GAP = "x\n" * 12


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one document became."""

    kept: tuple[Span, ...]
    """What is kept of it, merged."""

    text: str
    """That, with gap markers."""

    tokens: int
    """Its cost, counted on `text`."""


class _Choice(NamedTuple):
    """A selector's answer and what it came to."""

    kept: frozenset[int]
    rendered: list[Rendered]

    @property
    def tokens(self) -> int:
        return _total(self.rendered)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFitter:
    """Chooses units so that the rendered documents together stay within a number of tokens."""

    documents: Sequence[SplitDocument]
    """The originals, cut."""

    selector: Selector
    """Chooses by estimated cost."""

    gaps: GapStyle
    """How gaps are shown."""

    count_tokens: CountTokens
    """Counts what the caller will pay."""

    def fit(self, units: Sequence[Unit], token_limit: int) -> list[Rendered]:
        """Choose, render, count, and keep the choice that uses most of the limit.

        Where no choice fits, the widest gives up its lowest scores; where no unit fits, the best
        one is cut at words.

        Args:
            units: All units of all texts, in source order.
            token_limit: Tokens that all rendered texts together may cost.

        Returns:
            One entry a text, together within `token_limit`.
        """
        choices = [choice for choice in self._choices(units, token_limit) if choice.kept]
        fitting = [choice.rendered for choice in choices if choice.tokens <= token_limit]
        if fitting:
            return max(fitting, key=_total)
        if choices:
            widest = max((choice.kept for choice in choices), key=len)
            rendered = self._keep_best(units, widest, token_limit)
            if any(document.kept for document in rendered):
                return rendered
        return self._cut_best(units, token_limit)

    def keep(self, units: Sequence[Unit], kept: frozenset[int]) -> list[Rendered]:
        """Render a choice that was made elsewhere, whatever it costs."""
        return self._render(units, kept)

    def _choices(self, units: Sequence[Unit], token_limit: int) -> Iterator[_Choice]:
        """Ask the selector a few times, correcting its allowance by what the estimate was off."""
        [gap_tokens] = self.count_tokens([f" {self.gaps.marked(_TYPICAL_GAP)} "])
        allowance = token_limit
        seen: set[frozenset[int]] = set()
        for _ in range(_ROUNDS):
            kept = self.selector(units, allowance, gap_tokens)
            if kept in seen:
                return
            seen.add(kept)
            choice = _Choice(kept, self._render(units, kept))
            yield choice
            allowance = max(0, allowance + token_limit - choice.tokens)

    def _keep_best(
        self, units: Sequence[Unit], kept: frozenset[int], token_limit: int
    ) -> list[Rendered]:
        """Of the units in `kept`, as many as fit, best first, each with what it needs."""
        needed = {i for index in kept for i in units[index].needs}
        ranked = sorted(kept - needed, key=lambda i: (-units[i].score, i))
        return _longest_fit(
            lambda count: self._render(units, _with_needs(units, ranked[:count])),
            len(ranked),
            token_limit,
        )

    def _cut_best(self, units: Sequence[Unit], token_limit: int) -> list[Rendered]:
        """Of the best unit that may be cut, as many leading words as fit, perhaps none."""
        needed = {index for unit in units for index in unit.needs}
        free = [
            unit
            for i, unit in enumerate(units)
            if i not in needed and self.documents[unit.document].may_be_cut_finer
        ]
        if not free:
            return self._render(units, ())
        best = max(free, key=lambda unit: unit.score)
        words = split_words(self.documents[best.document].text, best.span)
        return _longest_fit(
            lambda count: self._render_words(best.document, words[:count]), len(words), token_limit
        )

    def _render(self, units: Sequence[Unit], kept: Iterable[int]) -> list[Rendered]:
        by_document: list[list[Span]] = [[] for _ in self.documents]
        for index in sorted(kept):
            by_document[units[index].document].append(units[index].span)
        return self._render_spans(
            [
                document.joined(spans)
                for document, spans in zip(self.documents, by_document, strict=True)
            ]
        )

    def _render_words(self, document: int, words: Sequence[Span]) -> list[Rendered]:
        kept: list[tuple[Span, ...]] = [() for _ in self.documents]
        if words:
            kept[document] = (Span(words[0].start, words[-1].end),)
        return self._render_spans(kept)

    def _render_spans(self, kept: Sequence[tuple[Span, ...]]) -> list[Rendered]:
        written = [
            document.written(spans, self.gaps)
            for document, spans in zip(self.documents, kept, strict=True)
        ]
        tokens = count_each(self.count_tokens, written)
        return [Rendered(*document) for document in zip(kept, written, tokens, strict=True)]


def _with_needs(units: Sequence[Unit], indices: Iterable[int]) -> set[int]:
    return {i for index in indices for i in (index, *units[index].needs)}


def _total(rendered: Sequence[Rendered]) -> int:
    return sum(document.tokens for document in rendered)


def _longest_fit(
    render: Callable[[int], list[Rendered]], most: int, token_limit: int
) -> list[Rendered]:
    """`render(count)` for the largest count up to `most` that was seen to fit; `render(0)` does.

    By bisection: a counter for which more text sometimes costs less may have a larger one.
    """
    fitting = bisect_right(range(1, most + 1), token_limit, key=lambda count: _total(render(count)))
    return render(fitting)
