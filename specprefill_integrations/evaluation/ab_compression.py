"""The prompts of a case's arms: compressed, built, counted and timed. Asks no model."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.evaluation.ab_arms import Arm
from specprefill_integrations.evaluation.ab_prompts import DEFAULT_TEMPLATE, build_prompt
from specprefill_integrations.evaluation.answers import MetricName, metric_of
from specprefill_integrations.evaluation.cases import EvaluationCase
from specprefill_integrations.evaluation.remembering_scorer import RememberingScorer
from specprefill_integrations.scoring.span_scorer import wrapped_scorer
from specprefill_integrations.token_counting import CountTokens
from specprefill_integrations.types import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPrompt:
    """What one arm asks about one case."""

    text: str
    """The prompt."""

    prompt_tokens: int
    """Its tokens, as the compressors count."""

    context_tokens: int
    """Tokens of the texts as they are, likewise."""

    kept_tokens: int
    """Tokens of the texts in the prompt, likewise."""

    draft_seconds: float
    """What compressing for this arm alone takes; 0 for the full prompt."""


class PromptMaker:
    """Makes prompts, one case at a time, so that no two compressions slow each other down."""

    def __init__(
        self,
        compressors: Mapping[str, ContextCompressor],
        *,
        template: str = DEFAULT_TEMPLATE,
        metric: MetricName | None = None,
    ) -> None:
        """Keep what is needed for it.

        Args:
            compressors: By the names of the arms' scorers; at least one. The tokens of all are
                counted by the first one's counter.
            template: See `build_prompt`.
            metric: How replies are judged where cases do not say it; see `metric_of`.
        """
        self.count_tokens: CountTokens = next(iter(compressors.values())).count_tokens
        self.template = template
        self.metric = metric
        self._remembering = {
            # Without its engine, whose cache would hide what scoring takes.
            name: RememberingScorer(wrapped_scorer(compressor.scorer))
            for name, compressor in compressors.items()
        }
        self._compressors = {
            name: self._counting_alike(name, compressor) for name, compressor in compressors.items()
        }
        self._lock = threading.Lock()

    def prompts(
        self, case: EvaluationCase, arms: Sequence[Arm]
    ) -> dict[Arm, ArmPrompt | Exception]:
        """The prompt of each arm, or why its scorer could not compress the case.

        A scorer reads a case once for all fractions; each arm is told that time.
        """
        found: dict[Arm, ArmPrompt | Exception] = {}
        with self._lock:
            for scorer in dict.fromkeys(arm.scorer for arm in arms):
                wanted = [arm for arm in arms if arm.scorer == scorer]
                try:
                    found.update(self._of_scorer(case, scorer, wanted))
                except Exception as error:  # noqa: BLE001 - counted: others can go on
                    found.update(dict.fromkeys(wanted, error))
        return found

    def _of_scorer(
        self, case: EvaluationCase, scorer: str | None, arms: Sequence[Arm]
    ) -> list[tuple[Arm, ArmPrompt]]:
        context_tokens = sum(self.count_tokens(case.texts))
        if scorer is None:
            whole = self._prompt(case, case.texts, context_tokens, context_tokens, 0.0)
            return [(arm, whole) for arm in arms]
        scored_before = self._remembering[scorer].score_seconds
        results = [self._compress(case, scorer, arm.keep_fraction) for arm in arms]
        score_seconds = self._remembering[scorer].score_seconds - scored_before
        return [
            (arm, self._prompt(case, texts, context_tokens, kept, other + score_seconds))
            for arm, (texts, kept, other) in zip(arms, results, strict=True)
        ]

    def _compress(
        self, case: EvaluationCase, scorer: str, keep_fraction: float
    ) -> tuple[list[str], int, float]:
        """What is kept, its tokens, and the seconds that everything but scoring took."""
        remembering = self._remembering[scorer]
        started, scored_before = time.perf_counter(), remembering.score_seconds
        results = self._compressors[scorer].compress_documents(
            case.texts, case.query, budget=Budget(keep_fraction=keep_fraction)
        )
        seconds = time.perf_counter() - started
        return (
            [result.text for result in results],
            sum(result.kept_tokens for result in results),
            seconds - (remembering.score_seconds - scored_before),
        )

    def _prompt(
        self,
        case: EvaluationCase,
        texts: Sequence[str],
        context_tokens: int,
        kept_tokens: int,
        draft_seconds: float,
    ) -> ArmPrompt:
        text = build_prompt(self.template, metric_of(case, self.metric), case.query or "", texts)
        return ArmPrompt(
            text=text,
            prompt_tokens=self.count_tokens([text])[0],
            context_tokens=context_tokens,
            kept_tokens=kept_tokens,
            draft_seconds=draft_seconds,
        )

    def _counting_alike(self, name: str, like: ContextCompressor) -> ContextCompressor:
        """As that compressor, but it raises, and counts as all do."""
        return ContextCompressor(
            self._remembering[name],
            splitter=like.splitter,
            selector=like.selector,
            gaps=like.gaps,
            protect=like.protect,
            fraction_of=like.fraction_of,
            count_tokens=self.count_tokens,
            on_error="raise",
        )
