"""From how many tokens on a text is compressed: what was said, and what was measured."""

from __future__ import annotations

import logging
import threading

import pytest

from specprefill_integrations import Budget
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.observability import (
    BreakEven,
    TtftLog,
    least_tokens_that_pay,
)
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.tool_results import Thresholds
from tests.unit_tests.observability.measured_calls import LENGTHS, add_calls, note_texts

FIFTH = Budget(keep_fraction=0.2)


def measured(draft: float, target: float) -> Thresholds:
    log = TtftLog()
    add_calls(log, target)
    thresholds = Thresholds(log)
    thresholds.note(100, 60.0)  # loads the draft
    note_texts(thresholds, draft, [*LENGTHS] * 2)
    return thresholds


class TestWhatWasSaid:
    def test_a_number_is_itself(self) -> None:
        assert Thresholds().least_tokens(0, FIFTH) == 0
        assert Thresholds().least_tokens(700, Budget(attention_mass=0.9)) == 700

    @pytest.mark.parametrize("draft", [4000, 1000])
    def test_a_break_even_is_where_it_pays(self, draft: float) -> None:
        about = {"draft_tokens_per_second": draft, "overhead_seconds": 0.4948}
        figures = {"budget": FIFTH, "target_tokens_per_second": 1000, **about}
        found = Thresholds().least_tokens(BreakEven.in_seconds(**figures), Budget(max_tokens=1))
        assert found == least_tokens_that_pay(**figures) == (900 if draft == 4000 else None)

    def test_money_counts_too(self) -> None:
        prices = Prices(input_per_million=1.0, draft_per_hour=3.6)
        money = BreakEven.in_money(
            budget=FIFTH, prices=prices, draft_tokens_per_second=10_000, overhead_seconds=1.0
        )
        assert Thresholds().least_tokens(money, FIFTH) == money.least_tokens == 1429


class TestAuto:
    def test_it_is_where_it_pays_rounded_up(self) -> None:
        assert measured(4000, 1000).least_tokens("auto", FIFTH) == 900
        assert measured(4000, 999).least_tokens("auto", FIFTH) == 900
        assert measured(4000, 1001).least_tokens("auto", FIFTH) == 1000

    def test_it_depends_on_the_budget(self) -> None:
        thresholds = measured(4000, 1000)
        assert thresholds.least_tokens("auto", Budget(keep_fraction=0.5)) == 2000
        assert thresholds.least_tokens("auto", Budget(keep_fraction=0.8)) is None

    def test_where_it_never_pays_there_is_none(self) -> None:
        assert measured(1000, 1000).least_tokens("auto", FIFTH) is None

    def test_a_draft_that_was_slow_for_a_while_is_measured_anew(self) -> None:
        thresholds = measured(1000, 1000)
        asked = [thresholds.least_tokens("auto", FIFTH) for _ in range(101)]
        assert asked == [None] * 100 + [500]
        note_texts(thresholds, 4000, [*LENGTHS] * 2)
        assert {thresholds.least_tokens("auto", FIFTH) for _ in range(100)} == {900}

    def test_what_is_compressed_keeps_the_measurement(self) -> None:
        thresholds = measured(4000, 1000)
        for _ in range(60):
            assert thresholds.least_tokens("auto", FIFTH) == 900
        note_texts(thresholds, 4000, LENGTHS[:1])
        for _ in range(60):
            assert thresholds.least_tokens("auto", FIFTH) == 900

    def test_until_enough_is_known_it_is_the_default(self) -> None:
        log = TtftLog()
        thresholds = Thresholds(log)
        assert thresholds.least_tokens("auto", FIFTH) == 500
        note_texts(thresholds, lengths=LENGTHS)
        assert thresholds.least_tokens("auto", FIFTH) == 500
        add_calls(log, 1000, LENGTHS[:-1])
        assert thresholds.least_tokens("auto", FIFTH) == 500
        add_calls(log, 1000, LENGTHS[-1:])
        assert thresholds.least_tokens("auto", FIFTH) == 900

    def test_without_texts_it_is_the_default_too(self) -> None:
        log = TtftLog()
        add_calls(log, 1000)
        assert Thresholds(log).least_tokens("auto", FIFTH) == 500

    def test_calls_of_several_models_say_nothing(self) -> None:
        log = TtftLog()
        thresholds = Thresholds(log)
        note_texts(thresholds, lengths=LENGTHS)
        add_calls(log, 1000, model="a")
        add_calls(log, 10, model="b")
        assert thresholds.least_tokens("auto", FIFTH) == 500

    def test_only_the_last_calls_count(self) -> None:
        log = TtftLog()
        thresholds = Thresholds(log)
        note_texts(thresholds, per_second=1, lengths=LENGTHS)
        add_calls(log, 1e6)
        for _ in range(13):
            note_texts(thresholds)
            add_calls(log, 1000)
        assert thresholds.least_tokens("auto", FIFTH) == 900

    def test_each_change_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        log = TtftLog()
        thresholds = Thresholds(log)
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                thresholds.least_tokens("auto", FIFTH)
            note_texts(thresholds, lengths=LENGTHS)
            add_calls(log, 1000)
            for _ in range(3):
                thresholds.least_tokens("auto", FIFTH)
            add_calls(log, 1e5, [*LENGTHS] * 13)
            thresholds.least_tokens("auto", FIFTH)
        first, second, third = (record.getMessage() for record in caplog.records)
        assert "compressing from 500 tokens on" in first
        assert "draft not known (too few), model not known (too few)" in first
        assert "from 900 tokens on" in second
        assert second.endswith("draft 4,000, model 1,000")
        assert "compressing nothing" in third

    def test_many_threads_may_ask_and_tell(self) -> None:
        log = TtftLog()
        thresholds = Thresholds(log)
        add_calls(log, 1000)
        found = []

        def work() -> None:
            for _ in range(30):
                note_texts(thresholds, lengths=LENGTHS)
                found.append(thresholds.least_tokens("auto", FIFTH))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 120
        assert set(found) <= {500, 900}
        assert found[-1] == 900


class TestCheck:
    @pytest.mark.parametrize("min_tokens", [0, 500])
    def test_numbers_need_nothing(self, min_tokens: int) -> None:
        Thresholds().check(min_tokens, Budget(attention_mass=0.9))

    def test_auto_needs_a_log(self) -> None:
        with pytest.raises(ValueError, match="ttft_log="):
            Thresholds().check("auto", FIFTH)
        Thresholds(TtftLog()).check("auto", FIFTH)

    def test_auto_needs_a_budget_that_says_how_much(self) -> None:
        with pytest.raises(BudgetError, match="keep_fraction= or max_tokens="):
            Thresholds(TtftLog()).check("auto", Budget(attention_mass=0.9))

    def test_no_other_word_means_anything(self) -> None:
        with pytest.raises(ValueError, match="'Auto'"):
            Thresholds(TtftLog()).check("Auto", FIFTH)
