"""`Budget(target_recall=...)`: what it keeps, beside what other limits, and what it needs."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from specprefill_integrations import Budget, Compression, ContextCompressor
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.langchain import (
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
    SpecPrefillMiddleware,
    compress_messages,
)
from specprefill_integrations.llama_index import (
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
    compress_tools,
)
from specprefill_integrations.scoring import ScoreCalibration
from specprefill_integrations.scoring._span_scorer import ScorerWrapper, SpanScorer
from specprefill_integrations.splitting import ProseSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import ToolPolicy
from specprefill_integrations.types import Span, Unit

# Four shares of one half, a quarter and two eighths.
TEXT = "Half of it is here. A quarter is here. One eighth is here. Another eighth is here."
SHARES = {"Half": 1 / 2, "A quarter": 1 / 4, "One eighth": 1 / 8, "Another": 1 / 8}

# Up to 0.5, the half is enough; up to 0.75 it takes the quarter; up to 0.9 all.
CALIBRATION = ScoreCalibration(
    intercept=0.0,
    slope=1.0,
    least_log_shares=(*[-0.8] * 100, *[-1.5] * 50, *[-2.2] * 30),
    cases=9,
)


class ByShare(ScorerWrapper):
    """Scores sentences by their first words."""

    scores_are_logarithms = True
    score_calibration = CALIBRATION

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        del query
        return [
            [
                math.log(next(v for k, v in SHARES.items() if text[a:b].lstrip().startswith(k)))
                for a, b in own
            ]
            for text, own in zip(texts, spans, strict=True)
        ]


BY_SHARE = ByShare(KeywordScorer())
COMPRESSOR = ContextCompressor(BY_SHARE, on_error="raise")


def kept(budget: Budget, compressor: ContextCompressor = COMPRESSOR) -> list[str]:
    result = compressor.compress(TEXT, "Where?", budget=budget)
    assert asyncio.run(compressor.acompress(TEXT, "Where?", budget=budget)).text == result.text
    return [name for name in SHARES if name in result.text]


class TestTarget:
    @pytest.mark.parametrize(
        ("target", "count"), [(0.01, 1), (0.5, 1), (0.501, 2), (0.75, 2), (0.76, 4), (0.9, 4)]
    )
    def test_as_little_is_kept_as_the_target_takes(self, target: float, count: int) -> None:
        assert kept(Budget(target_recall=target)) == list(SHARES)[:count]

    def test_the_best_unit_is_kept_however_small_its_share(self) -> None:
        class Unsure(ByShare):
            score_calibration = ScoreCalibration(
                intercept=0.0, slope=1.0, least_log_shares=(-0.1,) * 180, cases=9
            )

        assert kept(Budget(target_recall=0.9), COMPRESSOR.replace(scorer=Unsure(KeywordScorer())))

    @pytest.mark.parametrize(
        "cap", [{"max_tokens": 8}, {"keep_fraction": 0.3}, {"attention_mass": 0.4}]
    )
    def test_other_limits_hold_too(self, cap: dict[str, float]) -> None:
        assert kept(Budget(target_recall=0.9, **cap)) == ["Half"]  # type: ignore[arg-type]

    def test_limits_that_are_wide_enough_change_nothing(self) -> None:
        wide = Budget(target_recall=0.75, max_tokens=500, keep_fraction=1.0, attention_mass=1.0)
        assert kept(wide) == ["Half", "A quarter"]

    def test_a_text_within_another_limit_is_cut_all_the_same(self) -> None:
        assert kept(Budget(target_recall=0.5, keep_fraction=1.0)) == ["Half"]


class TestProbabilities:
    def test_a_selector_of_ones_own_sees_them(self) -> None:
        seen: list[Unit] = []

        def select(units: Sequence[Unit], token_limit: int, gap_tokens: int) -> frozenset[int]:
            del token_limit, gap_tokens
            seen[:] = units
            return frozenset({0})

        own = COMPRESSOR.replace(selector=select)
        own.compress(TEXT, "Where?", budget=Budget(max_tokens=12))
        odds = [1 / 2, 1 / 4, 1 / 8, 1 / 8]
        assert [unit.probability for unit in seen] == pytest.approx([o / (1 + o) for o in odds])
        own.replace(scorer=KeywordScorer()).compress(TEXT, "is", budget=Budget(max_tokens=12))
        assert {unit.probability for unit in seen} == {None}

    @pytest.mark.parametrize("score", [-1e300, -800.0, 0.0, 800.0, 1e300])
    def test_any_finite_score_has_one(self, score: float) -> None:
        steep = ScoreCalibration(intercept=5.0, slope=9.0, least_log_shares=(), cases=1)
        scores = [score, 0.0, score / 2]
        found = steep.probabilities(scores, scores)
        assert all(0 <= one <= 1 for one in found)
        assert found[0] >= found[2] >= found[1] or found[0] <= found[2] <= found[1]

    def test_a_call_without_units_has_none(self) -> None:
        assert CALIBRATION.probabilities([], []) == []


class TestWhatCannotBe:
    """Scorers and splitters that are never calibrated: refused at once, whatever `on_error` is."""

    @pytest.mark.parametrize(
        ("scorer", "splitter"),
        [
            (KeywordScorer(), None),
            (ScorerWrapper(KeywordScorer()), None),
            (BY_SHARE, ProseSplitter()),
            (BY_SHARE, lambda text: [Span(0, len(text))]),
        ],
        ids=["scorer", "wrapper", "splitter", "function"],
    )
    def test_by_a_call(self, scorer: SpanScorer, splitter: Any) -> None:
        compressor = ContextCompressor(scorer, splitter=splitter)
        for more in ({}, {"max_tokens": 4}):
            budget = Budget(target_recall=0.5, **more)
            with pytest.raises(BudgetError, match=r"SplitByKind.*specprefill calibrate"):
                compressor.compress(TEXT, "Where?", budget=budget)
        compressor.compress(TEXT, "Where?", budget=Budget(max_tokens=4))

    @pytest.mark.parametrize(
        "make",
        [
            SpecPrefillDocumentCompressor,
            SpecPrefillDocumentTransformer,
            SpecPrefillMiddleware,
            compress_messages,
            SpecPrefillNodePostprocessor,
            partial(SpecPrefillTransform, compressor_name="keywords", query="Where?"),
            partial(compress_tools, []),
            lambda **more: SpecPrefillMiddleware(
                **{**more, "budget": Budget(max_tokens=9)},
                tool_policies={"a": ToolPolicy(budget=more["budget"])},
            ),
        ],
    )
    def test_by_an_integration(self, make: Callable[..., Any]) -> None:
        keywords = ContextCompressor(KeywordScorer())
        with pytest.raises(ValueError, match=r"specprefill calibrate"):
            make(compressor=keywords, budget=Budget(target_recall=0.9))
        make(compressor=COMPRESSOR, budget=Budget(target_recall=0.9))


class TestMissingCalibration:
    """The texts pass through unchanged, so what is needed is kept; and the log says why."""

    def test_a_profile_without_one(self, caplog: pytest.LogCaptureFixture) -> None:
        class Unknown(ByShare):
            score_calibration = None

        budget = Budget(target_recall=0.5, max_tokens=4)
        compressor = ContextCompressor(Unknown(KeywordScorer()))
        assert passes_through(compressor.compress(TEXT, "Where?", budget=budget))
        assert "specprefill calibrate" in caplog.text
        assert compressor.skip_counts == {"not_calibrated": 1}
        with pytest.raises(BudgetError, match="SplitByKind"):
            compressor.replace(on_error="raise").compress(TEXT, "Where?", budget=budget)

    def test_with_too_few_cases(self, caplog: pytest.LogCaptureFixture) -> None:
        budget = Budget(target_recall=0.95)
        assert passes_through(
            ContextCompressor(COMPRESSOR.scorer).compress(TEXT, "Where?", budget=budget)
        )
        assert "the 9 that the scores were calibrated on, which allow 0.9 at most" in caplog.text

    def test_densities_are_not_calibrated(self, caplog: pytest.LogCaptureFixture) -> None:
        class Densities(ByShare):
            scores_are_logarithms = False

        with caplog.at_level(logging.WARNING):
            other = ContextCompressor(Densities(KeywordScorer()))
            assert passes_through(other.compress(TEXT, budget=Budget(target_recall=0.5)))

    def test_nothing_is_scored(self) -> None:
        class Unasked(ByShare):
            score_calibration = None

            def score_spans(self, *_: object) -> list[list[float]]:
                raise AssertionError

        other = ContextCompressor(Unasked(KeywordScorer()))
        assert passes_through(other.compress(TEXT, "Where?", budget=Budget(target_recall=0.5)))


def passes_through(result: Compression) -> bool:
    assert result.text == TEXT
    return result.skipped_because == "not_calibrated"
