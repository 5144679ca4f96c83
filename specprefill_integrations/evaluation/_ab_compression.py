"""The prompts of a case's arms: compressed, built, counted and timed. Asks no model."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.evaluation._ab_prompts import DEFAULT_TEMPLATE, build_prompt
from specprefill_integrations.evaluation._ab_variants import Arm
from specprefill_integrations.evaluation._answers import MetricName, metric_of
from specprefill_integrations.evaluation._case_compressor import CaseCompressor, count_texts
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.pipeline._token_counting import CountTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPrompt:
    """What one arm asks about one case."""

    text: str
    """The prompt."""

    prompt_tokens: int
    """Its tokens, as everything is counted here."""

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
        compressors: Mapping[str, CaseCompressor],
        count_tokens: CountTokens,
        *,
        template: str = DEFAULT_TEMPLATE,
        metric: MetricName | None = None,
    ) -> None:
        """Keep what is needed for it.

        Args:
            compressors: By the names of the arms' scorers.
            count_tokens: Counts the tokens of all of them.
            template: See `build_prompt`.
            metric: How replies are judged where cases do not say it; see `metric_of`.
        """
        self.count_tokens = count_tokens
        self.template = template
        self.metric = metric
        self._compressors = dict(compressors)
        self._lock = threading.Lock()

    def prompts(
        self, case: EvaluationCase, arms: Sequence[Arm]
    ) -> dict[Arm, ArmPrompt | Exception]:
        """The prompt of each arm, or why its scorer could not compress the case.

        A scorer that reads a case once for all fractions does so here; each arm is told that time.
        """
        found: dict[Arm, ArmPrompt | Exception] = {}
        with self._lock:
            context_tokens = count_texts(self.count_tokens, case.texts)
            for arm in arms:
                found[arm] = self._tried(case, arm, context_tokens)
        return found

    def _tried(self, case: EvaluationCase, arm: Arm, context_tokens: int) -> ArmPrompt | Exception:
        try:
            return self._prompt(case, arm, context_tokens)
        except Exception as error:  # noqa: BLE001 - counted: others can go on
            return error

    def _prompt(self, case: EvaluationCase, arm: Arm, context_tokens: int) -> ArmPrompt:
        texts: Sequence[str] = case.texts
        kept_tokens, seconds = context_tokens, 0.0
        if arm.scorer is not None:
            compressor = self._compressors[arm.scorer]
            kept = compressor.compress(case.texts, case.query, arm.keep_fraction)
            texts, seconds = kept.texts, kept.seconds
            kept_tokens = count_texts(self.count_tokens, texts)
        text = build_prompt(self.template, metric_of(case, self.metric), case.query or "", texts)
        return ArmPrompt(
            text=text,
            prompt_tokens=count_texts(self.count_tokens, [text]),
            context_tokens=context_tokens,
            kept_tokens=kept_tokens,
            draft_seconds=seconds,
        )
