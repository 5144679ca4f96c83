"""Selection against a real token counter: the rendered text never exceeds the limit.

A selector adds up the costs of units; a tokenizer does not, because tokens merge across joints.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from specprefill_integrations._deadline import check_deadline
from specprefill_integrations.pipeline._further_units import FurtherUnits
from specprefill_integrations.pipeline._selection import KeptUnits, Selector, best_first, with_needs
from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.splitting._finer import split_words
from specprefill_integrations.types import CountTokens, Span, Unit

_ROUNDS = 4

# Attempts to spend the rest of a limit on further units. Each writes and counts a text again, so
# long texts get fewer.
_TRIES = 64
_TRIED_CHARS = 8_000_000


@dataclass(frozen=True, slots=True)
class Fitted:
    """The kept part of one document."""

    kept: tuple[Span, ...]
    """The kept parts, merged."""

    text: str
    """The kept parts with gap markers."""

    tokens: int
    """Tokens of `text`."""


class _Choice(NamedTuple):
    """A selection, rendered."""

    kept: frozenset[int]
    rendered: list[Fitted]

    @property
    def tokens(self) -> int:
        return _total(self.rendered)


@dataclass(frozen=True, kw_only=True)
class BudgetFitter:
    """Selects units so that the rendered documents together stay within a token limit."""

    documents: Sequence[SplitDocument]
    """The split documents."""

    selector: Selector
    """Selects by estimated cost."""

    count_tokens: CountTokens
    """Counts the tokens that the caller pays for."""

    tops_up: bool = True
    """True to spend the part of the limit that the selector left on further units."""

    def fit(self, units: Sequence[Unit], token_limit: int) -> list[Fitted]:
        """Select, render and count, and take the selection that uses most of the limit.

        The rest is spent on further units, best first. If no selection fits, the largest gives up
        its lowest scores; if no unit fits, the best one is cut at words.

        Args:
            units: All units of all texts, in source order.
            token_limit: Tokens of all rendered texts together.

        Returns:
            One entry per document, together within `token_limit`.
        """
        choices = [choice for choice in self._choices(units, token_limit) if choice.kept]
        fitting = [choice for choice in choices if choice.tokens <= token_limit]
        if not fitting and choices:
            widest = max((choice.kept for choice in choices), key=len)
            fitting = [self._keep_best(units, widest, token_limit)]
        best = max(fitting, key=lambda choice: choice.tokens, default=None)
        if best is None or not best.kept:
            return self._cut_best(units, token_limit)
        return self._topped_up(units, best, token_limit) if self.tops_up else best.rendered

    def keep(self, units: Sequence[Unit], kept: frozenset[int]) -> list[Fitted]:
        """Render a given selection, whatever it costs."""
        return self._render(units, kept)

    def _choices(self, units: Sequence[Unit], token_limit: int) -> Iterator[_Choice]:
        """Ask the selector a few times, correcting the limit by the error of its estimate."""
        gap_tokens = self._gap_tokens
        allowance = token_limit
        seen: set[frozenset[int]] = set()
        for _ in range(_ROUNDS):
            check_deadline()
            kept = self.selector(units, allowance, gap_tokens)
            if kept in seen:
                return
            seen.add(kept)
            choice = _Choice(kept, self._render(units, kept))
            yield choice
            allowance = max(0, allowance + token_limit - choice.tokens)

    @cached_property
    def _gap_tokens(self) -> int:
        """The cost of the most expensive gap marker of all documents."""
        return max(self.count_tokens(sorted({one.typical_marker for one in self.documents})))

    def _keep_best(self, units: Sequence[Unit], kept: frozenset[int], token_limit: int) -> _Choice:
        """Keep as many units of `kept` as fit, best first, each with the units that it needs."""
        ranked = [i for i in best_first(units) if i in kept]
        ranked.sort(key=lambda i: not units[i].is_protected)

        def render(count: int) -> list[Fitted]:
            return self._render(units, with_needs(units, ranked[:count]))

        count = _longest_fit(render, len(ranked), token_limit)
        return _Choice(frozenset(with_needs(units, ranked[:count])), render(count))

    def _topped_up(self, units: Sequence[Unit], choice: _Choice, token_limit: int) -> list[Fitted]:
        """Add further units, best first, until none fits into the rest of the limit."""
        kept = KeptUnits(units, self._gap_tokens, choice.kept)
        further = FurtherUnits(kept, self._gap_tokens, [*map(self._slack, self.documents)])
        rendered, left = list(choice.rendered), token_limit - choice.tokens
        tries, chars = _TRIES, _TRIED_CHARS
        while tries > 0 and chars > 0:
            check_deadline()
            index = further.best_that_may_fit(left)
            if index is None:
                break
            number = units[index].document
            tries, chars = tries - 1, chars - len(self.documents[number].text)
            trial = with_needs(units, [index]) | kept.indices
            of_document = (i for i in trial if units[i].document == number)
            [again] = self._render_spans({number: self._spans(units, of_document)[number]})
            cost = again.tokens - rendered[number].tokens
            if cost > left:
                further.reject(index)
                continue
            rendered[number] = again
            left -= cost
            further.keep(index)
            if cost < 0:  # it closed a gap, so more is left than before
                further.reconsider()
        return rendered

    def _slack(self, document: SplitDocument) -> int:
        """Return by how many tokens one more unit may cost less than estimated."""
        return document.splitter.estimate_slack(self._gap_tokens)

    def _cut_best(self, units: Sequence[Unit], token_limit: int) -> list[Fitted]:
        """Keep as many leading words of the best unit that may be cut as fit, perhaps none.

        If none may be cut, the best units that fit are kept.
        """
        free = [
            units[i]
            for i in best_first(units)
            if self.documents[units[i].document].splitter.words_stand_alone
        ]
        if not free:
            nothing = _Choice(frozenset(), self._render(units, ()))
            return self._topped_up(units, nothing, token_limit)
        best = free[0]
        words = split_words(self.documents[best.document].text, best.span)
        count = _longest_fit(
            lambda n: self._render_words(best.document, words[:n]), len(words), token_limit
        )
        return self._render_words(best.document, words[:count])

    def _render(self, units: Sequence[Unit], kept: Iterable[int]) -> list[Fitted]:
        return self._render_spans(dict(enumerate(self._spans(units, kept))))

    def _render_words(self, document: int, words: Sequence[Span]) -> list[Fitted]:
        kept: dict[int, tuple[Span, ...]] = dict.fromkeys(range(len(self.documents)), ())
        if words:
            kept[document] = (Span(words[0].start, words[-1].end),)
        return self._render_spans(kept)

    def _spans(self, units: Sequence[Unit], kept: Iterable[int]) -> list[tuple[Span, ...]]:
        """Return the kept spans of each document, joined."""
        by_document: list[list[Span]] = [[] for _ in self.documents]
        for index in sorted(kept):
            by_document[units[index].document].append(units[index].span)
        return [
            document.joined(spans)
            for document, spans in zip(self.documents, by_document, strict=True)
        ]

    def _render_spans(self, kept: Mapping[int, tuple[Span, ...]]) -> list[Fitted]:
        """Render and count some documents, in the order of `kept`."""
        written = [self.documents[number].rendered(spans) for number, spans in kept.items()]
        tokens = count_each(self.count_tokens, written)
        found = zip(kept.values(), written, tokens, strict=True)
        return [Fitted(*document) for document in found]


def _total(rendered: Sequence[Fitted]) -> int:
    return sum(document.tokens for document in rendered)


def _longest_fit(render: Callable[[int], list[Fitted]], most: int, token_limit: int) -> int:
    """Return the largest count up to `most` for which `render(count)` was seen to fit; 0 fits.

    Found by bisection: with a counter for which more text may cost less, a larger one may exist.
    """
    return bisect_right(range(1, most + 1), token_limit, key=lambda count: _total(render(count)))
