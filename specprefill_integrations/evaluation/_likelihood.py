"""Likelihood of right answers: what a target tells, what a log holds, and the score made of it."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from specprefill_integrations._arguments import PositiveInt, Within, checked
from specprefill_integrations.evaluation._cases import EvaluationCase

LikelihoodMetric = Literal["answer_likelihood"]
"""Name of the metric; it is that of a whole measurement, never of a single case."""

ANSWER_LIKELIHOOD: LikelihoodMetric = "answer_likelihood"

LIKELIHOODS = "likelihoods"
"""Field of a log's record: one `AnswerLikelihood` per answer of the case, by `answer_key`."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLikelihood:
    """Likelihood of one answer as the reply of a model to a prompt."""

    log_likelihood: Annotated[float, Within("of at most 0", -sys.float_info.max, 0)]
    """Sum of the natural logarithms of the tokens' probabilities; not infinite."""

    tokens: PositiveInt
    """Tokens of the answer that were scored: those that lie wholly in it."""

    input_tokens: int | None
    """Tokens of prompt and answer as the model counts them; None if it does not report them."""


@runtime_checkable
class LikelihoodTarget(Protocol):
    """A model that tells how probable given answers are; thread-safe."""

    def answer_likelihoods(self, prompt: str, answers: Sequence[str]) -> list[AnswerLikelihood]:
        """The likelihood of each answer as the reply to one user message.

        Args:
            prompt: The message.
            answers: The answers; at least one.

        Returns:
            One per answer, in their order. Whatever the model raises is raised, also where prompt
            and answer are longer than its context: nothing is truncated.
        """
        ...


def answer_key(answer: str) -> str:
    """A name for an answer in a log, which holds no texts of the data."""
    return hashlib.blake2b(answer.encode(), digest_size=8).hexdigest()


def likelihoods_record(
    answers: Sequence[str], found: Sequence[AnswerLikelihood]
) -> dict[str, dict[str, Any]]:
    """The value of a record's field `likelihoods`."""
    return {
        answer_key(answer): {"log_likelihood": one.log_likelihood, "tokens": one.tokens}
        for answer, one in zip(answers, found, strict=True)
    }


def has_likelihoods(case: EvaluationCase, record: Mapping[str, Any]) -> bool:
    """True if a record holds the likelihood of every answer of a case."""
    found = record.get(LIKELIHOODS)
    return found is not None and all(answer_key(answer) in found for answer in case.answers)


def mean_log_probability(case: EvaluationCase, record: Mapping[str, Any]) -> float:
    """Mean natural logarithm of the probability of a token of the right answer.

    Args:
        case: A case with answers. The most probable one counts; where all are needed, the tokens of
            all of them.
        record: A record that holds their likelihoods.
    """
    found = [record[LIKELIHOODS][answer_key(answer)] for answer in case.answers]
    if case.needs_all:
        tokens = sum(int(one["tokens"]) for one in found)
        return math.fsum(one["log_likelihood"] for one in found) / tokens
    return max(float(one["log_likelihood"]) / int(one["tokens"]) for one in found)


def completion_of(prompt: str, answer: str) -> tuple[str, str]:
    """A prompt and an answer as one text for a model without chat template, in two parts.

    Blanks at the end of a prompt would merge with the answer into one token: they are left out, and
    the second part starts with a space instead, or with nothing after a line break.
    """
    start = prompt.rstrip(" \t")
    separator = "" if start.endswith("\n") or not start else " "
    return start, f"{separator}{answer.strip()}"
