"""Prompts of a case: a template filled with the question and the full or compressed texts."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_variants import Variant
from specprefill_integrations.evaluation._case_compressor import CaseCompressor, count_texts
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import ReplyMetric, metric_of
from specprefill_integrations.types import CountTokens

DEFAULT_TEMPLATE = """\
{instruction}

{passages}

Question: {question}
Answer:"""
"""Placeholders: an instruction that depends on the metric; the numbered texts; the question."""

_SHORT_ANSWER = "Answer the question with a few words, using the passages."

INSTRUCTIONS: Mapping[ReplyMetric, str] = {
    "contains": _SHORT_ANSWER,
    "exact_match": _SHORT_ANSWER,
    "f1": _SHORT_ANSWER,
    "choice": "Answer the question, using the passages. Say the letter of the right choice only.",
    "rouge_l": "Do what the question asks for, using the passages.",
}
"""Values of `{instruction}`."""

_PLACE = re.compile(r"\{(instruction|passages|question)\}")


def check_template(template: str) -> None:
    """Check that a template has the placeholders it needs.

    Raises:
        EvaluationDataError: `{passages}` or `{question}` is missing.
    """
    missing = {"passages", "question"} - set(_PLACE.findall(template))
    if missing:
        places = " and ".join(f"{{{name}}}" for name in sorted(missing))
        msg = f"the prompt's template has no {places}"
        raise EvaluationDataError(msg)


def build_prompt(template: str, metric: ReplyMetric, question: str, texts: Sequence[str]) -> str:
    """Fill a template.

    Args:
        template: Only its placeholders are replaced; other braces, and all in the texts, stay.
        metric: Metric of the reply.
        question: The question.
        texts: The passages. Empty ones are left out, and the others keep their numbers.
    """
    passages = "\n\n".join(
        f"Passage {number}:\n{text}" for number, text in enumerate(texts, start=1) if text.strip()
    )
    parts = {
        "instruction": INSTRUCTIONS[metric],
        "passages": passages,
        "question": question,
    }
    return _PLACE.sub(lambda place: parts[place[1]], template)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPrompt:
    """The prompt of one variant of a case. Tokens are counted with the line-up's counter."""

    text: str
    """The prompt."""

    prompt_tokens: int
    """Its tokens."""

    context_tokens: int
    """Tokens of the full texts."""

    kept_tokens: int
    """Tokens of the texts in the prompt."""

    draft_seconds: float
    """Time to compress for this variant alone; 0 for the full prompt."""


class PromptMaker:
    """Makes prompts one case at a time, so that compressions do not slow each other down."""

    def __init__(
        self,
        compressors: Mapping[str, CaseCompressor],
        count_tokens: CountTokens,
        *,
        template: str = DEFAULT_TEMPLATE,
        metric: ReplyMetric | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            compressors: By the variants' scorers.
            count_tokens: Counts the tokens of all of them.
            template: See `build_prompt`.
            metric: Metric of cases that name none; see `metric_of`.
        """
        self.count_tokens = count_tokens
        self.template = template
        self.metric = metric
        self._compressors = dict(compressors)
        self._lock = threading.Lock()

    def prompts(
        self, case: EvaluationCase, variants: Sequence[Variant]
    ) -> dict[Variant, VariantPrompt | Exception]:
        """The prompt of each variant, or the error of its scorer.

        If a scorer reads a case once for all fractions, each variant still gets the full time.
        """
        with self._lock:
            context_tokens = count_texts(self.count_tokens, case.texts)
            return {variant: self._tried(case, variant, context_tokens) for variant in variants}

    def _tried(
        self, case: EvaluationCase, variant: Variant, context_tokens: int
    ) -> VariantPrompt | Exception:
        try:
            return self._prompt(case, variant, context_tokens)
        except Exception as error:  # noqa: BLE001 - counted: others can go on
            return error

    def _prompt(self, case: EvaluationCase, variant: Variant, context_tokens: int) -> VariantPrompt:
        texts: Sequence[str] = case.texts
        kept_tokens, seconds = context_tokens, 0.0
        if variant.scorer is not None:
            compressor = self._compressors[variant.scorer]
            kept = compressor.compress(case.texts, case.query, variant.keep_fraction)
            texts, seconds = kept.texts, kept.seconds
            kept_tokens = count_texts(self.count_tokens, texts)
        text = build_prompt(self.template, metric_of(case, self.metric), case.query or "", texts)
        return VariantPrompt(
            text=text,
            prompt_tokens=count_texts(self.count_tokens, [text]),
            context_tokens=context_tokens,
            kept_tokens=kept_tokens,
            draft_seconds=seconds,
        )
