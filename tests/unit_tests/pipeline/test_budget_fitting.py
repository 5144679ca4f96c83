"""The ways a choice is brought within its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from specprefill_integrations.pipeline._budget_fitting import BudgetFitter
from specprefill_integrations.pipeline._selection import Selector, select_best
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
