"""Shadow logs: what would be saved, what answers take from the rest, and that nothing changes."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.observability import Prices, ShadowLog, ShadowSummary, TokenUsage
from specprefill_integrations.observability._shadow_summary import read_shadow_log
from specprefill_integrations.observability._terms import terms_of
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import TextHint

TEXT = (
    "Rain fell on the hills. " * 10
    + "The dog barked at noon. "
    + "Order ORD-5521 was paid with 149.90 by Zimmermann. " * 2
    + "Snow fell on the roofs. " * 10
)
QUESTION = "When did the dog bark?"
BUDGET = Budget(max_tokens=16)


def shadowed(log: ShadowLog, text: str = TEXT, **options: Any) -> ContextCompressor:
    compressor = ContextCompressor(KeywordScorer(), shadow_log=log)
    done = compressor.compress(text, QUESTION, budget=BUDGET, **options)
    assert done.text == text
    return compressor


class TestTerms:
    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ("Order ORD-5521 cost 149.90.", {"Order": "name", "ORD-5521": "identifier"}),
            ("call read_log(path) in src/app.py:17", {"read_log": "identifier"}),
            ("getUser returned 404", {"getUser": "identifier", "404": "number"}),
            ("Frau Zimmermann rief um 12:30 an", {"Zimmermann": "name", "12:30": "number"}),
            ("mail ada@example.org, v1.2.3", {"ada@example.org": "identifier"}),
            ("see 10.0.0.7 and µService", {"10.0.0.7": "number"}),
        ],
    )
    def test_what_is_one(self, text: str, terms: dict[str, str]) -> None:
        assert terms.items() <= dict(terms_of(text)).items()

    @pytest.mark.parametrize("text", ["it is 7 or so", "the dog barked", "...", "___", "", "a.b"])
    def test_what_is_none(self, text: str) -> None:
        assert [term for term, _ in terms_of(text) if term != "a.b"] == []

    @given(st.text())
    def test_terms_stand_in_the_text(self, text: str) -> None:
        assert all(term and term in text for term, _ in terms_of(text))

    def test_the_first_word_of_a_sentence_in_an_answer_is_no_name(self) -> None:
        said = 'Rain fell.\n- Snow? In Oslo, Ada {"city": "Bergen"}: Fine'
        assert [term for term, _ in terms_of(said, is_answer=True)] == ["Oslo", "Ada", "Bergen"]

    def test_a_blob_is_cut(self) -> None:
        [(term, _)] = terms_of("a1" * 1_000_000)
        assert len(term) == 200


class TestShadow:
    @given(
        st.lists(st.text(max_size=200), max_size=4),
        st.text(max_size=20),
        st.sampled_from([BUDGET, Budget(keep_fraction=0.2)]),
    )
    def test_nothing_changes_and_the_record_says_what_would(
        self, texts: Sequence[str], query: str, budget: Budget
    ) -> None:
        log = ShadowLog()
        plain = ContextCompressor(KeywordScorer())
        real = plain.compress_documents(texts, query, budget=budget)
        shadow = plain.replace(shadow_log=log).compress_documents(texts, query, budget=budget)
        assert [one.text for one in shadow] == list(texts)
        assert all(one.skipped_because for one in shadow)
        [record] = log.records
        assert record["original_tokens"] == sum(one.original_tokens for one in real)
        assert record["kept_tokens"] == sum(one.kept_tokens for one in real)

    async def test_asynchronous_calls_are_measured_alike(self) -> None:
        log = ShadowLog()
        compressor = shadowed(log)
        done = await compressor.acompress(TEXT, QUESTION, budget=BUDGET)
        assert (done.text, done.skipped_because) == (TEXT, "shadow")
        assert done.kept_tokens == done.original_tokens
        first, second = log.records
        assert {**first, "id": 0, "time": 0, "elapsed_seconds": 0} == {
            **second,
            "id": 0,
            "time": 0,
            "elapsed_seconds": 0,
        }

    def test_a_failure_is_recorded(self) -> None:
        class FailingScorer(KeywordScorer):
            def score_spans(self, *_: Any) -> Any:
                raise OSError

        log = ShadowLog()
        failing = ContextCompressor(FailingScorer(), shadow_log=log)
        assert failing.compress(TEXT, QUESTION, budget=BUDGET).text == TEXT
        assert log.records[0]["skipped_because"] == "scorer_failed"

    def test_replace_switches_it_on_and_off(self) -> None:
        log = ShadowLog()
        on = ContextCompressor(KeywordScorer()).replace(shadow_log=log)
        assert on.replace(on_error="raise").shadow_log is log
        off = on.replace(shadow_log=None)
        assert off.compress(TEXT, QUESTION, budget=BUDGET).skipped_because is None


class TestLosses:
    def lost(self, answer: str, prompt: Sequence[str] = (QUESTION, TEXT)) -> dict[str, int]:
        log = ShadowLog()
        shadowed(log)
        log.answered(prompt, [answer])
        return dict(log.summary().lost)

    def test_terms_of_the_answer_that_only_a_cut_part_holds_are_lost(self) -> None:
        found = self.lost('Done: pay({"order": "ORD-5521", "sum": 149.90}) for Zimmermann')
        assert found == {"identifier": 1, "number": 1, "name": 1}

    def test_an_answer_from_the_kept_part_loses_nothing(self) -> None:
        assert self.lost("The dog barked at noon. Snow fell.") == {}

    def test_a_term_that_stands_elsewhere_in_the_prompt_is_not_lost(self) -> None:
        asked = f"{QUESTION} Was ORD-5521 paid?"
        assert self.lost("ORD-5521 was paid.", [asked, TEXT]) == {}

    def test_a_text_that_is_not_in_the_prompt_loses_nothing(self) -> None:
        assert self.lost("ORD-5521 was paid.", [QUESTION, "Zimmermann"]) == {}

    def test_a_prompt_may_hold_a_text_twice_and_among_others(self) -> None:
        prompt = [f"Context:\n{TEXT}\n---\n{TEXT}\nQuestion: {QUESTION}"]
        assert self.lost("ORD-5521", prompt) == {"identifier": 1}

    def test_what_was_said_once_is_not_lost_again(self) -> None:
        log = ShadowLog()
        shadowed(log)
        log.answered([TEXT], ["It is ORD-5521."])
        log.answered([TEXT, "It is ORD-5521."], ["As I said, ORD-5521."])
        assert [record["lost"] != {} for record in log.records[1:]] == [True, False]

    def test_no_record_holds_a_text_unless_asked_for(self) -> None:
        for with_terms in (False, True):
            log = ShadowLog(with_terms=with_terms)
            shadowed(log)
            log.answered([TEXT], ["It is ORD-5521."])
            assert ("ORD-5521" in json.dumps(log.records)) == with_terms

    def test_memory_is_bounded(self) -> None:
        log = ShadowLog(max_records=5)
        many = " ".join(f"Item-{number} was sold." for number in range(3_000))
        for number in range(1_010):
            log.measured([f"{number}"], [])
        ContextCompressor(KeywordScorer(), shadow_log=log).compress(many, "x", budget=BUDGET)
        assert len(log.records) == 5
        assert len(log._dropped) <= 1_000
        assert max(len(one.terms) for one in log._dropped.values()) == 1_000


class TestSummary:
    def test_reads_are_counted_net_of_the_cache(self) -> None:
        log = ShadowLog()
        shadowed(log, hint=TextHint(tool="read_mail"))
        [record] = log.records
        saved = record["original_tokens"] - record["kept_tokens"]
        for cached in (0, 10_000, 50):
            usage = TokenUsage(input_tokens=20_000, cached_tokens=cached, output_tokens=9)
            log.answered([TEXT], ["Fine."], usage=usage)
        found = log.summary()
        assert (found.saved_tokens, found.saved_cached_tokens) == (2 * saved - 50, saved + 50)
        prices = Prices(input_per_million=10.0, cached_input_per_million=1.0)
        money = (10 * (2 * saved - 50) + saved + 50) / 1_000_000
        assert found.net_saving(prices) == pytest.approx(money)
        assert found.by_tool["read_mail"].cut == found.total.cut == 1

    def test_a_dear_draft_loses_money(self) -> None:
        prices = Prices(input_per_million=1.0, draft_per_hour=3600.0)
        assert ShadowSummary(draft_seconds=1.0, saved_tokens=100).net_saving(prices) < 0

    def test_without_answers_losses_are_unknown(self) -> None:
        log = ShadowLog()
        shadowed(log)
        assert "not known" in log.summary().report()

    def test_a_file_has_the_same_sums_and_goes_on(self, tmp_path: Path) -> None:
        path = tmp_path / "shadow.jsonl"
        for _ in range(2):
            log = ShadowLog(path)
            shadowed(log)
            log.answered([TEXT], ["It is ORD-5521."])
        with path.open("a") as file:
            file.write('{"id": "cut off')
        found = read_shadow_log([path])
        assert (found.total.cut, found.total.quoted, found.answers) == (2, 2, 2)
        assert found.lost == {"identifier": 2}

    def test_the_command_line_reports_it_with_prices(self, tmp_path: Path) -> None:
        pytest.importorskip("typer", reason="needs the extra `cli`")
        from typer.testing import CliRunner  # noqa: PLC0415

        from specprefill_integrations.cli import build_app  # noqa: PLC0415

        log = ShadowLog(tmp_path / "shadow.jsonl")
        shadowed(log)
        log.answered([TEXT], ["It is ORD-5521."])
        options = ["evaluate", "report", str(tmp_path / "shadow.jsonl"), "--input-price", "10"]
        shown = CliRunner().invoke(build_app(), options)
        assert shown.exit_code == 0
        prices = Prices(input_per_million=10)
        assert shown.output == f"{log.summary().report(prices)}\n"
        assert "1 identifiers" in shown.output

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "cases.jsonl"
        path.write_text('{"id": "1", "query": "a"}\n')
        with pytest.raises(EvaluationDataError, match="no shadow log"):
            read_shadow_log([path])


def test_a_recording_of_cases_is_no_shadow_log(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"id": "1", "question": "Who?"}\n', "utf-8")
    with pytest.raises(EvaluationDataError, match="not changed"):
        ShadowLog(path)


def test_copies_record_in_one_place_and_another_process_is_refused() -> None:
    log = ShadowLog()
    compressor = copy.deepcopy(shadowed(log))
    compressor.compress(TEXT, QUESTION, budget=BUDGET)
    assert len(copy.deepcopy(log).records) == len(log.records) == 2
    with pytest.raises(TypeError, match="a log of its own"):
        pickle.dumps(compressor)
