"""What A/B measurements are tested with: cases, compressors without weights, a scripted model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from specprefill_integrations import ContextCompressor
from specprefill_integrations.evaluation._ab_prompts import PromptMaker
from specprefill_integrations.evaluation._case_compressor import CaseCompressor, SpanCompressor
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._likelihood import AnswerLikelihood
from specprefill_integrations.evaluation._targets import Answer
from specprefill_integrations.testing import KeywordScorer

NOISE = "Fish is sold on Mondays. The ferry leaves at noon. Rain is common in autumn. "
EVIDENCE = "Ada keeps the lighthouse."


def a_case(name: str, **changes: object) -> EvaluationCase:
    fields = {
        "id": name,
        "task": "keepers",
        "query": "Who keeps the lighthouse?",
        "texts": (f"{NOISE * 2}{EVIDENCE} {NOISE * 2}", NOISE),
        "answers": ("Ada",),
    }
    return EvaluationCase(**{**fields, **changes})


def keyword_prompts(**others: CaseCompressor) -> PromptMaker:
    """Prompts of a variant `words`, and of others that are given."""
    words = SpanCompressor(ContextCompressor(KeywordScorer()))
    return PromptMaker({"words": words, **others}, KeywordScorer().count_tokens)


def says_what_it_reads(prompt: str) -> str:
    return "Ada" if EVIDENCE in prompt else "I do not know."


@dataclass
class ScriptedTarget:
    """Answers by a rule; raises what stands in `errors` first."""

    reply: Callable[[str], str] = says_what_it_reads
    errors: list[Exception] = field(default_factory=list)
    seconds: float = 0.0
    says_tokens: bool = True
    prompts: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, prompt: str) -> Answer:
        with self._lock:
            self.prompts.append(prompt)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            error = self.errors.pop(0) if self.errors else None
        try:
            time.sleep(self.seconds)
            if error is not None:
                raise error
            return Answer(
                text=self.reply(prompt),
                first_token_seconds=0.5,
                total_seconds=1.0,
                input_tokens=len(prompt.split()) if self.says_tokens else None,
                output_tokens=1 if self.says_tokens else None,
            )
        finally:
            with self._lock:
                self.at_once -= 1


@dataclass
class ScriptedLikelihoods:
    """Finds an answer of one word likely where the evidence is; raises `errors` first."""

    errors: list[Exception] = field(default_factory=list)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def answer_likelihoods(self, prompt: str, answers: Sequence[str]) -> list[AnswerLikelihood]:
        self.asked.append((prompt, tuple(answers)))
        if self.errors:
            raise self.errors.pop(0)
        each = -0.5 if EVIDENCE in prompt else -2.0
        counts = [len(answer.split()) for answer in answers]
        return [
            AnswerLikelihood(
                log_likelihood=each * count**2,
                tokens=count,
                input_tokens=len(prompt.split()) + count,
            )
            for count in counts
        ]
