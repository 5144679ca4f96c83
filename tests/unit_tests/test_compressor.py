"""The compressor's doors and what it does when something fails."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pydantic import BaseModel, ValidationError

from specprefill_integrations import (
    Budget,
    Compression,
    ContextCompressor,
    GapStyle,
    Span,
    TextHint,
)
from specprefill_integrations.errors import ScoreError, TokenCounterError
from specprefill_integrations.pipeline._selection import select_best
from specprefill_integrations.pipeline._step_values import Stages
from specprefill_integrations.pipeline._token_counting import as_token_counter
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.splitting import SplitByKind
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Unit
from tests.tiny_models import save_tiny_draft

TEXT = "The cat sat on the mat. A dog barked at the moon. Nothing else happened that night. Really."
BUDGET = Budget(max_tokens=17)
LOGGER = "specprefill_integrations.compressor"


class FailingScorer(KeywordScorer):
    """Raises what it is told to."""

    error: BaseException = RuntimeError("the draft is out of memory")

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Fail."""
        raise self.error


class Interrupted(FailingScorer):
    """Somebody pressed Ctrl-C."""

    error = KeyboardInterrupt()


class GivingScorer(KeywordScorer):
    """Scores of the caller's choice."""

    given: Sequence[Sequence[float]] = ()

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Any:
        """What was given."""
        return self.given


def giving(scores: Sequence[Sequence[float]]) -> GivingScorer:
    return type("Giving", (GivingScorer,), {"given": scores})()


def failing_counter(after: int) -> Callable[[str], int]:
    """Works for so many texts."""
    left = iter(range(after))

    def count(text: str) -> int:
        if next(left, None) is None:
            msg = "the tokenizer is gone"
            raise RuntimeError(msg)
        return len(text.split())

    return count


def timeless(results: Sequence[Compression]) -> list[Compression]:
    return [replace(result, elapsed_seconds=0) for result in results]


