"""Scores from 0 to 1: correctness, agreement with another reply, likelihood of right answers.

A measurement has one judge, so that these never share a figure.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import regex

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import EvaluationDataError, MissingDependencyError
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._likelihood import (
    ANSWER_LIKELIHOOD,
    has_likelihoods,
    mean_log_probability,
)
from specprefill_integrations.scoring._text_names import UNSPACED_SCRIPTS

ReplyMetric = Literal["contains", "exact_match", "f1", "choice", "rouge_l"]
"""Comparison of a reply with the answers of its case: contains one, equals one, shares words with
one, names the right letter, or has a long common subsequence of words with one."""

MetricName = Literal["contains", "exact_match", "f1", "choice", "rouge_l", "answer_likelihood"]
"""Metric of a measurement: one of replies, or the likelihood of right answers, for which the model
writes no reply."""

AgreementMetric = Literal["f1", "rouge_l"]
"""Comparison of a reply with another reply."""

BINARY_METRICS: frozenset[MetricName] = frozenset({"contains", "exact_match", "choice"})
"""Metrics whose scores are 0 or 1."""

JudgeBy = Literal["answers", "reply", "full"]
"""Reference of a measurement: right answers, the app's recorded reply, or the same model's reply to
the full prompt. Only the first measures correctness."""

MEANINGS: Mapping[JudgeBy, str] = {
    "answers": "correctness",
    "reply": "agreement with what the app answered, not correctness",
    "full": "agreement with the answer to the full prompt, not correctness",
}
"""Meaning of the scores, shown beside them everywhere."""

_LIKELIHOOD_MEANING = (
    "probability of a token of the right answer (geometric mean); differences in percent of it"
)

ScoreName = Literal["score", "agreement", "likelihood"]
"""Name of a column or an axis of scores."""

_ALIASES: Mapping[str, ReplyMetric] = {
    "rouge": "rouge_l",
    **{name: name for name in get_args(ReplyMetric)},
}

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = regex.compile(r"[\p{P}\p{S}]+")
_WORD = regex.compile(rf"[{UNSPACED_SCRIPTS}]\p{{M}}*+|[^\W_{UNSPACED_SCRIPTS}]++")

_END_OF_THINKING = "</think>"

# A letter at the start that is an answer and not a word: "B", "(b)", "B. Yes".
_FIRST_LETTER = re.compile(r"\W*([A-Za-z])(?:\s*$|\s*[.):,])")
_NAMED_LETTER = re.compile(r"\b(?i:answer|option|choice)(?:\s+is|:)?\W{0,4}([A-Z])\b")
_LONE_CAPITAL = re.compile(r"\b([A-Z])\b")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Scores the replies of one measurement."""

    by: JudgeBy = "answers"
    """Reference that replies are compared with."""

    metric: MetricName | None = None
    """Metric for cases that name none; `answer_likelihood` is that of all cases."""

    def __post_init__(self) -> None:
        """Check that they go together.

        Raises:
            EvaluationDataError: Likelihoods are those of right answers only.
        """
        if self.is_of_likelihood and self.by != "answers":
            msg = f"metric {ANSWER_LIKELIHOOD!r} judges by right answers, not by {self.by!r}"
            raise EvaluationDataError(msg)

    @property
    def is_of_likelihood(self) -> bool:
        """True if the model tells how probable right answers are, and does not reply."""
        return self.metric == ANSWER_LIKELIHOOD

    @property
    def reply_metric(self) -> ReplyMetric | None:
        """Metric of replies for cases that name none; the prompts' instruction depends on it."""
        return None if self.metric == "answer_likelihood" else self.metric

    @property
    def meaning(self) -> str:
        """Meaning of the scores."""
        return _LIKELIHOOD_MEANING if self.is_of_likelihood else MEANINGS[self.by]

    @property
    def score_name(self) -> ScoreName:
        """Name of the scores."""
        if self.is_of_likelihood:
            return "likelihood"
        return "score" if self.by == "answers" else "agreement"

    @property
    def compares_with_full(self) -> bool:
        """True if differences from the full prompt mean something.

        They do not if the reply to the full prompt is the reference: it agrees with itself.
        """
        return self.by != "full"

    def check_reference(self, reference: str) -> None:
        """Check that variants can be compared with this one.

        Raises:
            EvaluationDataError: Replies are compared with those to the full prompt, which are left
                out where another variant is the reference.
        """
        if self.by == "full" and reference != "full":
            msg = f"replies judged by those to the full prompt need it; reference is {reference!r}"
            raise EvaluationDataError(msg)

    def why_not(self, case: EvaluationCase) -> str | None:
        """The reason why a case cannot be judged, if there is one."""
        if self.by == "answers" and not case.answers:
            return "no_answer_given"
        if self.by == "reply" and not (case.reply or "").strip():
            return "no_reply_recorded"
        return None

    def metric_of(self, case: EvaluationCase) -> MetricName:
        """The metric for a case.

        Raises:
            EvaluationDataError: The case names an unknown metric.
        """
        if self.is_of_likelihood:
            return ANSWER_LIKELIHOOD
        if self.by == "answers":
            return metric_of(case, self.reply_metric)
        return agreement_metric_of(case, self.reply_metric)

    def is_binary(self, metrics: tuple[MetricName, ...]) -> bool:
        """True if all scores by these metrics are 0 or 1."""
        return self.by == "answers" and BINARY_METRICS.issuperset(metrics)

    def score_record(
        self, case: EvaluationCase, record: Mapping[str, Any], full: Mapping[str, Any]
    ) -> float:
        """Score what a log holds of a call, from 0 to 1.

        Args:
            case: A case that can be judged.
            record: The record of the call; see `is_answered`.
            full: That of the call with the full prompt, if there was one.
        """
        if self.is_of_likelihood:
            return math.exp(mean_log_probability(case, record))
        return self.score(case, record["reply"], full.get("reply", ""))

    def score(self, case: EvaluationCase, reply: str, full_reply: str) -> float:
        """Score a reply, from 0 to 1.

        Args:
            case: A case that can be judged.
            reply: The reply.
            full_reply: The reply to the full prompt.
        """
        if self.by == "answers":
            return score_reply(case, reply, metric_of(case, self.reply_metric))
        other = full_reply if self.by == "full" else case.reply or ""
        return agreement(reply, other, agreement_metric_of(case, self.reply_metric))


