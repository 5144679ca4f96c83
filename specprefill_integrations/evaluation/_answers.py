"""How good a model's answer to a case is, from 0 to 1. Knows no model and no prompt."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import regex

from specprefill_integrations.errors import EvaluationDataError, MissingDependencyError
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.scoring._lexical import UNSPACED_SCRIPTS

MetricName = Literal["contains", "exact_match", "f1", "choice", "rouge_l"]
"""How an answer is compared with the answers of its case: one of them stands in it, it is one of
them, it shares words with one, it names the right letter, or its longest common subsequence of
words with one is long."""

AgreementMetric = Literal["f1", "rouge_l"]
"""How a reply is compared with another one."""

BINARY_METRICS: frozenset[MetricName] = frozenset({"contains", "exact_match", "choice"})
"""Those that say right or wrong and nothing in between."""

_ALIASES: Mapping[str, MetricName] = {
    "rouge": "rouge_l",
    **{name: name for name in get_args(MetricName)},
}

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = regex.compile(r"[\p{P}\p{S}]+")
_WORD = regex.compile(rf"[{UNSPACED_SCRIPTS}]\p{{M}}*+|[^\W_{UNSPACED_SCRIPTS}]++")

_END_OF_THINKING = "</think>"

# A letter that begins the answer and stands there as a letter, not as a word: "B", "(b)", "B. Yes".
_FIRST_LETTER = re.compile(r"\W*([A-Za-z])(?:\s*$|\s*[.):,])")
_NAMED_LETTER = re.compile(r"\b(?i:answer|option|choice)(?:\s+is|:)?\W{0,4}([A-Z])\b")
_LONE_CAPITAL = re.compile(r"\b([A-Z])\b")


def metric_of(case: EvaluationCase, default: MetricName | None = None) -> MetricName:
    """How the answers to a case are judged.

    By what the case says; else by `default`; else as a choice where all answers are single
    letters, and by whether an answer stands in the reply where they are not.

    Raises:
        EvaluationDataError: The case names a metric that there is not.
    """
    if case.metric is not None:
        if case.metric not in _ALIASES:
            known = ", ".join(sorted(_ALIASES))
            msg = f"case {case.id!r} has the metric {case.metric!r}; there are: {known}"
            raise EvaluationDataError(msg)
        return _ALIASES[case.metric]
    if default is not None:
        return default
    are_letters = [len(answer) == 1 and answer in string.ascii_letters for answer in case.answers]
    return "choice" if are_letters and all(are_letters) else "contains"


def agreement_metric_of(case: EvaluationCase, default: MetricName | None = None) -> AgreementMetric:
    """How replies to a case are compared with another reply.

    By the longest common subsequence of words where the case or else `default` says so; by shared
    words where they do not.

    Raises:
        EvaluationDataError: The case names a metric that there is not.
    """
    return "rouge_l" if metric_of(case, default) == "rouge_l" else "f1"


def score_reply(case: EvaluationCase, reply: str, metric: MetricName) -> float:
    """How good a reply is, from 0 to 1; the best over the answers of the case.

    What a reasoning model thinks aloud, up to `</think>`, is not part of its reply. With `contains`
    and `needs_all`, every answer must stand in it.
    """
    said = _said(reply)
    if metric == "contains":
        return float(case.is_answered_by([said]))
    return max((_COMPARISONS[metric](said, answer) for answer in case.answers), default=0.0)


def agreement(reply: str, other: str, metric: AgreementMetric) -> float:
    """How much a reply says what another one says, from 0 to 1. Which is right is not known.

    What a reasoning model thinks aloud is part of neither.
    """
    return _COMPARISONS[metric](_said(reply), _said(other))


def _said(reply: str) -> str:
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
    with words as they are, not their stems.
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


_COMPARISONS: Mapping[MetricName, Callable[[str, str], float]] = {
    "exact_match": _exact_match,
    "f1": _f1,
    "choice": _choice,
    "rouge_l": _rouge_l,
}


def _normalized(text: str) -> str:
    """Without case, punctuation, articles and runs of blanks, as in SQuAD's evaluation."""
    plain = _PUNCTUATION.sub("", text.lower())
    return " ".join(_ARTICLE.sub(" ", plain).split())


def _chosen_letter(reply: str) -> str | None:
    """The letter that a reply begins with, or names as its answer, or the only one that it has."""
    found = _FIRST_LETTER.match(reply) or _NAMED_LETTER.search(reply)
    if found:
        return found[1].upper()
    lone = set(_LONE_CAPITAL.findall(reply))
    return lone.pop() if len(lone) == 1 else None