class TestCompress:
    def test_keeps_what_the_question_needs(self) -> None:
        result = ContextCompressor(KeywordScorer()).compress(TEXT, "dog moon", budget=BUDGET)
        assert result.text == "[...] A dog barked at the moon. [...]"
        assert result.kept == (Span(24, 49),)
        assert result.skipped_because is None
        assert result.original_tokens == 22
        assert result.elapsed_seconds > 0

    def test_a_budget_of_one_token_may_buy_nothing(self) -> None:
        result = ContextCompressor(KeywordScorer()).compress(TEXT, budget=Budget(max_tokens=1))
        assert (result.text, result.kept, result.kept_tokens) == ("", (), 0)
        assert result.skipped_because is None

    def test_a_text_within_the_budget_is_left_alone(self) -> None:
        compressor = ContextCompressor(FailingScorer(), on_error="raise")
        result = compressor.compress(TEXT, budget=Budget(max_tokens=22))
        assert result.text == TEXT
        assert result.skipped_because == "within_budget"

    def test_a_lone_surrogate_survives(self) -> None:
        text = "The cat \ud800 sat. A dog barked. \udfffNothing else happened that night."
        counter = lambda text: len(text.encode().split())  # noqa: E731 - encoding is the point
        result = ContextCompressor(
            KeywordScorer(), count_tokens=counter, on_error="raise"
        ).compress(text, "cat \udc00", budget=Budget(max_tokens=6))
        assert result.text == "The cat \ud800 sat. [...]"

    def test_white_space_alone_needs_no_draft(self) -> None:
        compressor = ContextCompressor(FailingScorer(), count_tokens=len, on_error="raise")
        result = compressor.compress(" \n" * 50, budget=Budget(max_tokens=10))
        assert (result.text, result.kept) == ("", ())

    def test_a_fraction_of_units_is_rounded_up(self) -> None:
        compressor = ContextCompressor(KeywordScorer(), fraction_of="units")
        units = compressor.splitter(TEXT)
        for percent in (10, 34, 67, 99):
            result = compressor.compress(
                TEXT, "dog cat", budget=Budget(keep_fraction=percent / 100)
            )
            kept = [u for u in units if any(k.start <= u.start < k.end for k in result.kept)]
            assert len(kept) == -(-len(units) * percent // 100)

    def test_a_fraction_of_units_stays_within_a_number_of_tokens(self) -> None:
        compressor = ContextCompressor(KeywordScorer(), fraction_of="units")
        result = compressor.compress(TEXT, "dog cat", budget=Budget(max_tokens=18))
        assert 0 < result.kept_tokens <= 18


class TestCompressDocuments:
    def test_no_texts(self) -> None:
        assert ContextCompressor(KeywordScorer()).compress_documents([], budget=BUDGET) == []

    def test_one_budget_for_all(self) -> None:
        texts = [TEXT, "", "A dog barked at the moon again.", "   "]
        results = ContextCompressor(KeywordScorer()).compress_documents(
            texts, "dog moon barked", budget=Budget(max_tokens=8)
        )
        assert [result.text for result in results] == [
            "",
            "",
            "A dog barked at the moon again.",
            "",
        ]
        assert [result.skipped_because for result in results] == [None, "empty_text", None, None]
        assert [result.is_left_out for result in results] == [True, False, False, False]

    def test_a_text_of_which_only_the_title_would_remain_is_left_out(self) -> None:
        texts = ["# The dog\n\nFish swim all day.\n", "# Weather\n\nA dog barked in the rain.\n"]
        titled, kept = ContextCompressor(KeywordScorer(), on_error="raise").compress_documents(
            texts, "Which dog barked?", budget=Budget(max_tokens=10)
        )
        assert (titled.text, titled.is_left_out, titled.skipped_because) == ("", True, None)
        assert (kept.text, kept.is_left_out) == (texts[1].strip(), False)


class TestReplace:
    def test_all_else_is_the_same(self) -> None:
        compressor = ContextCompressor(
            KeywordScorer(),
            splitter=LineSplitter(),
            selector=lambda units, *_: frozenset({len(units) - 1}),
            gaps=GapStyle(marker="(cut)"),
            protect=(),
            fraction_of="units",
            count_tokens=len,
            on_error="raise",
        )
        scorer = FailingScorer()
        other = compressor.replace(scorer=scorer)
        assert other.scorer is scorer
        assert other.count_tokens(["four"]) == [4]
        assert other.stages == dataclasses.replace(compressor.stages, scorer=scorer)
        assert other.on_error == compressor.on_error

    def test_it_counts_as_before_and_may_fail_otherwise(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        other = compressor.replace(scorer=FailingScorer(), on_error="raise")
        assert other.count_tokens == compressor.count_tokens
        assert (compressor.on_error, other.on_error) == ("pass_through", "raise")

    def test_every_stage_can_be_replaced_and_nothing_else(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        changes = {
            "scorer": FailingScorer(),
            "splitter": LineSplitter(),
            "selector": select_best,
            "gaps": GapStyle(marker="(cut)"),
            "protect": (),
            "leave_whole": None,
            "drop_repeats": False,
            "fraction_of": "units",
            "count_tokens": as_token_counter(len),
            "deadline_seconds": 60.0,
        }
        assert changes.keys() == {one.name for one in dataclasses.fields(Stages)}
        for name, value in changes.items():
            assert getattr(compressor.replace(**{name: value}).stages, name) == value
        with pytest.raises(TypeError, match="budget"):
            compressor.replace(budget=1)

    def test_a_compressor_is_frozen(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        for name in ("scorer", "count_tokens", "on_error", "stages", "splitter", "gaps"):
            with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
                setattr(compressor, name, None)

    def test_what_is_no_scorer_or_splitter_is_refused(self) -> None:
        with pytest.raises(TypeError, match="scorer="):
            ContextCompressor(object())
        with pytest.raises(TypeError, match="splitter must be a Splitter or a function"):
            ContextCompressor(KeywordScorer(), splitter="lines")

    @pytest.mark.parametrize("texts", [None, b"bytes", 12, ["a", "b"]])
    def test_what_is_no_text_is_refused(self, texts: Any) -> None:
        compressor = ContextCompressor(KeywordScorer())
        with pytest.raises(TypeError, match="text must be a text"):
            compressor.compress(texts, budget=Budget(max_tokens=1))
        with pytest.raises(TypeError, match="texts must be a sequence of str"):
            compressor.compress_documents("one text", budget=Budget(max_tokens=1))

    def test_pydantic_holds_a_compressor_as_it_is(self) -> None:
        class Settings(BaseModel, arbitrary_types_allowed=True):
            compressor: ContextCompressor

        compressor = ContextCompressor(KeywordScorer())
        settings = Settings(compressor=compressor)
        assert settings.compressor is compressor
        assert Settings(**settings.model_dump()).compressor is compressor
        with pytest.raises(ValidationError):
            Settings(compressor={"stages": compressor.stages, "on_error": "raise"})

    def test_copies_share_stages_that_cannot_be_copied(self) -> None:
        class Client(KeywordScorer):
            lock = threading.Lock()

            def __deepcopy__(self, memo: dict[int, Any]) -> None:
                msg = "a client cannot be copied"
                raise TypeError(msg)

        compressor = ContextCompressor(Client())
        for copied in (copy.copy(compressor), copy.deepcopy(compressor)):
            assert copied.stages is compressor.stages

    @pytest.mark.parametrize("name", ["on_error", "fraction_of"])
    def test_unknown_names_are_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} must be .*; got 'skip'"):
            ContextCompressor(KeywordScorer(), **{name: "skip"})

    def test_a_plain_object_may_score_and_a_plain_function_may_split(self) -> None:
        class Plain:
            score_spans = KeywordScorer().score_spans
            count_tokens = KeywordScorer().count_tokens

        compressor = ContextCompressor(
            Plain(), splitter=lambda _: [Span(0, 3), Span(4, 7)], gaps=GapStyle(marker="")
        )
        result = compressor.compress("cat dog", "dog", budget=Budget(max_tokens=1))
        assert result.kept == (Span(4, 7),)


class TestFailure:
    def test_of_the_draft_passes_all_through_is_logged_and_counted(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        compressor = ContextCompressor(FailingScorer())
        results = compressor.compress_documents([TEXT, "", TEXT], "cat", budget=BUDGET)
        assert [result.text for result in results] == [TEXT, "", TEXT]
        assert results[0].kept == (Span(0, len(TEXT)),)
        assert results[0].kept_tokens == results[0].original_tokens == 22
        assert compressor.skip_counts == {"scorer_failed": 2, "empty_text": 1}
        [record] = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert record.name == LOGGER
        assert record.message == (
            "Passed 3 texts through unchanged: scorer_failed "
            "(RuntimeError: the draft is out of memory). Further ones are logged as DEBUG."
        )
        assert not record.exc_info

    @pytest.mark.parametrize("calls", [0, 1])
    def test_of_the_counter_passes_all_through_whenever_it_comes(
        self, calls: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        compressor = ContextCompressor(KeywordScorer(), count_tokens=failing_counter(calls))
        result = compressor.compress(TEXT, "cat", budget=Budget(max_tokens=10))
        assert result.text == TEXT
        assert compressor.skip_counts == {"counter_failed": 1}
        assert "counter_failed" in caplog.text

    @pytest.mark.parametrize("wrong", [0, -1, True, None, math.nan])
    def test_a_counter_that_cannot_be_right_has_failed(self, wrong: object) -> None:
        """A LangChain model without a tokenizer gives 0 for everything."""
        budget = Budget(max_tokens=10)
        compressor = ContextCompressor(KeywordScorer(), count_tokens=lambda _: wrong)
        assert compressor.compress(TEXT, "cat", budget=budget).text == TEXT
        assert compressor.skip_counts == {"counter_failed": 1}
        with pytest.raises(TokenCounterError):
            compressor.replace(on_error="raise").compress(TEXT, "cat", budget=budget)

    def test_a_counter_may_give_nothing_for_what_is_blank(self) -> None:
        text = f"{TEXT}\n\n \t \n\n---\n\n{TEXT}"
        for count in (lambda text: len(text.split()), lambda text: len(text) // 4):
            compressor = ContextCompressor(KeywordScorer(), count_tokens=count, on_error="raise")
            assert compressor.compress(text, "cat", budget=BUDGET).skipped_because is None

    @pytest.mark.parametrize(
        "scores",
        [[[1.0]], [], [[1.0, 2.0, 3.0, 4.0]] * 2, [[1.0, math.nan, 0.0, 0.0]], [[math.inf] * 4]],
    )
    def test_scores_that_mean_nothing_are_a_failure(self, scores: list[list[float]]) -> None:
        compressor = ContextCompressor(giving(scores))
        assert compressor.compress(TEXT, "cat", budget=BUDGET).text == TEXT
        assert compressor.skip_counts == {"scorer_failed": 1}

    def test_is_raised_on_demand(self) -> None:
        with pytest.raises(RuntimeError, match="out of memory"):
            ContextCompressor(FailingScorer(), on_error="raise").compress(TEXT, budget=BUDGET)
        with pytest.raises(RuntimeError, match="tokenizer is gone"):
            ContextCompressor(
                KeywordScorer(), count_tokens=failing_counter(0), on_error="raise"
            ).compress(TEXT, budget=BUDGET)
        with pytest.raises(ScoreError, match=r"^\w+ gave .* finite"):
            ContextCompressor(giving([[math.nan] * 4]), on_error="raise").compress(
                TEXT, budget=BUDGET
            )

    def test_an_interrupt_is_never_swallowed(self) -> None:
        with pytest.raises(KeyboardInterrupt):
            ContextCompressor(Interrupted()).compress(TEXT, budget=BUDGET)

    def test_a_wrong_counter_is_refused_at_once(self) -> None:
        with pytest.raises(TokenCounterError):
            ContextCompressor(KeywordScorer(), count_tokens="gpt2")


class TestDoors:
    async def test_async_equals_sync(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        texts = [TEXT, "", TEXT[::-1]]
        many = compressor.compress_documents(texts, "cat", budget=BUDGET)
        one = compressor.compress(TEXT, "cat", budget=BUDGET)
        found = await asyncio.gather(
            compressor.acompress_documents(texts, "cat", budget=BUDGET),
            asyncio.gather(compressor.acompress(TEXT, "cat", budget=BUDGET)),
        )
        assert [timeless(results) for results in found] == [timeless(many), timeless([one])]

    @pytest.mark.parametrize("answers", [0, 1, 4])
    async def test_a_mock_without_answers_left_fails_and_is_not_waited_for(
        self, answers: int
    ) -> None:
        counter = mock.Mock(spec=[], side_effect=[22] * answers)
        compressor = ContextCompressor(KeywordScorer(), count_tokens=counter)
        result = await asyncio.wait_for(compressor.acompress(TEXT, "cat", budget=BUDGET), 20)
        assert result.skipped_because == "counter_failed"

    async def test_a_scorer_without_answers_left_fails_and_is_not_waited_for(self) -> None:
        scorer = type("Exhausted", (FailingScorer,), {"error": StopIteration()})()
        for one in (scorer, ScoringEngine(scorer)):
            compressor = ContextCompressor(one)
            result = await asyncio.wait_for(compressor.acompress(TEXT, "cat", budget=BUDGET), 20)
            assert result.skipped_because == "scorer_failed"

    async def test_async_leaves_the_event_loop_alone(self) -> None:
        threads: list[threading.Thread] = []

        def count(text: str) -> int:
            threads.append(threading.current_thread())
            return len(text.split())

        compressor = ContextCompressor(KeywordScorer(), count_tokens=count)
        await compressor.acompress(TEXT, "cat", budget=BUDGET)
        assert threads
        assert threading.current_thread() not in threads

    def test_many_threads_get_what_one_would(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        queries = ["cat", "dog", "moon night", None] * 25

        def run(query: str | None) -> list[Compression]:
            return compressor.compress_documents([TEXT, "", TEXT * 2], query, budget=BUDGET)

        expected = [timeless(run(query)) for query in queries]
        with ThreadPoolExecutor(8) as pool:
            found = [timeless(results) for results in pool.map(run, queries)]
        assert found == expected
        assert compressor.skip_counts == {"empty_text": 2 * len(queries)}


class TestFromDraftModel:
    def test_it_takes_every_stage(self, tmp_path: Path) -> None:
        draft = save_tiny_draft(tmp_path)
        options = {
            "splitter": LineSplitter(),
            "selector": select_best,
            "gaps": GapStyle(marker="(cut)"),
            "protect": (),
            "leave_whole": None,
            "drop_repeats": False,
            "fraction_of": "units",
            "count_tokens": as_token_counter(len),
        }
        for scorer in ("readout", "published"):
            made = ContextCompressor.from_draft_model(
                draft, scorer=scorer, on_error="raise", **options
            )
            assert {name: getattr(made.stages, name) for name in options} == options
            assert made.on_error == "raise"
        with pytest.raises(TypeError, match="budget"):
            ContextCompressor.from_draft_model(draft, budget=1)

    def test_the_old_name_of_the_published_algorithm_still_works(self, tmp_path: Path) -> None:
        draft = save_tiny_draft(tmp_path)
        new = ContextCompressor.from_draft_model(draft, scorer="published")
        with pytest.warns(DeprecationWarning, match="scorer='published'"):
            old = ContextCompressor.from_draft_model(draft, scorer="specprefill")
        assert old.scorer is new.scorer
        assert old.stages.fraction_of == new.stages.fraction_of == "units"


class TestFailureOfOneSplitter:
    def test_others_keep_their_reasons(self) -> None:
        def fail(text: str) -> list[Span]:
            raise ZeroDivisionError(text)

        splitter = SplitByKind(json="pass_through", splitters={"prose": fail})
        compressor = ContextCompressor(KeywordScorer(), splitter=splitter)
        results = compressor.compress_documents(
            ['{"a": [1, 2, 3]}', "Some prose."],
            "a",
            budget=Budget(keep_fraction=0.1),
            hints=[TextHint(kind="json"), TextHint(kind="prose")],
        )
        reasons = [result.skipped_because for result in results]
        assert reasons == ["kind_excluded", "splitter_failed"]


class TestMass:
    def test_it_is_computed_only_for_a_budget_that_asks_for_it(self) -> None:
        seen: list[float] = []

        def noting(units: Sequence[Unit], limit: int, gap_tokens: int) -> frozenset[int]:
            seen.extend(unit.mass for unit in units)
            return select_best(units, limit, gap_tokens)

        text = "A dog barked. Rain fell on the hills. Nobody was there at all that day."
        compressor = ContextCompressor(KeywordScorer(), selector=noting, on_error="raise")
        compressor.compress(text, "dog", budget=Budget(max_tokens=12))
        assert set(seen) == {0.0}
        seen.clear()
        compressor.compress(text, budget=Budget(max_tokens=12, attention_mass=1.0))
        assert sum(seen[:3]) == pytest.approx(1.0)
