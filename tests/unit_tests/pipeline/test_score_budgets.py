"""`Budget(target_recall=...)`: what it keeps, beside what other limits, and what it needs."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from specprefill_integrations import Budget, Compression, ContextCompressor
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.evaluation._baselines import Bm25Scorer
from specprefill_integrations.langchain import (
    SpecPrefillContextEdit,
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
from specprefill_integrations.pipeline import ProtectionRule
from specprefill_integrations.scoring import (
    AttentionScorer,
    CalibratedDifferenceReadout,
    DraftModel,
    EncoderSpanScorer,
    PublishedReadout,
    ReadoutProfile,
    ScoreCalibration,
    shared_engine,
)
from specprefill_integrations.scoring._encoder_model import EncoderModel
from specprefill_integrations.scoring._span_scorer import ScorerWrapper
from specprefill_integrations.splitting import ProseSplitter, SplitByKind
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import ToolPolicy
from specprefill_integrations.types import Span, TextHint, Unit

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
    may_be_calibrated = True

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        del query
        return [
            [
                math.log(
                    next((v for k, v in SHARES.items() if text[a:b].lstrip().startswith(k)), 1e-9)
                )
                for a, b in own
            ]
            for text, own in zip(texts, spans, strict=True)
        ]


class Uncalibrated(ByShare):
    """As a draft that turns out to have no profile, or one without a calibration."""

    score_calibration = None


COUNT = KeywordScorer().count_tokens
DRAFT = DraftModel.from_source("owner/name", device="cpu")
BY_SHARE = ByShare(KeywordScorer())
COMPRESSOR = ContextCompressor(BY_SHARE, on_error="raise")


def profile_with(calibration: ScoreCalibration | None) -> ReadoutProfile:
    return ReadoutProfile(
        draft="owner/name",
        shape={},
        readout=CalibratedDifferenceReadout(),
        fitted_on={},
        score_calibration=calibration,
    )


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

    @pytest.mark.parametrize(
        ("target", "fraction", "count"),
        [(0.5, 0.25, 1), (0.5, 1.0, 1), (0.75, 0.5, 2), (0.9, 0.5, 2), (0.9, 1.0, 4)],
    )
    def test_a_fraction_of_the_units_is_a_limit_as_well(
        self, target: float, fraction: float, count: int
    ) -> None:
        """Whatever they cost: of the text, the half takes nearly all tokens."""
        of_units = COMPRESSOR.replace(fraction_of="units")
        budget = Budget(target_recall=target, keep_fraction=fraction)
        assert kept(budget, of_units) == list(SHARES)[:count]
        text = TEXT.replace("Half", "Half" + " and half" * 50)
        result = of_units.compress(text, "Where?", budget=budget)
        assert [name for name in SHARES if name in result.text] == list(SHARES)[:count]

    @pytest.mark.parametrize("target", [0.01, 0.9])
    @pytest.mark.parametrize("limits", [{}, {"keep_fraction": 0.2}, {"max_tokens": 40}])
    def test_a_text_of_one_unit_stays(self, target: float, limits: dict[str, Any]) -> None:
        text = "Half of it is here."
        budget = Budget(target_recall=target, **limits)
        assert COMPRESSOR.compress(text, "Where?", budget=budget).text == text

    def test_several_texts_share_a_target(self) -> None:
        """The shares are of all units of the call: a text of low ones is left out."""
        texts = ["Half of it is here. One eighth is here.", "Another eighth is here.", ""]
        for target, parts in ((0.5, [1, 0, 0]), (0.9, [2, 1, 0])):
            found = COMPRESSOR.compress_documents(
                texts, "Where?", budget=Budget(target_recall=target)
            )
            assert [sum(name in one.text for name in SHARES) for one in found] == parts

    def test_headings_and_protected_parts_come_with_it(self) -> None:
        start, end = "# Title\n\nHalf of it is here.", "# End\n\nAnother eighth is here."
        text = f"{start} One eighth is here.\n\n{end}"
        hint = TextHint(kind="markdown")
        budget = Budget(target_recall=0.5)
        result = COMPRESSOR.compress(text, "Where?", budget=budget, hint=hint)
        assert [text[a:b].strip() for a, b in result.kept] == [start]
        protecting = COMPRESSOR.replace(
            protect=[ProtectionRule(pattern="Another", kinds=("markdown",))]
        )
        result = protecting.compress(text, "Where?", budget=budget, hint=hint)
        assert [text[a:b].strip() for a, b in result.kept] == [start, end]

    @pytest.mark.parametrize(
        ("made_by", "write", "read"),
        [
            (SpecPrefillDocumentCompressor, "model_dump_json", "model_validate_json"),
            (SpecPrefillNodePostprocessor, "to_json", "from_json"),
        ],
    )
    def test_serialized_settings_keep_it(self, made_by: Any, write: str, read: str) -> None:
        budget = Budget(target_recall=0.9, max_tokens=800)
        written = getattr(made_by(budget=budget), write)()
        assert getattr(made_by, read)(written).budget == budget
        with pytest.raises(ValueError, match="target_recall is a probability"):
            getattr(made_by, read)(written.replace("0.9", "1.9"))


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
            (SimpleNamespace(score_spans=BY_SHARE.score_spans, count_tokens=COUNT), None),
            (Bm25Scorer(COUNT), None),
            (EncoderSpanScorer(EncoderModel.from_source("owner/name")), None),
            (shared_engine(EncoderSpanScorer(EncoderModel.from_source("owner/name"))), None),
            (AttentionScorer(DRAFT, PublishedReadout()), None),
            (shared_engine(AttentionScorer(DRAFT, CalibratedDifferenceReadout())), None),
            (AttentionScorer(DRAFT, profile_with(None)), None),
            (BY_SHARE, ProseSplitter()),
            (BY_SHARE, lambda text: [Span(0, len(text))]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_by_a_call(self, scorer: Any, splitter: Any) -> None:
        """Before anything is read: none of these drafts exist."""
        compressor = ContextCompressor(scorer, splitter=splitter, count_tokens=len)
        advice = "specprefill calibrate" if splitter is None else "SplitByKind"
        for more in ({}, {"max_tokens": 4}):
            budget = Budget(target_recall=0.5, **more)
            with pytest.raises(BudgetError, match=advice):
                compressor.compress(TEXT, "Where?", budget=budget)
            with pytest.raises(BudgetError, match=advice):
                asyncio.run(compressor.acompress(TEXT, "Where?", budget=budget))
        assert not compressor.skip_counts
        compressor.check_budget(Budget(max_tokens=4))

    def test_a_draft_that_was_not_read_may_have_a_profile_with_one(self) -> None:
        for readout in (None, profile_with(CALIBRATION)):
            scorer = shared_engine(AttentionScorer(DRAFT, readout))
            ContextCompressor(scorer).check_budget(Budget(target_recall=0.5))

    def test_the_published_algorithm(self) -> None:
        compressor = ContextCompressor.from_draft_model("owner/name", scorer="published")
        with pytest.raises(BudgetError, match="SplitByKind"):
            compressor.check_budget(Budget(target_recall=0.5))
        own = compressor.replace(splitter=SplitByKind())
        with pytest.raises(BudgetError, match="AttentionScorer has none"):
            own.check_budget(Budget(target_recall=0.5))

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
            SpecPrefillContextEdit,
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
        budget = Budget(target_recall=0.5, max_tokens=4)
        compressor = ContextCompressor(Uncalibrated(KeywordScorer()))
        assert passes_through(compressor.compress(TEXT, "Where?", budget=budget))
        assert "specprefill calibrate" in caplog.text
        assert compressor.skip_counts == {"not_calibrated": 1}
        with pytest.raises(BudgetError, match="no profile"):
            compressor.replace(on_error="raise").compress(TEXT, "Where?", budget=budget)

    @pytest.mark.parametrize("texts", [[], [""], ["", TEXT, " "]])
    def test_every_text_of_a_call_passes_through(self, texts: list[str]) -> None:
        found = ContextCompressor(Uncalibrated(KeywordScorer())).compress_documents(
            texts, "Where?", budget=Budget(target_recall=0.5)
        )
        assert [one.text for one in found] == texts
        assert {one.skipped_because for one in found if one.text.strip()} <= {"not_calibrated"}

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
        class Unasked(Uncalibrated):
            def score_spans(self, *_: object) -> list[list[float]]:
                raise AssertionError

        other = ContextCompressor(Unasked(KeywordScorer()))
        assert passes_through(other.compress(TEXT, "Where?", budget=Budget(target_recall=0.5)))


def passes_through(result: Compression) -> bool:
    assert result.text == TEXT
    return result.skipped_because == "not_calibrated"