def is_answered(case: EvaluationCase, record: Mapping[str, Any]) -> bool:
    """True if the record of a call holds a reply, or the likelihoods of all right answers."""
    return "reply" in record or has_likelihoods(case, record)


def metric_of(case: EvaluationCase, default: ReplyMetric | None = None) -> ReplyMetric:
    """The metric that the case names, else `default`, else a guess from the answers.

    The guess is `choice` if all answers are single letters, otherwise `contains`.

    Raises:
        EvaluationDataError: The case names an unknown metric.
    """
    if case.metric is not None:
        if case.metric not in _ALIASES:
            known = ", ".join(sorted(_ALIASES))
            msg = f"case {case.id!r} has the metric {case.metric!r}; known metrics: {known}"
            raise EvaluationDataError(msg)
        return _ALIASES[case.metric]
    if default is not None:
        return default
    are_letters = [len(answer) == 1 and answer in string.ascii_letters for answer in case.answers]
    return "choice" if are_letters and all(are_letters) else "contains"


def agreement_metric_of(
    case: EvaluationCase, default: ReplyMetric | None = None
) -> AgreementMetric:
    """The metric for comparing two replies: `rouge_l` if the case or `default` says so, else `f1`.

    Raises:
        EvaluationDataError: The case names an unknown metric.
    """
    return "rouge_l" if metric_of(case, default) == "rouge_l" else "f1"


def score_reply(case: EvaluationCase, reply: str, metric: ReplyMetric) -> float:
    """Score a reply from 0 to 1: the best over the answers of the case.

    Reasoning up to `</think>` is not part of the reply. With `contains` and `needs_all`, the reply
    must contain every answer.
    """
    said = _without_reasoning(reply)
    if metric == "contains":
        return float(case.is_answered_by([said]))
    return max((_COMPARISONS[metric](said, answer) for answer in case.answers), default=0.0)


def agreement(reply: str, other: str, metric: AgreementMetric) -> float:
    """Agreement of two replies, from 0 to 1, without their reasoning."""
    return _COMPARISONS[metric](_without_reasoning(reply), _without_reasoning(other))


def _without_reasoning(reply: str) -> str:
    return reply.rpartition(_END_OF_THINKING)[2]


def _exact_match(reply: str, answer: str) -> float:
    return float(_normalized(reply) == _normalized(answer))


def _f1(reply: str, answer: str) -> float:
    """The harmonic mean of precision and recall of words, as in SQuAD's evaluation."""
    given, wanted = _WORD.findall(_normalized(reply)), _WORD.findall(_normalized(answer))
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted))


def _choice(reply: str, answer: str) -> float:
    return float(_chosen_letter(reply) == answer.upper())


def _rouge_l(reply: str, answer: str) -> float:
    """The harmonic mean of precision and recall of the longest common subsequence of words.

    Based on C.-Y. Lin, ROUGE: a package for automatic evaluation of summaries (2004), section 3.1,
    without stemming.
    """
    given, wanted = _WORD.findall(reply.lower()), _WORD.findall(answer.lower())
    if not given or not wanted:
        return 0.0
    return 2 * _lcs_length(given, wanted) / (len(given) + len(wanted))


def _lcs_length(given: list[str], wanted: list[str]) -> int:
    try:
        from rapidfuzz.distance import LCSseq  # noqa: PLC0415 - in an extra
    except ModuleNotFoundError as error:
        if error.name != "rapidfuzz":
            raise
        raise MissingDependencyError(error.name, "evaluate") from error
    return LCSseq.similarity(given, wanted)


_COMPARISONS: Mapping[ReplyMetric, Callable[[str, str], float]] = {
    "exact_match": _exact_match,
    "f1": _f1,
    "choice": _choice,
    "rouge_l": _rouge_l,
}


def _normalized(text: str) -> str:
    """Lower case without punctuation, articles and repeated spaces, as in SQuAD's evaluation."""
    plain = _PUNCTUATION.sub("", text.lower())
    return " ".join(_ARTICLE.sub(" ", plain).split())


def _chosen_letter(reply: str) -> str | None:
    """The letter at the start, else the one named as the answer, else the only capital letter."""
    found = _FIRST_LETTER.match(reply) or _NAMED_LETTER.search(reply)
    if found:
        return found[1].upper()
    lone = set(_LONE_CAPITAL.findall(reply))
    return lone.pop() if len(lone) == 1 else None
