"""The ways a choice is brought within its limit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations.pipeline import _budget_fitting
from specprefill_integrations.pipeline._budget_fitting import BudgetFitter
from specprefill_integrations.pipeline._selection import Selector, best_first, select_best
from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.types import Span, Unit

TEXT = "aa bb cc dd ee ff"
UNITS = [
    Unit(0, Span(i, i + 2), 1, score)
    for i, score in zip(range(0, 17, 3), [3, 9, 1, 5, 7, 2], strict=True)
]


def fitted(
    selector: Selector, limit: int, *, units: Sequence[Unit] = UNITS, widest: int = 0
) -> tuple[str, int]:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    fitter = BudgetFitter(
        documents=[SplitDocument.from_text(TEXT, ProseSplitter(), GapStyle(marker="@"))],
        selector=selector,
        count_tokens=count,
        tops_up=False,
    )
    [rendered] = fitter.fit(units, limit, widest)
    return rendered.text, rendered.tokens


def test_a_choice_that_fits_is_taken() -> None:
    assert fitted(select_best, 5) == ("aa bb @ ee ff", 5)


def test_a_selector_that_will_not_listen_gives_up_its_lowest_scores() -> None:
    assert fitted(lambda *_: frozenset(range(6)), 5) == ("@ bb @ ee @", 5)


def test_where_no_unit_fits_nothing_is_kept() -> None:
    assert fitted(lambda *_: frozenset({1}), 1) == ("", 0)


def test_where_not_even_a_word_of_the_best_unit_fits_the_best_that_does_is_kept() -> None:
    assert fitted(select_best, 2) == ("aa @", 2)


def test_a_selector_that_keeps_too_little_is_asked_for_more() -> None:
    asked: list[int] = []

    def half_hearted(units: Sequence[Unit], limit: int, gap_tokens: int) -> frozenset[int]:
        asked.append(limit)
        return select_best(units, limit // 2, gap_tokens)

    assert fitted(half_hearted, 6)[1] == 6
    assert min(asked) >= 0
    assert max(asked) > 6


def test_a_counter_that_merges_what_was_counted_apart_leaves_no_rest() -> None:
    """Units that cost less together than apart: the estimate alone would stop too early."""
    units = [replace(unit, tokens=2) for unit in UNITS]
    assert fitted(select_best, 5, units=units) == ("@ bb @ ee @", 5)


def test_a_limit_is_widened_only_as_far_as_the_best_unit_needs() -> None:
    assert fitted(select_best, 1, widest=6) == ("aa bb @", 3)
    assert fitted(select_best, 4, widest=6) == ("aa bb @", 3)


def test_what_does_not_fit_into_the_widest_limit_is_cut_to_it() -> None:
    whole = [Unit(0, Span(0, len(TEXT)), 6, 1.0)]
    assert fitted(select_best, 1, units=whole, widest=4) == ("aa bb cc @", 4)


def test_no_units_no_text() -> None:
    fitter = BudgetFitter(
        documents=[
            SplitDocument.from_text(text, ProseSplitter(), GapStyle()) for text in (" ", "")
        ],
        selector=select_best,
        count_tokens=lambda texts: [len(text) for text in texts],
    )
    assert [rendered.text for rendered in fitter.fit([], 1)] == ["", ""]


def slowly_fitted(documents: Sequence[SplitDocument], units: Sequence[Unit], limit: int) -> str:
    """Every allowance is tried, every attempt is written and counted whole."""

    def text_of(kept: Collection[int]) -> str:
        spans = [units[index].span for index in sorted(kept)]
        return documents[0].rendered(documents[0].joined(spans))

    most = sum(unit.tokens + 2 for unit in units)
    choices = [select_best(units, allowance, 1) for allowance in range(most + 1)]
    kept = set(max((one for one in choices if words(text_of(one)) <= limit), key=len))
    for index in [*best_first(units)] * 2:  # once more, for what became cheaper
        if words(text_of({*kept, index})) <= limit:
            kept.add(index)
    return text_of(kept)


@settings(max_examples=20)
@given(st.data(), st.integers(2, 60), st.floats(0.05, 0.95))
def test_fast_equals_slow_also_for_long_texts(data: st.DataObject, count: int, keep: float) -> None:
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    text = " ".join(f"{'Aword ' * length}end{n}." for n, length in enumerate(lengths))
    document = SplitDocument.from_text(text * 3, ProseSplitter(), GapStyle(marker="@"))
    scores = data.draw(st.permutations(range(len(document.units))))
    units = [
        Unit(0, span, words(text[span.start : span.end]), float(score))
        for span, score in zip(document.units, scores, strict=True)
    ]
    limit = max(60, int(words(document.text) * keep))
    fitter = BudgetFitter(
        documents=[document], selector=select_best, count_tokens=lambda t: [*map(words, t)]
    )
    with pytest.MonkeyPatch.context() as patch:  # the attempts are limited, the slow one's are not
        patch.setattr(_budget_fitting, "_TRIES", 10_000)
        [fitted_text] = fitter.fit(units, limit)
    assert fitted_text.text == slowly_fitted([document], units, limit)
    assert fitted_text.tokens == words(fitted_text.text) <= limit


def test_a_long_text_is_written_and_counted_a_few_times() -> None:
    text = " ".join(f"{'Aword ' * (n % 11 + 3)}end{n}." for n in range(3_000))
    document = SplitDocument.from_text(text, ProseSplitter(), GapStyle(marker="@"))
    units = [
        Unit(0, span, words(text[span.start : span.end]), float(n * 7919 % 3001))
        for n, span in enumerate(document.units)
    ]
    counted: list[int] = []

    def count(texts: Sequence[str]) -> list[int]:
        counted.extend(map(len, texts))
        return [words(text) for text in texts]

    [found] = BudgetFitter(documents=[document], selector=select_best, count_tokens=count).fit(
        units, words(text) // 4
    )
    assert sum(counted) < 8 * len(found.text)


@given(st.integers(-3, 3), st.integers(300, 2_000))
def test_what_is_counted_whole_decides(error: int, limit: int) -> None:
    """A counter for which parts cost more or less than they do in a long text."""
    text = " ".join(f"{'Aword ' * (n % 11 + 3)}end{n}." for n in range(400))
    document = SplitDocument.from_text(text, ProseSplitter(), GapStyle(marker="@"))
    units = [Unit(0, s, words(text[s.start : s.end]), float(s.end % 97)) for s in document.units]

    def count(texts: Sequence[str]) -> list[int]:
        return [words(text) + error * (len(text) // 900) for text in texts]

    [found] = BudgetFitter(documents=[document], selector=select_best, count_tokens=count).fit(
        units, limit
    )
    assert count([found.text]) == [found.tokens]
    assert 0 < found.tokens <= limit


def words(text: str) -> int:
    return len(text.split())
