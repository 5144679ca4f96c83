"""Evidence recall: is a gold answer still there in what the compressor kept?

Judged on what the compressor renders, gap markers paid for. Knows no files and no command line.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from specprefill_integrations.evaluation._case_compressor import (
    CaseCompressor,
    KeptTexts,
    count_texts,
)
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._statistics import wilson_interval
from specprefill_integrations.pipeline._token_counting import CountTokens
from specprefill_integrations.splitting._json_text import is_json

LeftOutReason = Literal[
    "judged_by_another_metric",
    "no_answer_given",
    "answers_are_single_letters",
    "answer_not_in_full_text",
]
"""Why evidence recall cannot judge a case. A single letter, as in a multiple choice, stands in
every text and says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """What became of one case. Mappings go from `keep_key` of each fraction."""

    id: str
    """The case's."""

    task: str
    """The case's."""

    hits: Mapping[str, bool]
    """Whether the answer is still there."""

    kept_tokens: Mapping[str, int]
    """Tokens of what was kept, gap markers included."""

    json_texts: int
    """How many of the texts are JSON."""

    broken_json: Mapping[str, int]
    """Of those, how many became something that is neither empty nor JSON."""

    context_tokens: int
    """Tokens of the texts."""

    score_seconds: float
    """What scoring took, once for all fractions; where each is read for anew, the mean of them."""

    compress_seconds: Mapping[str, float]
    """What compressing for one fraction alone takes: scoring and all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSummary:
    """What became of some cases. Mappings go from `keep_key` of each fraction."""

    cases: int
    """How many there are."""

    recall: Mapping[str, float]
    """The share of cases whose answer is still there."""

    recall_interval: Mapping[str, tuple[float, float]]
    """The 95 % interval of that share."""

    kept_tokens_fraction: Mapping[str, float]
    """Kept tokens / original tokens, of all cases together."""

    json_texts: int
    """How many of all texts are JSON."""

    broken_json: Mapping[str, int]
    """Of those, how many became something that is neither empty nor JSON."""

    context_tokens: int
    """Tokens of all texts."""

    score_seconds: float
    """What scoring them took."""

    tokens_per_second: float | None
    """Tokens scored in a second; None where nothing had to be scored."""

    compress_seconds: Mapping[str, float]
    """What compressing a case for one fraction alone takes, on average."""


def keep_key(keep_fraction: float) -> str:
    """How a fraction is named in results."""
    return format(keep_fraction, "g")


def why_left_out(case: EvaluationCase) -> LeftOutReason | None:
    """Why evidence recall cannot judge a case; None where it can."""
    if case.metric is not None:
        return "judged_by_another_metric"
    if not case.answers:
        return "no_answer_given"
    if all(len(answer) == 1 and answer in string.ascii_letters for answer in case.answers):
        return "answers_are_single_letters"
    return None if case.is_answered_by(case.texts) else "answer_not_in_full_text"


def measure_evidence(
    cases: Iterable[EvaluationCase],
    compressor: CaseCompressor,
    keep_fractions: Sequence[float],
    *,
    count_tokens: CountTokens,
) -> list[CaseOutcome]:
    """Compress every case at every fraction and see whether its answer is still there.

    A compressor that fails ends the measurement.

    Args:
        cases: What to measure on; those that `why_left_out` names are a miss or a false hit.
        compressor: Keeps texts.
        keep_fractions: Kept tokens / original tokens, each in (0, 1]; at least one.
        count_tokens: Counts them.
    """
    return [_measure(case, compressor, keep_fractions, count_tokens) for case in cases]


def summarize(outcomes: Sequence[CaseOutcome]) -> EvidenceSummary:
    """Add up outcomes of at least one case, all with the same fractions."""
    keys = list(outcomes[0].hits)
    hits = {key: sum(outcome.hits[key] for outcome in outcomes) for key in keys}
    tokens = sum(outcome.context_tokens for outcome in outcomes)
    seconds = sum(outcome.score_seconds for outcome in outcomes)
    scored_tokens = sum(outcome.context_tokens for outcome in outcomes if outcome.score_seconds)
    return EvidenceSummary(
        cases=len(outcomes),
        recall={key: hits[key] / len(outcomes) for key in keys},
        recall_interval={key: wilson_interval(hits[key], len(outcomes)) for key in keys},
        kept_tokens_fraction={
            key: sum(outcome.kept_tokens[key] for outcome in outcomes) / max(1, tokens)
            for key in keys
        },
        json_texts=sum(outcome.json_texts for outcome in outcomes),
        broken_json={key: sum(outcome.broken_json[key] for outcome in outcomes) for key in keys},
        context_tokens=tokens,
        score_seconds=seconds,
        tokens_per_second=scored_tokens / seconds if seconds else None,
        compress_seconds={
            key: fmean(outcome.compress_seconds[key] for outcome in outcomes) for key in keys
        },
    )


def by_task(outcomes: Iterable[CaseOutcome]) -> dict[str, list[CaseOutcome]]:
    """The outcomes of each task; tasks in the order of their first case."""
    tasks: dict[str, list[CaseOutcome]] = {}
    for outcome in outcomes:
        tasks.setdefault(outcome.task, []).append(outcome)
    return tasks


def _measure(
    case: EvaluationCase,
    compressor: CaseCompressor,
    keep_fractions: Sequence[float],
    count_tokens: CountTokens,
) -> CaseOutcome:
    results = {
        keep_key(keep): compressor.compress(case.texts, case.query, keep) for keep in keep_fractions
    }
    is_json_text = [is_json(text) for text in case.texts]
    return CaseOutcome(
        id=case.id,
        task=case.task,
        hits={key: case.is_answered_by(kept.texts) for key, kept in results.items()},
        kept_tokens={key: count_texts(count_tokens, kept.texts) for key, kept in results.items()},
        json_texts=sum(is_json_text),
        broken_json={key: _broken_json(is_json_text, kept) for key, kept in results.items()},
        context_tokens=count_texts(count_tokens, case.texts),
        score_seconds=_score_seconds(list(results.values())),
        compress_seconds={key: kept.seconds for key, kept in results.items()},
    )


def _broken_json(is_json_text: Sequence[bool], kept: KeptTexts) -> int:
    """How many JSON texts became something that is neither empty nor JSON."""
    if len(kept.texts) != len(is_json_text):  # merged or left out: none is one of them
        return sum(is_json_text) if any(kept.texts) else 0
    pairs = zip(is_json_text, kept.texts, strict=True)
    return sum(was_json and bool(text) and not is_json(text) for was_json, text in pairs)


def _score_seconds(results: Sequence[KeptTexts]) -> float:
    readings = [kept.reading_seconds for kept in results if kept.reading_seconds is not None]
    # A fraction that keeps all is not read for: what the others took is what reading takes.
    return max(readings) if readings else fmean(kept.seconds for kept in results)
