"""What the log of an A/B measurement tells of speeds: times by length. Estimates nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation.ab_arms import FULL_NAME

_Times = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTimes:
    """Tokens that were read, and the seconds that it took: all in the tokens of the log."""

    draft: _Times
    """Compressing the texts of a case; one a case, the mean over how much was kept."""

    target: _Times
    """Until the first token of the model's answer, by the texts in its prompt; one a call. What
    else stands in prompts is about as long in all of them."""


def read_log_times(path: Path, scorer: str) -> LogTimes:
    """Read a log that `specprefill evaluate ab` wrote, or is writing.

    Args:
        path: The file.
        scorer: What compresses, as the log calls it.

    Raises:
        EvaluationDataError: The file cannot be read, or is no such log, or knows no such scorer.
    """
    answered = [record for record in _records(path) if "case" in record and "error" not in record]
    try:
        arms = {record["arm"].partition("@")[0] for record in answered} - {FULL_NAME}
        if arms and scorer not in arms:
            msg = f"{str(path)!r} knows no scorer {scorer!r}, only {', '.join(sorted(arms))}"
            raise EvaluationDataError(msg)
        return LogTimes(draft=_draft_times(answered, scorer), target=_target_times(answered))
    except (AttributeError, KeyError, TypeError) as error:
        raise _no_log(path) from error


def _draft_times(records: Iterable[Mapping[str, Any]], scorer: str) -> _Times:
    found: dict[tuple[str, int], list[float]] = {}
    for record in records:
        if record["arm"].startswith(f"{scorer}@"):
            key = (record["case"], int(record["context_tokens"]))
            found.setdefault(key, []).append(float(record["draft_seconds"]))
    return [(tokens, fmean(seconds)) for (_, tokens), seconds in found.items()]


def _target_times(records: Iterable[Mapping[str, Any]]) -> _Times:
    return [
        (int(record["kept_tokens"]), float(record["first_token_seconds"]))
        for record in records
        if record["first_token_seconds"] is not None
    ]


def _records(path: Path) -> list[dict[str, Any]]:
    """All complete lines but the first, which says how the measurement is set up."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        setup, *records = [json.loads(line) for line in whole.splitlines()]
    except OSError as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror}"
        raise EvaluationDataError(msg) from error
    except ValueError as error:
        raise _no_log(path) from error
    if not all(isinstance(line, dict) for line in (setup, *records)) or "run" not in setup:
        raise _no_log(path)
    return records


def _no_log(path: Path) -> EvaluationDataError:
    return EvaluationDataError(f"{str(path)!r} is no log of `specprefill evaluate ab`")
