"""Evidence recall: the share of cases whose gold answer is still in the compressed texts.

Judged on the rendered result, gap markers included.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Literal

from specprefill_integrations._arguments import Shares, checked
from specprefill_integrations._progress_line import counted
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_compressor import (
    CaseCompressor,
    KeptTexts,
    count_texts,
)
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._lineup import Lineup, is_peer, reason_of
from specprefill_integrations.evaluation._statistics import wilson_interval
from specprefill_integrations.splitting._json._values import is_json
from specprefill_integrations.types import CountTokens

LeftOutReason = Literal[
    "judged_by_another_metric",
    "no_answer_given",
    "answers_are_single_letters",
    "answer_not_in_full_text",
]
"""Reason for leaving out a case. Every text contains a single letter, as in a multiple
choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """Result of one case. Mappings are by `keep_key` of each fraction."""

    id: str
    """The case's id."""

    task: str
    """The case's task."""

    hits: Mapping[str, bool]
    """True if the answer is still there."""

    kept_tokens: Mapping[str, int]
    """Tokens of the compressed texts, gap markers included."""

    json_texts: int
    """Number of texts that are JSON."""

    broken_json: Mapping[str, int]
    """Number of them that became neither empty nor JSON."""

    context_tokens: int
    """Tokens of the texts."""

    score_seconds: float
    """Scoring time, once for all fractions; the mean if each fraction is read anew."""

    compress_seconds: Mapping[str, float]
    """Time to compress for one fraction alone: scoring and all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSummary:
    """Result of several cases. Mappings are by `keep_key` of each fraction."""

    cases: int
    """Number of cases."""

    recall: Mapping[str, float]
    """Share of cases whose answer is still there."""

    recall_interval: Mapping[str, tuple[float, float]]
    """95 % interval of that share."""

    kept_tokens_fraction: Mapping[str, float]
    """Kept tokens / original tokens, of all cases together."""

    json_texts: int
    """Number of texts that are JSON."""

    broken_json: Mapping[str, int]
    """Number of them that became neither empty nor JSON."""

    context_tokens: int
    """Tokens of all texts."""

    score_seconds: float
    """Scoring time."""

    tokens_per_second: float | None
    """Tokens scored per second; None if nothing had to be scored."""

    compress_seconds: Mapping[str, float]
    """Mean time to compress a case for one fraction alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerEvidence:
    """Result of one scorer."""

    scorer: str
    """Its name."""

    outcomes: Sequence[CaseOutcome]
    """Result of each case; at least one."""

    def summary(self) -> EvidenceSummary:
        """All cases together."""
        return summarize(self.outcomes)

    def tasks(self) -> dict[str, EvidenceSummary]:
        """The cases of each task, in the order of their first case."""
        found: dict[str, list[CaseOutcome]] = {}
        for outcome in self.outcomes:
            found.setdefault(outcome.task, []).append(outcome)
        return {task: summarize(outcomes) for task, outcomes in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceResult:
    """Result of `measure_evidence`."""

    scorers: Sequence[ScorerEvidence]
    """One per scorer; all of the same cases and fractions."""

    skipped: Mapping[str, str]
    """Scorers that were not measured, and why."""

    left_out: Mapping[LeftOutReason, int]
    """Cases that could not be judged, by reason."""

    draft: str
    """Name of the draft that reads, or whose tokenizer counts."""

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per scorer, task and fraction, as `pandas.DataFrame` takes them."""
        return [
            {"scorer": one.scorer, "task": task, **row}
            for one in self.scorers
            for task, summary in one.tasks().items()
            for row in _rows(summary)
        ]

    def as_json_objects(self, *, units: str, per_case: bool = False) -> list[dict[str, object]]:
        """One object per scorer with plain JSON values; skipped scorers last.

        Args:
            units: Name of the units that were kept or dropped as a whole.
            per_case: Whether to include the outcome of every case.
        """
        measured = [self._as_json_object(one, units, per_case=per_case) for one in self.scorers]
        skipped: list[dict[str, object]] = [
            {"scorer": name, "skipped": why} for name, why in self.skipped.items()
        ]
        return measured + skipped

    def _as_json_object(
        self, one: ScorerEvidence, units: str, *, per_case: bool
    ) -> dict[str, object]:
        found: dict[str, object] = {
            "scorer": one.scorer,
            "draft": self.draft,
            "units": units,
            **asdict(one.summary()),
            "left_out": dict(self.left_out),
            "tasks": {task: asdict(summary) for task, summary in one.tasks().items()},
        }
        if per_case:
            found["per_case"] = [
                {"id": outcome.id, "task": outcome.task, "hits": dict(outcome.hits)}
                for outcome in one.outcomes
            ]
        return found


def keep_key(keep_fraction: float) -> str:
    """The name of a fraction in results."""
    return format(keep_fraction, "g")


def why_left_out(case: EvaluationCase) -> LeftOutReason | None:
    """The reason why evidence recall cannot judge a case, if there is one."""
    if case.metric is not None:
        return "judged_by_another_metric"
    if not case.answers:
        return "no_answer_given"
    if all(len(answer) == 1 and answer in string.ascii_letters for answer in case.answers):
        return "answers_are_single_letters"
    return None if case.is_answered_by(case.texts) else "answer_not_in_full_text"


def judgeable_cases(
    cases: Iterable[EvaluationCase],
) -> tuple[list[EvaluationCase], dict[LeftOutReason, int]]:
    """The cases that evidence recall can judge, and the number of others by reason.

    Raises:
        EvaluationDataError: There is none.
    """
    judged: list[EvaluationCase] = []
    left_out: Counter[LeftOutReason] = Counter()
    for case in cases:
        reason = why_left_out(case)
        if reason is None:
            judged.append(case)
        else:
            left_out[reason] += 1
    if not judged:
        raise nothing_to_judge(left_out)
    return judged, dict(left_out)


def nothing_to_judge(left_out: Mapping[Any, int]) -> EvaluationDataError:
    """The error for data in which no case can be judged."""
    why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    why = why.replace("_", " ") or "the files hold no cases"
    return EvaluationDataError(f"no case can be judged: {why}")


@checked
def measure_evidence(
    cases: Iterable[EvaluationCase],
    compressors: Lineup | ContextCompressor | Mapping[str, ContextCompressor | CaseCompressor],
    keep_fractions: Shares = (0.05, 0.1, 0.2, 0.3),
    *,
    count_tokens: CountTokens | None = None,
    on_case: Callable[[str], object] = lambda _: None,
) -> EvidenceResult:
    """Compress every case at every fraction, and look for its answer in the result.

    A peer that fails is skipped; any other failure ends the measurement.

    Args:
        cases: The cases; those that `why_left_out` names are left out and counted.
        compressors: One compressor, several by name, or a line-up of `build_lineup`.
        keep_fractions: Kept tokens / original tokens, each in (0, 1]; at least one.
        count_tokens: Counts tokens; by default as the compressors do.
        on_case: Called after each case with the scorer's name.

    Raises:
        EvaluationDataError: No case can be judged.
    """
    lineup = Lineup.of(compressors, count_tokens)
    judged, left_out = judgeable_cases(cases)
    measured: list[ScorerEvidence] = []
    skipped = dict(lineup.skipped)
    for name, compressor in lineup.compressors.items():
        outcomes: list[CaseOutcome] = []
        try:
            with counted(judged, f"Measuring {name}") as each:
                for case in each:
                    outcomes.append(
                        measure_case(case, compressor, keep_fractions, lineup.count_tokens)
                    )
                    on_case(name)
        except Exception as error:
            if not is_peer(name):
                raise
            skipped[name] = f"failed: {reason_of(error)}"
        else:
            measured.append(ScorerEvidence(scorer=name, outcomes=outcomes))
    return EvidenceResult(scorers=measured, skipped=skipped, left_out=left_out, draft=lineup.draft)


def summarize(outcomes: Sequence[CaseOutcome]) -> EvidenceSummary:
    """Summarize outcomes of at least one case, all with the same fractions."""
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


def _rows(summary: EvidenceSummary) -> Iterator[dict[str, Any]]:
    for key, recall in summary.recall.items():
        low, high = summary.recall_interval[key]
        yield {
            "keep_fraction": float(key),
            "cases": summary.cases,
            "recall": recall,
            "recall_low": low,
            "recall_high": high,
            "kept_tokens_fraction": summary.kept_tokens_fraction[key],
            "broken_json": summary.broken_json[key],
            "compress_seconds": summary.compress_seconds[key],
        }


def measure_case(
    case: EvaluationCase,
    compressor: CaseCompressor,
    keep_fractions: Sequence[float],
    count_tokens: CountTokens,
) -> CaseOutcome:
    """Compress one case at every fraction; see `measure_evidence`."""
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
    """Number of JSON texts that became neither empty nor JSON."""
    if len(kept.texts) != len(is_json_text):  # merged or left out: the originals are gone
        return sum(is_json_text) if any(kept.texts) else 0
    pairs = zip(is_json_text, kept.texts, strict=True)
    return sum(was_json and bool(text) and not is_json(text) for was_json, text in pairs)


def _score_seconds(results: Sequence[KeptTexts]) -> float:
    readings = [kept.reading_seconds for kept in results if kept.reading_seconds is not None]
    # A fraction that keeps everything needs no reading: the time of the others is that of reading.
    return max(readings) if readings else fmean(kept.seconds for kept in results)
