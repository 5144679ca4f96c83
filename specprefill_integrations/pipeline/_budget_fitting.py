"""Selection against a real token counter: the rendered text never exceeds the limit.

A selector adds up the costs of units; a tokenizer does not, because tokens merge across joints.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from specprefill_integrations._deadline import check_deadline
from specprefill_integrations.pipeline._further_units import FurtherUnits
from specprefill_integrations.pipeline._kept_units import KeptUnits, with_needs
from specprefill_integrations.pipeline._selection import Selector, best_first, prepared
from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.pipeline._token_counting import (
    LONG_CHARS,
    count_changed,
    count_each,
)
from specprefill_integrations.pipeline._unit_costs import TokenEstimate
from specprefill_integrations.splitting._finer import split_words
from specprefill_integrations.types import CountTokens, Span, Unit

# Estimated costs are never so far above the real ones that a larger estimate could fit.
_FARTHEST_ESTIMATE = 4

# Attempts that go where the tokens of the attempt before point, and so many tokens farther, so that
# the largest choice that fits is soon between two attempts.
_GUIDED_ATTEMPTS = 6
_STEP_TOKENS = 64

# Of a large limit, a choice is close enough that leaves less than this part of it.
_LARGE_LIMIT = 10_000
_NEAR = 1_000

# So many samples, together an eighth of a text, tell about how many tokens it has.
_SAMPLES = 8

_Select = Callable[[int], frozenset[int]]

# Attempts to keep one more unit. Each writes a text again, so long texts get fewer: there the rest
# of the limit, less than a unit, matters least.
_TRIES = 64
_TRIED_CHARS = 2_000_000


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

    def fit(self, units: Sequence[Unit], token_limit: int, widest_limit: int = 0) -> list[Fitted]:
        """Select, render and count, and take the largest selection that was seen to fit.

        The rest of the limit is spent on further units, best first. If the best unit is not in the
        selection, or not all of its list, the limit is widened to the least that holds them, or at
        least the unit. If it does not fit even so, its start is kept.

        Args:
            units: All units of all texts, in source order.
            token_limit: Tokens of all rendered texts together.
            widest_limit: Tokens up to which the limit may be widened.

        Returns:
            One entry per document, together within the limits.
        """
        select = prepared(self.selector, units, self._gap_tokens)
        choice = self._largest_choice(units, select, token_limit)
        if widest_limit > token_limit:
            best = best_first(units)[:1]
            for wanted in (self._with_its_list(units, best), best):
                if choice.kept.issuperset(wanted):
                    continue
                least = self._least_choice(units, select, wanted)
                if least.tokens <= widest_limit:
                    return least.rendered
            if not choice.kept.issuperset(best):
                return self.fit(units, widest_limit)
        if not choice.kept:
            kept = select(token_limit)
            choice = self._keep_best(units, kept or frozenset(best_first(units)), token_limit)
        if not choice.kept:
            started = self._start_of_best(units, token_limit)
            if started is not None:
                return started
        is_close = token_limit - choice.tokens < _near(token_limit)
        if choice.kept and (is_close or not self.tops_up):
            return choice.rendered
        rendered = self._topped_up(units, choice, token_limit)
        return rendered if any(one.kept for one in rendered) else self._cheapest(units, token_limit)

    def keep(self, units: Sequence[Unit], kept: frozenset[int]) -> list[Fitted]:
        """Render a given selection, whatever it costs."""
        return self._render(units, kept)

    def _largest_choice(self, units: Sequence[Unit], select: _Select, token_limit: int) -> _Choice:
        """Find how much the selector may be allowed so that its choice fits.

        The tokens of one choice tell where the next attempt is due; the rest is bisection. If
        larger choices cost more, the largest that fits is found, or of a large limit one that
        leaves less than a thousandth of it.
        """
        chosen: dict[frozenset[int], _Choice] = {}

        def choice_at(allowance: int) -> _Choice:
            kept = select(allowance)
            if kept not in chosen:
                check_deadline()
                chosen[kept] = _Choice(kept, self._render(units, kept))
            return chosen[kept]

        farthest = _FARTHEST_ESTIMATE * (token_limit + self._gap_tokens)
        fits, too_large = -1, min(self._estimate(units), farthest) + 1
        near, target = _near(token_limit), token_limit - _near(token_limit) // 2
        attempt, attempts = token_limit, 0
        if near:
            attempt = attempt * target // max(1, self._sampled_tokens(units, select(attempt)))
        while too_large - fits > 1:
            attempt = min(max(attempt, fits + 1), too_large - 1)
            tokens = choice_at(attempt).tokens
            left = token_limit - tokens
            if left >= 0:
                fits, step = attempt, 2 * left + _STEP_TOKENS
            else:
                too_large, step = attempt, left - _STEP_TOKENS
            if 0 <= left < near:
                break
            if near:
                step = attempt * target // max(1, tokens) - attempt
            attempts += 1
            attempt += step
            if attempts > _GUIDED_ATTEMPTS or not fits < attempt < too_large:
                attempt = (fits + too_large) // 2
        return choice_at(fits) if fits >= 0 else _Choice(frozenset(), self._render(units, ()))

    def _sampled_tokens(self, units: Sequence[Unit], kept: Iterable[int]) -> int:
        """Return about how many tokens a selection has, rendered."""
        spans = zip(self.documents, self._spans(units, kept), strict=True)
        text = "\n".join(document.rendered(found) for document, found in spans)
        every = len(text) // _SAMPLES
        starts = range(0, every * _SAMPLES, every) if every else ()
        samples = [text[start : start + every // _SAMPLES] for start in starts]
        tokens = sum(count_each(self.count_tokens, samples))
        return tokens * len(text) // max(1, sum(map(len, samples)))

    def _least_choice(
        self, units: Sequence[Unit], select: _Select, wanted: Sequence[int]
    ) -> _Choice:
        """Find the least that the selector must be allowed to select some units, by bisection."""

        def has_them(allowance: int) -> bool:
            return select(allowance).issuperset(wanted)

        allowance = bisect_left(range(self._estimate(units)), x=True, key=has_them)
        kept = select(allowance) | with_needs(units, wanted)
        return _Choice(kept, self._render(units, kept))

    def _with_its_list(self, units: Sequence[Unit], best: Sequence[int]) -> Sequence[int]:
        """Return the best unit and the items of its list that rank with what introduces them."""
        for index in best:
            number, score = units[index].document, units[index].score
            first = bisect_left(units, number, key=lambda unit: unit.document)
            for lead, members in self.documents[number].lists():
                if index - first in members and score <= units[first + lead].score:
                    items = (first + member for member in members)
                    return [item for item in items if not units[item].only_heads]
        return best

    def _estimate(self, units: Sequence[Unit]) -> int:
        """Return an estimate of what all units cost at most."""
        return sum(unit.tokens + 2 * self._gap_tokens for unit in units)

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
        # After each unit. Tokens of long texts are known only about.
        grown, left = [choice.rendered], token_limit - choice.tokens
        tries, chars, has_changed = _TRIES, _TRIED_CHARS, False
        while tries > 0 and chars > 0:
            check_deadline()
            index = further.best_that_may_fit(left)
            if index is None and has_changed:
                further.reconsider()  # what was kept since may have made others cheaper
                has_changed = False
                continue
            if index is None:
                break
            number = units[index].document
            tries, chars = tries - 1, chars - len(self.documents[number].text)
            before = grown[-1][number]
            again = self._with_unit(units, kept.indices, index, before)
            cost = again.tokens - before.tokens
            if cost > left:
                further.reject(index)
                continue
            grown.append([*grown[-1][:number], again, *grown[-1][number + 1 :]])
            left -= cost
            further.keep(index)
            has_changed = True
            if cost < 0:  # it closed a gap, so more is left than before
                further.reconsider()
        return self._last_that_fits(grown, token_limit)

    def _with_unit(
        self, units: Sequence[Unit], kept: Iterable[int], index: int, before: Fitted
    ) -> Fitted:
        """Render the document of a unit with it; tokens of a long text are known only about."""
        number = units[index].document
        trial = with_needs(units, [index]).union(kept)
        spans = self._spans(units, (i for i in trial if units[i].document == number))[number]
        text = self.documents[number].rendered(spans)
        count = self.count_tokens
        if isinstance(count, TokenEstimate):
            count = count.of(number)
        return Fitted(spans, text, count_changed(count, before.text, before.tokens, text))

    def _last_that_fits(self, grown: list[list[Fitted]], token_limit: int) -> list[Fitted]:
        """Count long texts whole, and return the last state that fits; the first one does."""
        while len(grown) > 1:
            check_deadline()
            rendered = grown.pop()
            changed = [
                number
                for number, (old, new) in enumerate(zip(grown[0], rendered, strict=True))
                if new is not old and len(new.text) > LONG_CHARS
            ]
            tokens = self._counted({number: rendered[number].text for number in changed})
            for number, counted in zip(changed, tokens, strict=True):
                rendered[number] = replace(rendered[number], tokens=counted)
            if _total(rendered) <= token_limit:
                return rendered
        return grown[0]

    def _cheapest(self, units: Sequence[Unit], token_limit: int) -> list[Fitted]:
        """Keep the unit that costs least with its needs, if it fits."""
        costs = {
            index: sum(units[one].tokens for one in with_needs(units, [index]))
            for index, unit in enumerate(units)
            if not unit.only_heads
        }
        least = sorted(costs, key=costs.__getitem__)[:1]
        rendered = self._render(units, with_needs(units, least))
        return rendered if _total(rendered) <= token_limit else self._render(units, ())

    def _slack(self, document: SplitDocument) -> int:
        """Return by how many tokens one more unit may cost less than estimated."""
        return document.splitter.estimate_slack(self._gap_tokens)

    def _start_of_best(self, units: Sequence[Unit], token_limit: int) -> list[Fitted] | None:
        """Keep as many leading words of the best unit as fit.

        Returns:
            None if no word fits, or if a part of this unit is of no use.
        """
        best = next((units[index] for index in best_first(units)), None)
        if best is None or not self.documents[best.document].splitter.words_stand_alone:
            return None
        words = split_words(self.documents[best.document].text, best.span)
        count = _longest_fit(
            lambda n: self._render_words(best.document, words[:n]), len(words), token_limit
        )
        return self._render_words(best.document, words[:count]) if count else None

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
        written = {n: self.documents[n].rendered(spans) for n, spans in kept.items()}
        found = zip(kept.values(), written.values(), self._counted(written), strict=True)
        return [Fitted(*document) for document in found]

    def _counted(self, texts: Mapping[int, str]) -> list[int]:
        """Count texts by the number of the document that each is made of."""
        estimate = self.count_tokens
        if not isinstance(estimate, TokenEstimate):
            return count_each(estimate, [*texts.values()])
        measured = count_each(estimate.measure, [*texts.values()])
        return [estimate.of(n).scaled(one) for n, one in zip(texts, measured, strict=True)]


def _near(token_limit: int) -> int:
    """Return the tokens that a choice may leave; 0 if it is to be the largest that fits."""
    return token_limit // _NEAR if token_limit >= _LARGE_LIMIT else 0


def _total(rendered: Sequence[Fitted]) -> int:
    return sum(document.tokens for document in rendered)


def _longest_fit(render: Callable[[int], list[Fitted]], most: int, token_limit: int) -> int:
    """Return the largest count up to `most` for which `render(count)` was seen to fit; 0 fits.

    Found by bisection: with a counter for which more text may cost less, a larger one may exist.
    """
    return bisect_right(range(1, most + 1), token_limit, key=lambda count: _total(render(count)))
