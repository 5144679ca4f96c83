"""The ways a choice is brought within its limit."""

from __future__ import annotations

from collections.abc import Sequence

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


def fitted(selector: Selector, limit: int, *, marker_tokens: int = 1) -> tuple[str, int]:
    def count(texts: Sequence[str]) -> list[int]:
        return [sum(marker_tokens if w == "@" else 1 for w in text.split()) for text in texts]

    fitter = BudgetFitter(
        documents=[SplitDocument.from_text(TEXT, ProseSplitter(), GapStyle(marker="@"))],
        selector=selector,
        count_tokens=count,
        tops_up=False,
    )
    [rendered] = fitter.fit(UNITS, limit)
    return rendered.text, rendered.tokens


def test_a_choice_that_fits_is_taken() -> None:
    assert fitted(select_best, 5) == ("aa bb @ ee ff", 5)


def test_a_selector_that_will_not_listen_gives_up_its_lowest_scores() -> None:
    assert fitted(lambda *_: frozenset(range(6)), 5) == ("@ bb @ ee @", 5)


def test_the_widest_of_choices_that_do_not_fit_is_the_one_to_shrink() -> None:
    choices = iter([frozenset({2, 3}), frozenset(range(6)), frozenset({2})])
    assert fitted(lambda *_: next(choices, frozenset({2})), 3) == ("@ cc @", 3)
    choices = iter([frozenset({2, 3}), frozenset(range(6))])
    assert fitted(lambda *_: next(choices, frozenset({2, 3})), 3) == ("@ bb @", 3)


def test_where_no_unit_fits_nothing_is_kept() -> None:
    assert fitted(lambda *_: frozenset({1}), 2) == ("", 0)


def test_no_selector_is_asked_for_less_than_nothing() -> None:
    asked: list[int] = []

    def one_less_each_time(units: Sequence[Unit], limit: int, gap_tokens: int) -> frozenset[int]:
        asked.append(limit)
        return frozenset(range(len(units) - len(asked)))

    fitted(one_less_each_time, 1)
    assert asked == [1, 0, 0, 0]


def test_a_selector_that_keeps_too_little_is_asked_for_more() -> None:
    asked: list[int] = []

    def half_hearted(units: Sequence[Unit], limit: int, gap_tokens: int) -> frozenset[int]:
        asked.append(limit)
        return select_best(units, limit // 2, gap_tokens)

    assert fitted(half_hearted, 6)[1] == 6
    assert asked[0] == 6
    assert asked[1] > 6


def test_no_units_no_text() -> None:
    fitter = BudgetFitter(
        documents=[
            SplitDocument.from_text(text, ProseSplitter(), GapStyle()) for text in (" ", "")
        ],
        selector=select_best,
        count_tokens=lambda texts: [len(text) for text in texts],
    )
    assert [rendered.text for rendered in fitter.fit([], 1)] == ["", ""]
